"""Build everything that a report shows from a folder of records."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.published import Paper, papers_of
from bench.records import Record
from bench.report import mrs_mir, mrs_mir_page, paper_page
from bench.report.board import Board
from bench.report.build import boards
from bench.report.format import RANKED_BY
from bench.report.grid import Chapter
from bench.report.mir import Probed, chapters, probed
from bench.report.mrs_mir import Versus

if TYPE_CHECKING:
    from bench.report.plots import Plot


@dataclass(frozen=True)
class Report:
    """Recommendation boards, MIR results, their comparison, and published numbers."""

    boards: list[Board]
    probed: list[Probed]
    comparisons: list[Versus]
    chapters: list[Chapter]
    problems: list[str]

    def plots(self) -> list[Plot]:
        """Draw the figures; needs matplotlib."""
        from bench.report.plots import draw

        return draw(self.boards, self.comparisons, self.probed)


def report(
    records: Sequence[tuple[Path, Record | BenchError]],
    papers: Sequence[Paper] = (),
    metric: str = RANKED_BY,
    drawn: Collection[str] = (),
) -> Report:
    """Return the report of some records.

    Parameters
    ----------
    records
        Paths and records from `bench.records.read_all`; may be empty.
    papers
        Papers to show even if none of our boards uses their split; papers that match a board are always shown.
    metric
        Recommendation metric, without its k, to compare with MIR.
    drawn
        Further metrics whose bootstrap means the rows keep.

    """
    problems: list[str] = []
    found = boards(records, problems, (metric, *drawn))
    return report_of(found, probed(records), problems, papers, metric)


def report_of(
    found: list[Board],
    answers: list[Probed],
    problems: list[str],
    papers: Sequence[Paper] = (),
    metric: str = RANKED_BY,
) -> Report:
    """Return the report of boards, whose rows keep the bootstrap means of `metric`, and of MIR results."""
    every = {p.name: p for p in [*papers, *papers_of((b.data, b.split) for b in found)]}
    comparisons = mrs_mir.versus(found, answers, metric)
    made = chapters(answers) + [mrs_mir_page.chapter(each) for each in comparisons]
    for one in every.values():
        own = mrs_mir.of_paper(one)
        made += [paper_page.chapter(one, found, answers), *map(mrs_mir_page.chapter, own)]
        comparisons = [*comparisons, *own]
    return Report(found, answers, comparisons, made, problems)
