"""Compute one cell: fit a model on a frozen table, rank, evaluate, and check that the table did not change."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.items.item_table import ItemTable
from bench.metrics import Lists, PerUser, chance, evaluate_beyond
from bench.protocols import Interactions, Recommender, RunContext
from bench.records import Training
from bench.records.intervals import mean_intervals_of
from bench.records.ranks import HeldOut
from bench.run.recommend.fit import trained
from bench.run.recommend.top_lists import SETS, cutoffs, evaluated, lists
from bench.run.recommend.validation import Validation
from bench.splits.make import Split, Which

REMEDY = "Take a smaller --k, or vectors of more tracks."


@dataclass
class Measured:
    """Results of a cell; every mapping is keyed by candidate set, then by metric name."""

    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    intervals: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    chance: dict[str, dict[str, float]] = field(default_factory=dict)
    beyond: dict[str, dict[str, float]] = field(default_factory=dict)
    unranked: list[Which] = field(default_factory=list)
    """Candidate sets without metrics, because the model scored all candidates equally for every user."""
    users: dict[str, int] = field(default_factory=dict)
    candidates: dict[str, int] = field(default_factory=dict)
    validation: dict[str, dict[str, float]] = field(default_factory=dict)
    training: Training | None = None
    per_user: list[pl.DataFrame] = field(default_factory=list)
    """Listeners of each set: numbers of held-out items, of candidates without the history (`free`), and of candidates
    with a vector, history included (`listable`); with metrics, unless the set is unranked."""
    held_out: dict[str, HeldOut] = field(default_factory=dict)
    fit_s: float = 0.0
    score_s: float = 0.0
    warnings: list[str] = field(default_factory=list)


def measure(
    model: Recommender,
    table: ItemTable,
    split: Split,
    *,
    ks: Sequence[int],
    seed: int,
    device: str,
    reference: tuple[str, ItemTable] | None,
    folder: Path | None,
    log: Callable[[str], None],
    max_time: float | None = None,
    curves: Path | None = None,
    refit: bool = False,
) -> Measured:
    """Fit `model` and evaluate it on the test part, hot, cold and mixed where the split has them.

    A cut-off is skipped for a set if its lists would contain all candidates; mixed is skipped if cold has none left.

    `max_time` (s) ends every training; see `bench.run.fitting.trained` for `refit`.

    Raises
    ------
    BenchError
        When the model changed its item table or returned NaN, or no cut-off is below the number of candidates.

    """
    out = Measured()
    present = table.present if "items" in model.needs else None
    valid = Validation(split, present, max(ks), ks[0], seed)
    before = table.sha256
    run = RunContext(seed=seed, device=device, log=log, folder=folder, curves=curves)
    fitted = trained(model, table, split, valid, run, ks, max_time=max_time, refit=refit)
    model, out.training, out.validation = fitted.model, fitted.training, fitted.validation
    out.fit_s = fitted.seconds
    out.warnings += fitted.warnings
    started = time.monotonic()
    found = lists(model, split, "test", SETS, present, max(ks), seed, fitted.known, ranks=True)
    out.score_s = time.monotonic() - started
    if table.now_sha256() != before:
        raise BenchError(
            f"{model.name} changed its item table (sha256 {before[:12]} before, {table.now_sha256()[:12]} after). "
            "Item tables are frozen: copy what must be trained."
        )
    listeners = np.bincount(split.train.item, minlength=split.train.n_items)
    names = {"user": pl.Series(split.users, dtype=pl.String), "item": pl.Series(split.items, dtype=pl.String)}
    artist = pl.Series(table.meta.get("artist") or [None] * len(split.items), dtype=pl.String)
    artists = None if artist.null_count() == len(artist) else _codes(artist)
    references = {reference[0]: reference[1].vectors} if reference else {}
    for name, each in evaluated(found, split, "test", ks).items():
        users, truth, mask = each.users, each.truth, each.candidates
        there = int((mask if present is None else mask & present).sum())
        kept = cutoffs(ks, there)
        if len(kept) < len(cutoffs(ks, int(mask.sum()))):  # missing vectors exclude further cut-offs
            out.warnings.append(
                f"only {there} of {int(mask.sum())} {name} candidates have a vector: too few for some k"
            )
        if not kept or (name == "mixed" and "cold" not in out.users):
            continue
        values = {metric: value for metric, value in each.values.items() if _cutoff(metric) in kept}
        # Chance level of a ranking of all items, with or without vectors.
        free = _free(fitted.known, users, mask)
        out.chance[name] = chance(free, truth.sizes, kept)
        out.users[name], out.candidates[name] = len(users), int(mask.sum())
        who = names["user"].gather(users)
        columns = {
            "candidates": pl.repeat(name, len(users), eager=True),
            "user": who,
            "relevant": truth.sizes.astype(np.int32),
            "free": free.astype(np.int32),
            "listable": np.full(len(users), there, np.int32),
        }
        equal = int(found.equal(name).sum())
        if equal == len(users):
            out.unranked.append(name)
            out.per_user.append(pl.DataFrame(columns))
            continue
        out.per_user.append(pl.DataFrame({**columns, **values}))
        assert each.ranks is not None
        held_out = HeldOut.of(who, truth.indptr, truth.item, each.ranks, names["item"], artist)
        out.held_out[name] = held_out
        if equal:
            out.warnings.append(
                f"{model.name} scored all candidates equally for {equal} of {len(users)} users ({name}): "
                "their lists are empty or in random tie order, and say nothing about the model"
            )
        out.metrics[name] = {metric: float(value.mean()) for metric, value in values.items()}
        out.intervals[name] = mean_intervals_of(name, values, held_out, seed)
        about = Lists(
            topk=each.topk,
            candidates=mask,
            listeners=listeners,
            profile=split.train,
            users=users,
            artists=artists,
            references=references,
        )
        out.beyond[name] = {}
        for metric, value in evaluate_beyond(about, kept).items():
            mean = value.mean if isinstance(value, PerUser) else value
            if mean is not None:
                out.beyond[name][metric] = float(mean)
    if not out.users:
        raise BenchError(f"{model.name}: no k of {', '.join(map(str, ks))} is below the number of candidates. {REMEDY}")
    return out


def _cutoff(metric: str) -> int:
    return int(metric.rpartition("@")[2])


def _free(known: Interactions, users: NDArray[np.int32], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the number of candidates of each user (U,) after removing the history."""
    taken = np.concatenate([[0], np.cumsum(mask[known.item])])
    indptr = known.indptr
    return np.asarray(int(mask.sum()) - (taken[indptr[users + 1]] - taken[indptr[users]]), dtype=np.int64)


def _codes(names: pl.Series) -> NDArray[np.int64]:
    """Return artist codes, -1 for unknown."""
    return names.rank("dense").cast(pl.Int64).fill_null(0).to_numpy() - 1
