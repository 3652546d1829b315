"""What trainings will take, told before any of them begins: part of the plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench import treatments
from bench.data.split import Split
from bench.errors import BenchError
from bench.extract import stored_widths
from bench.items import ItemTable, audio_extractors
from bench.protocols import TableSource
from bench.registry import create
from bench.run import plan
from bench.run.recommend.fit import check
from bench.run.recommend.record import treat_of
from bench.run.recommend.request import Cell, Request
from bench.specs import parse_sum

Table = Callable[[str, int, str], ItemTable]
"""Extractor, seed and treatment -> its item table."""


def estimates(request: Request, split: Split, todo: Sequence[Cell], device: str, table: Table) -> list[str]:
    """Return a line for each model that says what its training takes.

    Raises
    ------
    BenchError
        Naming the first cell whose training cannot be; see `bench.run.fitting.check`.

    """
    lines: dict[str, None] = {}
    for extractor, model in dict.fromkeys((cell.extractor, cell.model) for cell in todo):  # a seed changes no size
        width = _width(request, Cell(extractor, model, request.seeds[0]), table)
        if width is None:  # known when the table is made: checked then
            continue
        try:
            found = check(create("recommenders", model, lane=request.lane), split, width, device)
        except BenchError as error:
            raise BenchError(f"{extractor} x {model}: {error}") from error
        if found is not None:
            lines[plan.training(model, width, found)] = None
    return list(lines)


def _width(request: Request, cell: Cell, table: Table) -> int | None:
    """Return the width of a cell's table: declared, or found by reading it where that needs no audio."""
    treat = treat_of(request, cell)
    if chosen := [step.k for step in treatments.parse(treat) if step.k is not None]:
        return chosen[-1]
    if not audio_extractors([cell.extractor], request.plugin):
        return int(table(cell.extractor, cell.seed, treat).vectors.shape[1])
    total = 0
    for spec in parse_sum(cell.extractor):
        plugin = request.plugin(spec)
        if isinstance(plugin, TableSource):
            return None
        widths = stored_widths(plugin)
        total += widths[spec.settings.get("layer") or plugin.default_layer or list(widths)[-1]]
    return total
