"""The notes below a table, made from the records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from bench.datasets.contamination import same_catalogue
from bench.records import Record
from bench.report import budgets
from bench.report.board import Block, Board, Note, Row
from bench.report.folds import spread
from bench.report.format import SETS, heading, percent
from bench.stats import LEAST_USERS, least_different, undecided
from bench.text import numbered, one_line

ONCE, SPANNED, IMPORTED, UNTRAINED = "†", "‡", "§", "¶"
"""Marks after the number of seeds."""


def marks(row: Row) -> str:
    """Return the marks of a row, in the order of their explanations."""
    untrained = row.first is not None and bool(row.first.extractor.untrained)
    given = ((ONCE, row.once), (SPANNED, row.spanned), (IMPORTED, row.imported), (UNTRAINED, untrained))
    return "".join(mark for mark, there in given if there)


def notes(board: Board) -> list[Note]:
    """Return every note of a board; notes needed to interpret a number are `brief`."""
    found: list[Note] = []
    if board.builtin:
        found.append(
            Note(f"{board.data} was made by the project itself: these numbers are not for leaderboards.", True)
        )
    found.append(Note(_sizes(board), True))
    found += [Note(text, True) for text in spread(board)]
    found += _intervals(board)
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


def _intervals(board: Board) -> list[Note]:
    rows = board.rows
    several = max((len(row.seeds) for row in rows), default=0)
    text = "Intervals: 95 %, percentile bootstrap over users"
    if several > 1:
        text += "; with several seeds, the mean over seeds, with seeds and users drawn anew together"
        if any(1 < len(row.seeds) < 5 for row in rows):
            text += " (with fewer than five seeds too narrow)"
    reasons = {
        f"{block.lane} {where}": reason
        for block in board.blocks
        for where, reason in block.undecided.items()
        if where in board.sets and len(block.rows) > 1
    }
    text += f". Near a hit rate of 0 or 1 they are Wilson's; below {LEAST_USERS} users there are none."
    if board.folds > 1:
        folds = numbered("fold", board.fold_numbers)
        text = f"All values are means over {folds} of the means over seeds, without intervals."
    found = [Note(text, board.folds > 1)]
    if any(v.best for row in rows for values in row.values.values() for v in values.values()):
        found.append(
            Note(
                "Bold (* on the console): level with the best of its lane, controls aside. Level is what a paired "
                "test over the same users (and seeds, where there are several) cannot tell from it: p above 0.05, "
                "Holm-corrected over the rows of the lane for each metric and candidate set.",
                True,
            )
        )
        found += [Note(text, True) for text in _differences(board)]
    if untested := [row for block in board.blocks for row in block.untested]:
        names = _listed([f"{row.extractor} × {row.model}" for row in untested], most=10)
        found.append(
            Note(f"Without usable per-user files, so compared with no other row, and never bold: {names}.", True)
        )
    if elsewhere := [row for block in board.blocks for row in block.elsewhere]:
        names = _listed([f"{row.extractor} × {row.model}" for row in elsewhere], most=10)
        found.append(Note(f"Measured on other users than most rows, so compared with none, never bold: {names}.", True))
    if reasons:
        listed = "; ".join(f"{where}: {reason}" for where, reason in reasons.items())
        found.append(Note(f"Nothing is marked as level with the best where that cannot be tested ({listed}).", True))
    return found


def _differences(board: Board) -> list[str]:
    """Say on how many users rows differ from the best one, and for which rows these are too few for a test."""
    if not board.ranked_by:
        return []
    metric = board.ranked_by[1]
    spans: list[str] = []
    few: dict[str, None] = {}
    for where in board.sets:
        compared = [
            (differ, row.first.users[where], f"{row.extractor} × {row.model} ({where} {differ})")
            for row in board.rows
            if row.first and (value := row.values.get(where, {}).get(metric)) and (differ := value.differ) is not None
        ]
        if compared:
            low, high = min(compared)[0], max(compared)[0]
            of = max(users for _, users, _ in compared)
            spans.append(f"{where} {low:,}{'' if low == high else f' to {high:,}'} of {of:,}")
            few.update(dict.fromkeys(name for differ, _, name in compared if undecided(differ)))
    found = []
    if spans:
        found.append(f"Users whose {heading(metric)} is not that of the best row of the lane: {', '.join(spans)}.")
    if few:
        found.append(
            f"Undecided, as fewer than {least_different()} users differ from the best row, which no test can tell from "
            f"chance: {_listed(few, most=10)}."
        )
    return found


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
            found.append(f"On {where} {heading(metric)} ({block.lane}) no row beats the control {_listed(above)}.")
    return found


def _unranked(board: Board) -> list[str]:
    """Name the rows without values on a candidate set because they score all its items equally."""
    found = []
    for where in SETS:
        rows = [row for row in board.rows if any(where in record.unranked for _, record in row.records)]
        if rows:
            names = _listed([f"{row.extractor} × {row.model}" for row in rows], most=10)
            found.append(f"No figures on {where} for {names}: one score for all candidates is no ranking, but chance.")
    return found


def _marked(board: Board) -> list[str]:
    meaning = {
        ONCE: "a single training: how much it varies from seed to seed is unknown, and not in its interval",
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
        found.append(f"Warning ({where}{_listed(list(rows))}): {text}")
    return found


def _listed(names: Iterable[str], most: int = 3) -> str:
    names = list(names)
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
