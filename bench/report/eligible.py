"""Which records may stand on a leaderboard, which only on a preview of one, and which on neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import BenchError
from bench.records import Record
from bench.text import one_line

Found = tuple[Path, Record]


@dataclass
class Eligible:
    """Records by what may be done with them.

    entries : may stand on a leaderboard
    previews : of built-in data: show what a leaderboard would look like, and are no results about music
    refused : a line with path and reason for each of the others
    """

    entries: list[Found] = field(default_factory=list)
    previews: list[Found] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def eligible(records: Sequence[tuple[Path, Record | BenchError]]) -> Eligible:
    """Sort records by what may be done with them.

    An entry has real and complete data, weights trained on real music, and one lane. A preview has built-in data; its
    weights may be random, and its lanes mixed. Results published by others are refused: reports show them beside ours.
    """
    found = Eligible()
    for path, record in records:
        if isinstance(record, BenchError):
            found.refused.append(one_line(record))
        elif record.kind == "imported":
            found.refused.append(one_line(f"{path}: published figures of others are no entries"))
        elif record.data.builtin:
            found.previews.append((path, record))
        elif reason := refused(record):
            found.refused.append(one_line(f"{path}: {reason}"))
        else:
            found.entries.append((path, record))
    return found


def refused(record: Record) -> str | None:
    """Return why a record of data that are not built in may not stand on a leaderboard; None if it may."""
    if record.data.complete is False:
        return "items of the task are missing"
    if record.lane == "mixed":
        return "mixed lanes"
    if record.extractor.untrained:
        return "random weights"
    if record.extractor.synthetic:
        return "weights trained on synthesised music alone"
    return None
