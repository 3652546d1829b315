"""``Results``: what was measured, as tables, frames, comparisons and figures."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from bench.errors import BenchError
from bench.records import Record, read_all
from bench.report import Board, Probed, show
from bench.report.compare import Comparison, compare, find_row
from bench.report.format import MAIN
from bench.report.frame import long_frame, wide_frame
from bench.report.plots import absent
from bench.report.report import Report, report
from bench.report.writers import html
from bench.terminal import screen
from bench.text import counted

if TYPE_CHECKING:
    import pandas as pd

    from bench.report.plots import Plot


class Results:
    """Records of recommenders and probes, and every table made from them.

    In a notebook it is shown as tables; ``print(results)`` gives the tables of the command line.

    Parameters
    ----------
    records
        Paths and records, as `bench.records.read_all` yields them; the files of single users lie beside the paths.

    """

    def __init__(self, records: Iterable[tuple[Path, Record | BenchError]]):
        self.records = list(records)

    @cached_property
    def _report(self) -> Report:
        return report(self.records)

    @property
    def boards(self) -> list[Board]:
        """One board for each data set, split and main k, with a row for each extractor and recommender."""
        return self._report.boards

    @property
    def probed(self) -> list[Probed]:
        """The MIR results of each lane."""
        return self._report.probed

    @property
    def problems(self) -> list[str]:
        """What could not be used, such as unreadable records; a line for each."""
        return self._report.problems

    def to_polars(self) -> pl.DataFrame:
        """Return a frame with a row for every value in full precision: metric by row, candidate set and k.

        Columns: data, split, set, extractor, model, lane, metric, k, seeds, value, low, high (95 % interval), chance,
        control, by_fold, settings, the evidence (`bench.report.board.Evidence`), and task for MIR results.
        """
        return long_frame(self.boards, self.probed)

    def to_pandas(self) -> pd.DataFrame:
        """Return `to_polars` as a frame of pandas; raise BenchError if pandas is not installed."""
        if find_spec("pandas") is None:
            raise BenchError("pandas is not installed: pip install pandas, or use to_polars().")
        return self.to_polars().to_pandas()

    def table(self) -> pl.DataFrame:
        """Return a frame with a row for each extractor and recommender, best first.

        For each candidate set it has the main metric with its interval, the multiple of chance, and whether the row is
        above its controls. MIR results have a column for each task and probe instead.
        """
        return wide_frame(self.boards, self.probed)

    def compare(
        self,
        a: str,
        b: str,
        *,
        metric: str | None = None,
        candidates: str | None = None,
        board: int | None = None,
    ) -> Comparison:
        """Return the paired difference of two rows over the same listeners, with its interval and p.

        Parameters
        ----------
        a, b
            Rows, such as ``"musicnn x knn"``; an extractor or model alone if one row has it.
        metric
            Metric with its k, such as ``"ndcg@10"``; None for the one by which rows are sorted.
        candidates
            Candidate set: ``"cold"``, ``"hot"`` or ``"mixed"``; None for the one by which rows are sorted.
        board
            Which of the `boards`, from 0; needed only if there are several.

        Raises
        ------
        BenchError
            If a row is not there, several could be meant, or its files of single users are missing.

        """
        chosen = self._board(board)
        where, name = chosen.ranked_by or ("", "")
        found = find_row(chosen, a), find_row(chosen, b)
        return compare(*found, candidates or where, metric or name, board=chosen.title)

    def plot(self) -> Figures:
        """Draw the figures for which the records have enough data.

        Raises
        ------
        BenchError
            If matplotlib is not installed.

        """
        if why := absent():
            raise BenchError(why)
        return Figures(self._report.plots())

    def _board(self, board: int | None) -> Board:
        if board is None and len(self.boards) > 1:
            told = "; ".join(f"{at}: {each.title}" for at, each in enumerate(self.boards))
            raise BenchError(f"there are several boards, give board= ({told}).")
        if not 0 <= (board or 0) < len(self.boards):
            raise BenchError(f"there is no board {board or 0}; of {counted(len(self.boards), 'board')}.")
        return self.boards[board or 0]

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        about = [board.title for board in self.boards]
        about += [f"MIR tasks, {each.lane} lane: {counted(len(each.rows), 'row')}" for each in self.probed]
        return f"Results({counted(len(self), 'record')}: {'; '.join(about) or 'none is readable'})"

    def __str__(self) -> str:
        console = screen(out := io.StringIO())
        show(self.boards, console, problems=self.problems, chapters=self._report.chapters)
        return "\n".join(line.rstrip() for line in out.getvalue().splitlines())

    def _repr_html_(self) -> str:
        made = self._report
        return html.render("notebook.html", boards=made.boards, chapters=made.chapters, problems=made.problems,
                           metrics=MAIN, scripts="")  # fmt: skip


class Figures(list["Plot"]):
    """Figures of a report, shown in a notebook one below the other."""

    def save(self, folder: str | Path) -> list[Path]:
        """Write every figure as SVG into a folder, and return the paths."""
        from bench.files.atomic import write_text

        paths = [Path(folder) / f"{plot.name}.svg" for plot in self]
        for path, plot in zip(paths, self, strict=True):
            write_text(path, plot.svg)
        return paths

    def _repr_html_(self) -> str:
        return html.render("figures.html", plots=self)


def load_results(folder: str | Path) -> Results:
    """Read a folder of records, with all folders below it.

    Parameters
    ----------
    folder
        What `run` and `probe`, or the command line, wrote: by default ``results``.

    Raises
    ------
    BenchError
        If the folder does not exist or holds no readable record.

    """
    found: Sequence[tuple[Path, Record | BenchError]] = list(read_all(Path(folder).expanduser()))
    if not any(isinstance(record, Record) for _, record in found):
        told = "".join(f"\n  {record}" for _, record in found[:5])
        raise BenchError(f"{folder} holds no result record.{told}")
    return Results(found)
