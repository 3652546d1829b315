"""Estimates of the resources of trainings, printed in the plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bench import treatments
from bench.entries import ExtractorEntry
from bench.errors import BenchError
from bench.extract import stored_widths
from bench.items.item_table import ItemTable
from bench.protocols import TableSource
from bench.run import plan
from bench.run.recommend.fit import check
from bench.run.recommend.request import Cell
from bench.splits.make import Split

Table = Callable[[ExtractorEntry, int], ItemTable]
"""Function from extractor entry and seed to the item table."""


def estimates(
    split: Split, todo: Sequence[Cell], device: str, table: Table, max_time: float | None = None
) -> dict[str, int]:
    """Return a line for each model with the resources of its training, and its peak memory in bytes.

    Raises
    ------
    BenchError
        For the first cell whose training is impossible; see `bench.run.recommend.fit.check`.

    """
    lines: dict[str, int] = {}
    once: dict[Any, Cell] = {}
    for cell in todo:
        once.setdefault((cell.extractor, cell.model), cell)  # sizes do not depend on the seed
    for cell in once.values():
        width = _width(cell, table, split)
        if width is None:  # known only when the table is built, and checked then
            continue
        try:
            found = check(cell.model.plugin, split, width, device, max_time)
        except BenchError as error:
            raise BenchError(f"{cell.extractor} x {cell.model}: {error}") from error
        if found is not None:
            lines[plan.training(cell.model.text, width, found)] = found.bytes
    return lines


def _width(cell: Cell, table: Table, split: Split) -> int | None:
    """Return the width of a cell's table, as declared or as read from a source that needs no audio.

    Raises
    ------
    BenchError
        When the treatment asks for more components than the training items and the declared width allow.

    """
    entry = cell.extractor
    steps = treatments.parse(entry.treat)
    chosen = [step.k for step in steps if step.k is not None]
    if not entry.audio:
        return chosen[-1] if chosen else int(table(entry, cell.seed).vectors.shape[1])
    width = 0
    for one in entry.components:
        if isinstance(one.plugin, TableSource):
            return chosen[-1] if chosen else None
        width += stored_widths(one.plugin)[one.layer_used]
    treatments.check_sizes(steps, int(split.hot.sum()), width)
    return chosen[-1] if chosen else width
