"""``layer=auto``: the layer with the best validation score of a cell's own model; test pairs are not used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bench.entries import ExtractorEntry
from bench.errors import BenchError
from bench.files.atomic import digest
from bench.items.item_table import ItemTable
from bench.protocols import RunContext
from bench.records import LayerChoice
from bench.run.recommend.fit import deadline, validated
from bench.run.recommend.request import Cell
from bench.splits.make import Split


def check_validation(extractors: Sequence[ExtractorEntry], split: Split) -> None:
    """Raise BenchError if a layer is to be chosen, and the split leaves no validation pairs."""
    for one in extractors:
        if one.auto and not len(split.held_out):
            raise BenchError(
                f"{one}: the layer is chosen by validation, and split {split.settings.describe()} leaves no validation "
                "pairs. Name a layer, or change --split."
            )


def chosen(
    cell: Cell,
    layers: Sequence[ExtractorEntry],
    table: Callable[[ExtractorEntry, int], ItemTable],
    split: Split,
    k: int,
    *,
    device: str,
    folder: Path,
    log: Callable[[str], None],
    max_time: float | None = None,
) -> tuple[ExtractorEntry, LayerChoice]:
    """Fit the model of a cell on each layer, and return the best one, the first of equal ones.

    The score is that of early stopping and of ``bench tune``: NDCG@k of the validation listeners.

    Parameters
    ----------
    layers : an entry for each layer
    max_time : seconds of each training; None for no limit

    """
    scores: dict[str, float] = {}
    for one in layers:
        where = folder / f"layer-{digest(one.text)[:8]}"
        run = RunContext(seed=cell.seed, device=device, deadline=deadline(max_time), log=log, folder=where)
        scores[one.layer] = validated(cell.model.fresh(), table(one, cell.seed), split, k, run)
        log(f"{one}: validation ndcg@{k} {scores[one.layer]:.4f}")
    best = max(layers, key=lambda one: scores[one.layer])
    return best, LayerChoice(best.layer, f"ndcg@{k}", scores)
