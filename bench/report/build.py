"""Build boards from records: group cells into rows and blocks, and sort them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from bench.errors import BenchError
from bench.files.atomic import digest
from bench.records import Record
from bench.records.codec import encode
from bench.report.board import LANES, Block, Board, Row
from bench.report.folds import pooled, with_all_folds
from bench.report.format import MAIN, NONE, SETS, without_folders
from bench.report.notes import notes
from bench.report.recorded import chosen_layers, span
from bench.report.significance import complete
from bench.report.value import Value
from bench.text import one_line

Found = tuple[Path, Record]
Means = Mapping[str, Mapping[str, float]]


def boards(
    records: Iterable[tuple[Path, Record | BenchError]],
    problems: list[str] | None = None,
    drawn: Collection[str] = (),
) -> list[Board]:
    """Return one board per (data, split, main k), each with a block per lane; `probed` handles probes.

    Records of several folds of one split give one board, whose values are means over the folds.

    Parameters
    ----------
    records
        Paths and records from `bench.records.read_all`; per-user files are read from beside the paths.
    problems
        Receives a line for everything that cannot be used, such as unreadable records, duplicate
        cells and per-user files that do not match. None of these raises an error.
    drawn
        Metrics whose bootstrap means the rows keep, for further statistics: at the main k (``ndcg``), or at another
        (``ndcg@10``).

    """
    problems = [] if problems is None else problems
    groups: dict[tuple[str, str, int | None], list[Found]] = {}
    for path, record in records:
        if isinstance(record, BenchError):
            problems.append(one_line(record))
        elif not record.is_probe:
            key = (record.data.name, record.split.fingerprint, record.k[0] if record.k else None)
            groups.setdefault(key, []).append((path, record))
    made = [_board(found, problems, drawn) for found in pooled(list(groups.values()), _identity)]
    return sorted(made, key=lambda b: (b.data, b.split, b.fingerprint, b.k))


def _board(found: list[Found], problems: list[str], drawn: Collection[str]) -> Board:
    found = sorted(found, key=lambda f: str(f[0]))
    first = found[0][1]
    splits = dict(sorted({(record.split.fold or 0): record.split.fingerprint for _, record in found}.items()))
    folds = tuple(splits) if len(splits) > 1 else ()
    lanes = [lane for lane in LANES if any(record.lane == lane for _, record in found)]
    blocks = [_block(lane, [f for f in found if f[1].lane == lane], folds, problems) for lane in lanes]
    board = Board(
        data=one_line(first.data.name),
        builtin=any(record.data.builtin for _, record in found),
        split=one_line(first.split.name),
        fingerprint=digest(list(splits.values())) if folds else first.split.fingerprint,
        k=_cutoffs([record.k for _, record in found]),
        blocks=blocks,
        fold_numbers=folds,
    )
    if board.ranked_by:
        where, metric = board.ranked_by
        for block in blocks:
            for rows in (block.rows, block.controls):
                rows.sort(key=lambda row: (-_or_least(row.mean(where, metric)), row.model, row.extractor))
    kept = {name if "@" in name else f"{name}@{k}" for name in drawn for k in board.k[:1]}
    full = kept | {f"{name}@{k}" for name in MAIN for k in board.k[:1]}
    for block in blocks:
        complete(block, problems, kept, full, board.ranked_by[1] if board.ranked_by else "")
    board.notes = notes(board)
    return board


def _cutoffs(lists: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Return all cut-offs of records with one main k: in given order if all agree, else the main one, then sorted."""
    if len(set(lists)) == 1:
        return lists[0]
    return (lists[0][0], *sorted({k for each in lists for k in each} - {lists[0][0]}))


def _or_least(mean: float | None) -> float:
    return -math.inf if mean is None else mean


def _block(lane: str, found: list[Found], folds: Sequence[int], problems: list[str]) -> Block:
    groups: dict[str, list[Found]] = {}
    for path, record in sorted(found, key=lambda f: f[1].seed):
        groups.setdefault(_identity(record), []).append((path, record))
    records_of = {identity: _unique(same, problems) for identity, same in groups.items()}
    if folds:
        records_of = {identity: with_all_folds(same, folds, problems) for identity, same in records_of.items()}
    rows = [_row(identity, same) for identity, same in records_of.items() if same]
    _label(rows)
    real, controls = [r for r in rows if not r.control], [r for r in rows if r.control]
    return Block(lane, real, controls, _chance(rows))


def _identity(record: Record) -> str:
    """Hash what identifies a row: specs, lanes, view, and settings, whose defaults can change between versions."""
    sides = [
        {"name": side.name, "spec": side.spec, "lane": side.lane, "view": view, "settings": side.settings}
        for side, view in ((record.extractor, encode(record.extractor.view)), (record.recommender, None))
    ]
    return digest([record.kind, record.control, *sides, *(["refit"] if record.recommender.refit else [])])


def _unique(same: list[Found], problems: list[str]) -> list[Found]:
    """Keep one record per fold and seed, with most cut-offs; report a dropped one if its values are not all in it."""
    kept: dict[tuple[int | None, int], Found] = {}
    for path, record in sorted(same, key=lambda found: (found[1].seed, -len(found[1].k))):
        cell = record.split.fold, record.seed
        if cell not in kept:
            kept[cell] = (path, record)
            continue
        other, shown = kept[cell]
        if len(record.k) < len(shown.k) and _within(record.metrics, shown.metrics):
            continue
        how = "repeats" if shown.inputs_sha256 == record.inputs_sha256 else "is the same cell, with other inputs, as"
        problems.append(one_line(f"{path} {how} {other}; only the latter is shown."))
    return list(kept.values())


def _within(some: Means, more: Means) -> bool:
    """Return whether `more` contains every value of `some`."""
    return all(more.get(where, {}).get(name) == value for where in some for name, value in some[where].items())


def _row(identity: str, records: list[Found]) -> Row:
    values: dict[str, dict[str, Value]] = {}
    folds: dict[int | None, list[Record]] = {}
    for _, record in records:
        folds.setdefault(record.split.fold, []).append(record)

    def means_of(of: Callable[[Record], Means]) -> dict[str, dict[str, float]]:
        return _means([_means([of(record) for record in each]) for each in folds.values()])

    for where, means in means_of(lambda record: record.metrics).items():
        values[where] = {}
        for metric, mean in means.items():
            # Intervals of single folds say nothing about their mean.
            bounds = [span(r, where, metric) if len(folds) == 1 else None for _, r in records]
            known = [b for b in bounds if b is not None]
            if len(known) == len(bounds):
                # With several seeds this is only the span; `complete` computes better intervals from per-user files.
                values[where][metric] = Value(mean, min(b[0] for b in known), max(b[1] for b in known))
            else:
                values[where][metric] = Value(mean)
    return Row(
        extractor="",
        model="",
        records=records,
        values=values,
        chance=means_of(lambda record: record.chance),
        beyond=means_of(lambda record: record.beyond),
        identity=identity,
    )


def _means(each: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Average over seeds (or folds) the metrics that all of them have."""
    return {
        where: {
            metric: fmean(one[where][metric] for one in each)
            for metric in each[0][where]
            if all(metric in one[where] for one in each)
        }
        for where in SETS
        if all(where in one for one in each)
    }


def _label(rows: list[Row]) -> None:
    """Name rows by spec and treatment, without the folders of paths; add details until all names differ."""
    for row in rows:
        assert row.first
        row.extractor = _named(row, without_folders(row.first.extractor.spec))
        row.model = one_line(row.first.recommender.spec + (" (refit)" if row.first.recommender.refit else ""))
    for row in _alike(rows):
        assert row.first
        row.extractor = _named(row, row.first.extractor.spec)
    for row in _alike(rows):
        assert row.first
        layers = [layer for layer in row.first.extractor.view.layers if layer]
        if layers and "layer=" not in row.extractor:
            row.extractor += f" layer {one_line('+'.join(layers))}"
    for row in _alike(rows):
        row.model += f" #{row.identity[:4]}"


def _named(row: Row, spec: str) -> str:
    records = [record for _, record in row.records]
    treat = records[0].extractor.view.treat
    marks = [chosen_layers(records), f" ({treat})" if treat and treat != "none" else ""]
    return one_line("".join([spec, *marks]))


def _alike(rows: list[Row]) -> list[Row]:
    """Return the rows that share their name with another row."""
    names = [(row.extractor, row.model) for row in rows]
    return [row for row, name in zip(rows, names, strict=True) if names.count(name) > 1]


def _breadth(row: Row, where: str) -> tuple[int, int]:
    return (row.first.candidates.get(where, 0) if row.first else 0), len(row.chance[where])


def _chance(rows: list[Row]) -> Row:
    """Return the row of chance levels, taken for each candidate set from the row with most candidates."""
    chance: dict[str, dict[str, float]] = {}
    for where in SETS:
        if having := [row for row in rows if row.chance.get(where)]:
            fullest = max(having, key=lambda row: _breadth(row, where))
            chance[where] = fullest.chance[where]
    values = {w: {m: Value(mean) for m, mean in means.items()} for w, means in chance.items()}
    return Row("chance", NONE, [], values, chance, {})
