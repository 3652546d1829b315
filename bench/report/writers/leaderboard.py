"""A leaderboard of publishable records as static pages, with one table per data, split and lane."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.errors import BenchError
from bench.files.atomic import write_text
from bench.records import Record
from bench.report import budgets, columns
from bench.report.board import Board, Row
from bench.report.build import boards
from bench.report.eligible import eligible
from bench.report.format import MAIN, RANKED_BY, heading
from bench.report.mir import probed
from bench.report.report import report_of
from bench.report.writers import csv, html
from bench.report.writers.write import names

SHOWN = 5
"""Maximum number of rejected records that an error names."""

PREVIEW = (
    "Preview: these data were made by the project itself. The pages look as they would for real listening, but their "
    "numbers are no evidence about music, and no entry of a leaderboard."
)


def write(
    records: Sequence[tuple[Path, Record | BenchError]],
    folder: Path,
    metrics: tuple[str, ...] = MAIN,
) -> tuple[list[Path], list[str]]:
    """Write ``index.html`` and, for each data and split, a page and a CSV; return their paths and the problems.

    Records of built-in data stand on pages of their own, each marked as a preview. The same records give the same
    bytes.

    Raises
    ------
    BenchError
        When no record may be shown, or the folder cannot be written.

    """
    found = eligible(records)
    problems = found.refused
    made = _boards(found.entries, problems)
    previews = _boards(found.previews, problems)
    if not made and not previews:
        left = "".join(f"\n  {problem}" for problem in problems[:SHOWN])
        left += f"\n  ... and {more} more" if (more := len(problems) - SHOWN) > 0 else ""
        raise BenchError(
            f"none of {len(records)} records may stand on a leaderboard: it takes runs on real data, with trained "
            f"weights, in one lane.{left}"
        )
    texts: dict[str, str] = {}
    every = [*made, *previews]
    answers = {False: probed(found.entries), True: probed(found.previews)}
    for board, name in zip(every, names(every), strict=True):
        texts[f"{name}.html"] = html.page(
            f"{'Preview' if board.builtin else 'Leaderboard'}: {board.title}",
            [board],
            report_of([board], answers[board.builtin], []).chapters,
            metrics=metrics,
            lead=[*([PREVIEW] if board.builtin else []), _how(board)],
            links=[("All leaderboards", "index.html"), ("These numbers as CSV", f"{name}.csv")],
            watermark="Preview" if board.builtin else "",
        )
        texts[f"{name}.csv"] = csv.table(board)
    texts["index.html"] = html.render(
        "leaderboard.html",
        title="Leaderboards",
        boards=list(zip(every, names(every), strict=True)),
        leaders=_leaders,
        preview=PREVIEW,
        problems=problems,
        watermark="" if made else "Preview",
    )
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts], problems


def _boards(records: Sequence[tuple[Path, Record]], problems: list[str]) -> list[Board]:
    return boards([(path, record) for path, record in records if record.kind == "run"], problems, (RANKED_BY,))


def _how(board: Board) -> str:
    entries = sum(len(block.rows) for block in board.blocks)
    return (
        f"Entries: {entries}, in tables by lane. Every candidate is ranked; controls and chance are always in; "
        "the best entry of a lane and those not told apart from it are bold."
    )


def _leaders(board: Board, rows: Sequence[Row]) -> list[str]:
    """Describe the best row of a lane in the main metric, and the rows not told apart from it if any were compared."""
    if not board.ranked_by or not rows:
        return ["no entry but controls"]
    where, metric = board.ranked_by
    level = [row for row in rows if (value := row.values.get(where, {}).get(metric)) and value.best] or rows[:1]
    said = []
    for row in level:
        value = row.values.get(where, {}).get(metric)
        if value is not None:
            how = f"settings: {budgets.settings(row)}"
            said.append(f"{row.extractor} × {row.model}: {where} {heading(metric)} {columns.spanned(value)}; {how}")
    return said
