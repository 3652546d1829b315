"""Records of several folds of one split: which belong on one board, and which rows have all folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import stdev

from bench.files.atomic import digest
from bench.records import Record
from bench.report.board import Board
from bench.report.format import heading, short
from bench.text import numbered, one_line

Found = tuple[Path, Record]

SHOWN = 3
"""Number of rows of a block whose folds a note lists, best first."""


def pooled(groups: Sequence[list[Found]], identity: Callable[[Record], str]) -> list[list[Found]]:
    """Join the groups that are folds of one split; each group has the records of one split and main k.

    Groups stay apart if two of them are the same fold, of different data, or if no row has all folds.

    Parameters
    ----------
    groups
        Paths and records.
    identity
        Names the row to which a record belongs.

    """
    joined: dict[str | int, list[list[Found]]] = {}
    for number, group in enumerate(groups):
        first = group[0][1]
        joined.setdefault(number if first.split.fold is None else _series(first), []).append(group)
    out = []
    for parts in joined.values():
        rows = [_rows(part, identity) for part in parts]
        distinct = len({part[0][1].split.fold for part in parts}) == len(parts)
        if distinct and set.intersection(*rows):
            out.append([found for part in parts for found in part])
        else:
            out += parts
    return out


def _rows(part: Sequence[Found], identity: Callable[[Record], str]) -> set[str]:
    """Return the rows of one fold: those of its controls only if it has no others."""
    real = {identity(record) for _, record in part if not record.control}
    return real or {identity(record) for _, record in part}


def _series(record: Record) -> str:
    """Hash what the folds of one split have in common: settings, main k, the log, and what was left out of it."""
    split = record.split
    settings = {name: value for name, value in split.settings.items() if name != "fold"}
    log = [split.counted(*path) for path in (("log",), ("left_out",), ("left_out", "plays"))]
    return digest([record.data.name, split.name, split.version, settings, record.k[:1], *log])


def with_all_folds(same: Sequence[Found], folds: Sequence[int], problems: list[str]) -> list[Found]:
    """Return the records of one row, sorted by fold and seed, with the seeds that every fold has.

    A seed that some fold lacks is left out with a line in `problems`, and so is a row without any complete seed.
    """
    seeds_of = {fold: {record.seed for _, record in same if record.split.fold == fold} for fold in folds}
    each = list(seeds_of.values())
    kept = set.intersection(*each)
    for seed in sorted(set.union(*each) - kept):
        lacking = [fold for fold in folds if seed not in seeds_of[fold]]
        first = same[0][1]
        name = f"{first.extractor.spec} × {first.recommender.spec} (seed {seed})"
        problems.append(one_line(f"{name} has no record of {numbered('fold', lacking)}, which other rows have."))
    return [found for fold in folds for found in same if found[1].split.fold == fold and found[1].seed in kept]


def spread(board: Board) -> list[str]:
    """Return a sentence with the means of the best rows in each fold, and their standard deviation over the folds."""
    if board.folds == 1 or not board.ranked_by:
        return []
    where, metric = board.ranked_by
    said = []
    for row in (row for block in board.blocks for row in block.rows[:SHOWN]):
        if len(each := row.by_fold(where, metric)) > 1:
            means = " ".join(map(short, each))
            said.append(f"{row.extractor} × {row.model} {means} (standard deviation {short(stdev(each))})")
    return [f"{where} {heading(metric)} in {numbered('fold', board.fold_numbers)}: {'; '.join(said)}."] if said else []
