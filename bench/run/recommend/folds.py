"""``bench run --folds``: the same comparison on several folds of a split, one record per cell and fold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import polars as pl

from bench.entries import ExtractorEntry, audio_extractors
from bench.errors import BenchError
from bench.protocols import Extractor
from bench.records import Record
from bench.run import plan
from bench.run.experiment import Experiment, Finished
from bench.run.extraction_plan import ExtractionPlan
from bench.run.extraction_task import Audio
from bench.run.inputs import open_data
from bench.run.recommend.experiment import RecommendExperiment
from bench.run.recommend.request import Cell, FoldsRequest, Resolved, resolve
from bench.splits.folds import specs_by_fold
from bench.text import numbered


@dataclass(frozen=True)
class FoldCell:
    """A cell on one fold."""

    fold: int
    cell: Cell

    @property
    def extractor(self) -> ExtractorEntry:
        """The extractor whose vectors are used."""
        return self.cell.extractor

    @property
    def control(self) -> bool:
        """Whether the cell is a control."""
        return self.cell.control

    @property
    def seed(self) -> int:
        """Random seed of the cell."""
        return self.cell.seed

    def __str__(self) -> str:
        """Return a short name for messages."""
        return f"{self.cell} on fold {self.fold}"


class FoldsExperiment(Experiment[FoldCell]):
    """One experiment per fold, as if each were run by itself, with a common plan and a common order of cells.

    A process opens a fold when it first needs it, so that a worker reads only the folds of its own cells.
    """

    request: FoldsRequest
    resolved: Resolved

    def check(self) -> None:
        """Resolve the request, and check the folds if it names the split."""
        self.resolved = resolve(self.request)
        if self.request.split:
            specs_by_fold(self.request.split, self.request.folds)

    def needs_weights(self) -> list[Extractor]:
        """Return the requested extractors."""
        return audio_extractors(self.resolved.extractors)

    def read(self) -> None:
        """Open the data, and find its folds."""
        self.opened = replace(self.opened or open_data(self.request.data, self.environment), kept={})
        splits = specs_by_fold(self.request.split or self.opened.dataset.default_split, self.request.folds)
        self._closed = {fold: self._of(split) for fold, split in splits.items()}
        self._read: dict[int, RecommendExperiment] = {}
        self.cells = [FoldCell(fold, cell) for fold in splits for cell in self.resolved.cells]

    def _of(self, split: str) -> RecommendExperiment:
        made = RecommendExperiment(self.request.of_fold(split), self.environment, self.ui)
        made.opened, made.resolved, made.cells = self.opened, self.resolved, self.resolved.cells
        made.repeat = self.repeat  # type: ignore[method-assign]  # a note of several folds is printed once
        return made

    def fold(self, number: int) -> RecommendExperiment:
        """Return the experiment of a fold, with its data read."""
        if number not in self._read:
            self._closed[number].read()
            self._read[number] = self._closed[number]
        return self._read[number]

    @cached_property
    def folds(self) -> dict[int, RecommendExperiment]:
        """All folds, read.

        Raises
        ------
        BenchError
            When their default cut-offs differ, which happens in small catalogues: their means would mix metrics.

        """
        found = {number: self.fold(number) for number in self._closed}
        if self.opened and self.opened.kept:
            self.opened.kept.clear()  # every split is made
        if len({tuple(each.k) for each in found.values()}) > 1:
            said = ", ".join(f"{each.k[0]} in fold {number}" for number, each in found.items())
            raise BenchError(f"the default k differs between folds ({said}): give --k.")
        return found

    @cached_property
    def audio(self) -> Audio:  # type: ignore[override]
        """The tracks of all folds: one without training plays in some fold is not in that fold's split."""
        every = pl.concat([each.audio.rows for each in self.folds.values()])
        return Audio(every.unique("track_id", keep="first", maintain_order=True))

    @cached_property
    def extraction(self) -> ExtractionPlan:  # type: ignore[override]
        """The sets of vectors that the folds share."""
        first = next(iter(self.folds.values()))
        return ExtractionPlan([task.extractor for task in first.extraction], self.audio, self.environment)

    # -- plan ---------------------------------------------------------------------------------------------

    def describe(self) -> Iterable[str]:
        """Return the sizes of every fold, and the notes about them, each once."""
        return dict.fromkeys(line for each in self.folds.values() for line in each.describe())

    def listed(self, todo: Sequence[FoldCell]) -> Iterable[str]:
        """Return the cells to compute, of folds with the same cells together."""
        alike: dict[tuple[str, ...], list[int]] = {}
        for number in self.folds:
            mine = [cell.cell for cell in todo if cell.fold == number]
            lines = tuple(plan.cells(mine, len(self.resolved.cells) - len(mine)))
            alike.setdefault(lines, []).append(number)
        for lines, numbers in alike.items():
            where = numbered("fold", numbers) if len(numbers) == 1 else f"each of {numbered('fold', numbers)}"
            yield from (f"{where}: {line}" for line in lines)

    def forecast(self, todo: Sequence[FoldCell]) -> Iterable[str]:
        """Return the lines about device and memory of the first fold with something to do; all are of one size."""
        first = self.fold(todo[0].fold)
        yield from first.forecast([cell.cell for cell in todo if cell.fold == todo[0].fold])
        self.cell_bytes = first.cell_bytes

    # -- records ------------------------------------------------------------------------------------------

    def blank(self, cell: FoldCell) -> Record:
        """Return the record of a cell without numbers."""
        return self.fold(cell.fold).blank(cell.cell)

    def inputs_hash(self, cell: FoldCell, record: Record) -> str:
        """Hash everything on which the numbers of a cell depend."""
        return self.fold(cell.fold).inputs_hash(cell.cell, record)

    def valid(self, record: Record) -> bool:
        """Whether the record's training is complete, or would have no more time now."""
        return next(iter(self._closed.values())).valid(record)

    def fill(self) -> int:
        """Compute the missing vectors of all folds."""
        lacking = self.extraction.lacking
        failed = super().fill()
        if lacking:
            for each in self.folds.values():
                each.extraction.renew()
        return failed

    def do(self) -> Finished:
        """Compute and record; with ``--refit``, also return the stored records of the cells without it."""
        out = super().do()
        out.records += [found for each in self.folds.values() for found in each.without_refit()]
        return out

    def compute(self, cell: FoldCell, record: Record) -> tuple[Path, Record]:
        """Fit, rank, evaluate and record one cell."""
        for number, other in self._read.items():
            if number != cell.fold:
                other.forget_tables()  # of another fold, whose cells are done or far away
        return self.fold(cell.fold).compute(cell.cell, record)
