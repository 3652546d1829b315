"""Which records may stand on a leaderboard, which only on a preview of one, and which on neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.records import Record, users_path
from bench.text import one_line

Found = tuple[Path, Record]

OWN = "music-embedding-bench"
"""The package whose extractors all declare their weights; those of other packages are asked for a declaration."""


@dataclass(frozen=True)
class Reason:
    """Why a record may not stand on a leaderboard, and what would make it acceptable."""

    why: str
    remedy: str


@dataclass
class Eligible:
    """Records by what may be done with them.

    entries : may stand on a leaderboard
    previews : of built-in data: show what a leaderboard would look like, and are no results about music
    refused : a line with path and reason for each of the others
    marked : a line with path and reason for entries and previews that need a remark beside them; see `remarks`
    """

    entries: list[Found] = field(default_factory=list)
    previews: list[Found] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    marked: list[str] = field(default_factory=list)


def eligible(records: Sequence[tuple[Path, Record | BenchError]]) -> Eligible:
    """Sort records by what may be done with them.

    An entry has real and complete data, weights trained on real music, one lane, a training that ended by itself, and
    per-user values beside it. A preview has built-in data; its weights may be random, and its lanes mixed. Results
    published by others are refused: reports show them beside ours.
    """
    found, others = Eligible(), list[Path]()
    for path, record in records:
        if isinstance(record, BenchError):
            found.refused.append(one_line(record))
            continue
        if record.kind == "imported":
            others.append(path)
            continue
        if record.data.builtin:
            found.previews.append((path, record))
        elif reason := refused(record) or without_users(path, record):
            found.refused.append(one_line(f"{path}: {reason}"))
            continue
        else:
            found.entries.append((path, record))
        found.marked += [one_line(f"{path}: {remark}") for remark in remarks(record)]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        found.refused.append(one_line(f"{others[0]}{more}: published figures of others are no entries"))
    return found


def refused(record: Record) -> str | None:
    """Return why a record of data that are not built in may not stand on a leaderboard; None if it may."""
    found = reasons(record)
    return found[0].why if found else None


def reasons(record: Record) -> list[Reason]:
    """Return everything in a record itself that keeps it off leaderboards."""
    extractor = record.extractor
    checks = (
        (
            record.data.builtin,
            "simulated listening",
            "Run it on real listening; built-in data give previews.",
        ),
        (record.data.complete is False, "items of the task are missing", "Get all items of the task's official parts."),
        (record.lane == "mixed", "mixed lanes", "Run the extractor and the recommender with one --lane."),
        (extractor.untrained, "random weights", "Use trained weights."),
        (
            extractor.synthetic,
            "weights trained on synthesised music alone",
            "Train the weights on real music with `bench train`.",
        ),
        (
            record.cut_short,
            "--max-time ended its training",
            "Train without --max-time, or with more of it, until epochs or patience end the training.",
        ),
        (
            _undeclared(record),
            "an extractor of another package declares no training data",
            'Name the data in the extractor\'s `trained_on`, ("nothing",) if it has no weights, or set `untrained`.',
        ),
    )
    return [Reason(why, remedy) for wrong, why, remedy in checks if wrong]


def without_users(path: Path, record: Record) -> str | None:
    """Return why the per-user values of a run are missing; None if they are there, and for other records."""
    if record.kind != "run":
        return None
    if record.rows is None:
        return "it was written without per-user values"
    return None if users_path(path).is_file() else f"{users_path(path).name} is missing beside it"


def remarks(record: Record) -> list[str]:
    """Return what must be said beside a record: sets on which it is not above chance, missing ranks, a cut training."""
    found = []
    if record.kind == "run" and not record.control and record.k:
        for where, means in record.metrics.items():
            metric = f"ndcg@{record.k[0]}"
            value, chance = means.get(metric), record.chance.get(where, {}).get(metric)
            if value is not None and chance is not None and value <= chance:
                found.append(f"not above chance on {where} candidates")
    if record.kind == "run" and record.ranks is None:
        found.append("without ranks of held-out items: its tests on new items are over listeners alone")
    if record.cut_short:
        found.append("--max-time ended its training")
    return found


def _undeclared(record: Record) -> bool:
    """Whether an extractor of another package says neither what it was trained on nor that it is untrained."""
    origins: Any = record.extractor.origin
    if record.control or record.extractor.trained_on or not isinstance(origins, list | tuple):
        return False
    return any(isinstance(one, dict) and one.get("package") not in (OWN, None) for one in origins)
