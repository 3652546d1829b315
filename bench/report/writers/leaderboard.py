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
from bench.report.format import MAIN, RANKED_BY, heading
from bench.report.mir import probed
from bench.report.report import report_of
from bench.report.writers import csv, html
from bench.report.writers.write import names
from bench.text import one_line

Found = tuple[Path, Record]
SHOWN = 5
"""Maximum number of rejected records that an error names."""


def publishable(records: Sequence[tuple[Path, Record | BenchError]], problems: list[str]) -> list[Found]:
    """Return the publishable records; append a line to `problems` for each of the others.

    Records with built-in or incomplete data, random weights, weights of synthesised music or mixed lanes are rejected
    (`Record.publishable`), and so are results published by others, which reports show beside ours.
    """
    kept: list[Found] = []
    for path, record in records:
        if isinstance(record, BenchError):
            problems.append(one_line(record))
        elif why := _unfit(record):
            problems.append(one_line(f"{path}: {why}"))
        else:
            kept.append((path, record))
    return kept


def _unfit(record: Record) -> str | None:
    if record.kind == "imported":
        return "published figures of others are no entries"
    if record.publishable:
        return None
    if record.data.builtin:
        return "built-in data"
    if record.data.complete is False:
        return "items of the task are missing"
    if record.lane == "mixed":
        return "mixed lanes"
    return "random weights" if record.extractor.untrained else "weights trained on synthesised music alone"


def write(
    records: Sequence[tuple[Path, Record | BenchError]],
    folder: Path,
    metrics: tuple[str, ...] = MAIN,
) -> tuple[list[Path], list[str]]:
    """Write ``index.html`` and, for each data and split, a page and a CSV; return their paths and the problems.

    The same records give the same bytes.

    Raises
    ------
    BenchError
        When no record may be published, or the folder cannot be written.

    """
    problems: list[str] = []
    kept = publishable(records, problems)
    found = boards([(path, record) for path, record in kept if record.kind == "run"], problems, (RANKED_BY,))
    if not found:
        left = "".join(f"\n  {problem}" for problem in problems[:SHOWN])
        left += f"\n  ... and {more} more" if (more := len(problems) - SHOWN) > 0 else ""
        raise BenchError(
            f"none of {len(records)} records may stand on a leaderboard: it takes runs on real data, with trained "
            f"weights, in one lane.{left}"
        )
    texts: dict[str, str] = {}
    answers = probed(kept)
    for board, name in zip(found, names(found), strict=True):
        texts[f"{name}.html"] = html.page(
            f"Leaderboard: {board.title}",
            [board],
            report_of([board], answers, []).chapters,
            metrics=metrics,
            lead=[_how(board)],
            links=[("All leaderboards", "index.html"), ("These numbers as CSV", f"{name}.csv")],
        )
        texts[f"{name}.csv"] = csv.table(board)
    texts["index.html"] = html.render(
        "leaderboard.html",
        title="Leaderboards",
        boards=list(zip(found, names(found), strict=True)),
        leaders=_leaders,
        problems=problems,
    )
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts], problems


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
