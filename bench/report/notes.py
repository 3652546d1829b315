"""The notes below a table, made from the records."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.datasets.contamination import same_catalogue
from bench.records import Record
from bench.report import budgets
from bench.report.board import Block, Board, Note, Row
from bench.report.evidence_notes import intervals
from bench.report.folds import spread
from bench.report.format import HEARD, SETS, first_few, heading, percent
from bench.stats.components import FEW_SEEDS
from bench.text import numbered, one_line

ONCE, FEW, SPANNED, IMPORTED, UNTRAINED = "†", "°", "‡", "§", "¶"
"""Marks after the number of seeds."""


def marks(row: Row) -> str:
    """Return the marks of a row, in the order of their explanations."""
    untrained = row.first is not None and bool(row.first.extractor.untrained)
    given = ((ONCE, row.once), (FEW, row.few), (SPANNED, row.spanned), (IMPORTED, row.imported), (UNTRAINED, untrained))
    return "".join(mark for mark, there in given if there)


def any_heard(board: Board) -> bool:
    """Whether the tracks of some extractor's training are known, so that a column shows which tested ones it heard."""
    return any(row.heard is not None for row in board.rows)


def notes(board: Board) -> list[Note]:
    """Return every note of a board; notes needed to interpret a number are `brief`."""
    found: list[Note] = []
    if board.builtin:
        found.append(
            Note(f"{board.data} was made by the project itself: these numbers are not for leaderboards.", True)
        )
    found.append(Note(_sizes(board), True))
    found += [Note(text, True) for text in spread(board)]
    found += intervals(board)
    found += budgets.notes(board)
    found += [Note(text, True) for block in board.blocks for text in _controls(board, block)]
    found += [Note(text, True) for text in [*_unranked(board), *_marked(board)]]
    found += _tables(board)
    found.append(
        Note(
            "Chance: the expectation of each metric when the same candidates are ranked at random (exact, "
            f"no simulation).{_chance_differs(board)}"
        )
    )
    found.append(
        Note(
            "Every candidate is ranked for every user, less what the user heard before. Equal scores are "
            "ordered by a seeded permutation, never by id. A NaN score stops a run, so no number here hides "
            "one. Users without a hit count 0; – means absent."
        )
    )
    found += _machines(board)
    return found + [Note(text, True) for text in _warnings(board)]


def _sizes(board: Board) -> str:
    def sizes(kind: str, of: Callable[[Record], Mapping[str, int]]) -> str:
        texts = []
        for where in board.sets:
            counts = {of(r)[where] for row in board.rows for _, r in row.records if where in of(r)}
            if counts:
                low, high = min(counts), max(counts)
                texts.append(f"{where} {low:,}" if low == high else f"{where} {low:,} to {high:,}")
        return f" {kind}: {', '.join(texts)}." if texts else ""

    lists = ", ".join(map(str, board.k))
    each = " of each fold" if board.folds > 1 else ""
    users = sizes(f"Users{each}", lambda record: record.users)
    candidates = sizes(f"Candidates{each}", lambda record: record.candidates)
    return f"Lists of the first k = {lists} tracks.{users}{candidates}"


def _controls(board: Board, block: Block) -> list[str]:
    """Compare the controls with the rows above them."""
    if block.rows and not block.controls:
        return [f"There is no control in the {block.lane} lane: nothing shows that content matters there."]
    if not board.ranked_by:
        return []
    found = []
    for where in board.sets:
        metric = board.ranked_by[1]
        best = max((m for row in block.rows if (m := row.mean(where, metric)) is not None), default=None)
        above = [
            f"{row.extractor} × {row.model}"
            for row in block.controls
            if best is not None and (m := row.mean(where, metric)) is not None and m >= best
        ]
        if above:
            named = f"the control{'s' if len(above) > 1 else ''} {first_few(above)}"
            found.append(f"On {where} {heading(metric)} ({block.lane}) no row beats {named}.")
    return found


def _unranked(board: Board) -> list[str]:
    """Name the rows without values on a candidate set because they score all its items equally."""
    found = []
    for where in SETS:
        rows = [row for row in board.rows if any(where in record.unranked for _, record in row.records)]
        if rows:
            names = first_few([f"{row.extractor} × {row.model}" for row in rows], most=10)
            found.append(f"No figures on {where} for {names}: one score for all candidates is no ranking, but chance.")
    return found


def _marked(board: Board) -> list[str]:
    meaning = {
        ONCE: "a single seed: how much results vary from seed to seed is unknown, and not in its interval",
        FEW: f"fewer than {FEW_SEEDS} seeds: their variance is poorly known, so that intervals are wide",
        SPANNED: "no usable per-user files: the interval spans those of the single seeds",
        IMPORTED: "published figures, not computed here",
        UNTRAINED: "random weights: says nothing about the trained model",
    }
    used = {mark for row in board.rows for mark in marks(row)}
    return [f"{mark} {text}." for mark, text in meaning.items() if mark in used]


def _tables(board: Board) -> list[Note]:
    """Describe coverage and contamination of the extractors' tables."""
    found = []
    real = [row for block in board.blocks for row in block.rows]
    shares = sorted((row.extractor, row.coverage) for row in real if row.coverage is not None)
    if partly := {name: share for name, share in reversed(shares) if share < 1}:
        listed = ", ".join(f"{name} {percent(share)}" for name, share in sorted(partly.items()))
        text = (
            f"Coverage below 100 %: {listed} of the tracks have a vector. The others are never "
            "recommended there and count as missed; candidates and chance levels are those of all tracks."
        )
        found.append(Note(text, True))
    bound = {row.extractor: row.license for row in real if row.first and row.first.extractor.non_commercial}
    if bound:
        listed = "; ".join(f"{name} ({text})" for name, text in sorted(bound.items()))
        found.append(Note(one_line(f"For non-commercial use only, by the licence of their weights: {listed}."), True))
    if any_heard(board):
        found.append(Note(HEARD, True))
    declared = {row.extractor: row.trained_on for row in real if row.trained_on}
    same = sorted((name, on) for name, all_on in declared.items() for on in all_on if same_catalogue(on, board.data))
    if same:
        listed = ", ".join(f"{name} ({on})" for name, on in same)
        found.append(Note(one_line(f"Contamination: by declaration trained on {board.data} itself: {listed}."), True))
    if declared:
        listed = "; ".join(f"{name}: {', '.join(sorted(on))}" for name, on in sorted(declared.items()))
        found.append(Note(one_line(f"Declared training data: {listed}.")))
    return found


def _chance_differs(board: Board) -> str:
    for where in SETS:
        for block in board.blocks:
            levels = [row.chance[where] for row in block.all if row.chance.get(where)]
            if any(level[name] != one[name] for one in levels[:1] for level in levels for name in one if name in level):
                return (
                    " It differs between rows with different candidates: the table shows that of the row with "
                    "most candidates, the CSV each row's own."
                )
    return ""


def _machines(board: Board) -> list[Note]:
    """Say whether times are comparable, and whether all rows come from one version of the code."""
    found = []
    timed = [row for row in board.rows if row.cost(lambda cost: cost.extract_s_per_1000) is not None]
    where = sorted({where for row in timed for where in row.about(lambda e: f"{e.cpu}, {e.device}")})
    if len(where) == 1:
        found.append(Note(one_line(f"s/1000: seconds to extract 1,000 tracks on {where[0]}.")))
    elif where:
        listed = "; ".join(where)
        found.append(
            Note(one_line(f"s/1000: seconds to extract 1,000 tracks, on unlike machines, not comparable: {listed}."))
        )
    revisions = sorted({revision[:12] for row in board.rows for revision in row.about(lambda e: e.revision)})
    if len(revisions) > 1:
        found.append(Note(one_line(f"The rows come from different revisions of the code: {', '.join(revisions)}.")))
    return found


def _warnings(board: Board) -> list[str]:
    """Return each distinct warning of the records, with its rows."""
    rows_of: dict[str, dict[str, None]] = {}
    folds_of: dict[str, set[int]] = {}
    for row in board.rows:
        for _, record in row.records:
            for text in map(one_line, record.warnings):
                rows_of.setdefault(text, {})[f"{row.extractor} × {row.model}"] = None
                folds_of.setdefault(text, set()).add(record.split.fold or 0)
    found = []
    for text, rows in rows_of.items():
        in_some = 1 < board.folds > len(folds_of[text])
        where = f"{numbered('fold', sorted(folds_of[text]))}: " if in_some else ""
        found.append(f"Warning ({where}{first_few(list(rows))}): {text}")
    return found
