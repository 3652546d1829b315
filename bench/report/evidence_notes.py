"""The notes about intervals and tests, and about what the tests could have detected."""

from __future__ import annotations

from bench.report.board import Block, Board, Note
from bench.report.evidence import declared
from bench.report.format import first_few, heading, share, short
from bench.report.power import comparisons
from bench.stats import LEAST_USERS
from bench.stats.power import POWER
from bench.text import numbered


def intervals(board: Board) -> list[Note]:
    """Return the notes about intervals, marks and tests of a board."""
    rows = board.rows
    found = [Note(_how(board), board.folds > 1)]
    if board.ranked_by and any(row.controls for row in rows):
        found.append(
            Note(
                "Controls: whether a row is above both its own vectors in shuffled order and random vectors with the "
                f"same model, in {heading(board.ranked_by[1])}: p at most 0.05 in the same tests, Holm-corrected over "
                "the rows. Not above: nothing shows that the model uses the music.",
                True,
            )
        )
    reasons = {
        f"{block.lane} {where}": reason
        for block in board.blocks
        for where, reason in block.undecided.items()
        if where in board.sets and len(block.rows) > 1
    }
    if any(v.best for row in rows for values in row.values.values() for v in values.values()):
        found.append(
            Note(
                "Bold (* on the console): the best row of its lane, controls aside, and every row that is not told "
                "apart from it: p above 0.05 in a paired test over the same users, seeds where there are several, and "
                "artists on cold and mixed; Holm-corrected over the rows of the lane for each metric and candidate "
                "set. Not told apart does not mean equal. A row that is not above its controls is never bold.",
                True,
            )
        )
        found += [Note(text, True) for text in [*_differences(board), *_families(board)]]
    listeners = [row for row in rows if row.by_listeners]
    if listeners:
        names = first_few([f"{row.extractor} × {row.model}" for row in listeners], most=10)
        found.append(
            Note(
                "Without usable ranks of held-out tracks, so that intervals and tests on cold and mixed are over users "
                f"alone, and too optimistic: {names}.",
                True,
            )
        )
    if untested := [row for block in board.blocks for row in block.untested]:
        names = first_few([f"{row.extractor} × {row.model}" for row in untested], most=10)
        found.append(
            Note(f"Without usable per-user files, so compared with no other row, and never bold: {names}.", True)
        )
    if elsewhere := [row for block in board.blocks for row in block.elsewhere]:
        names = first_few([f"{row.extractor} × {row.model}" for row in elsewhere], most=10)
        found.append(Note(f"Measured on other users than most rows, so compared with none, never bold: {names}.", True))
    if reasons:
        listed = "; ".join(f"{where}: {reason}" for where, reason in reasons.items())
        found.append(Note(f"Nothing is compared with the best row where that cannot be tested ({listed}).", True))
    return found


def _how(board: Board) -> str:
    """Describe the intervals."""
    several = max((len(row.seeds) for row in board.rows), default=0) > 1
    text = ""
    if board.folds > 1:
        text = f"All values are means over {numbered('fold', board.fold_numbers)} of the means over seeds. "
    over = "users and seeds" if several else "users"
    text += "Intervals: 95 %."
    if "hot" in board.sets:
        text += f" On hot tracks over {over}: a percentile bootstrap"
        text += ", of several records Student's t of the logarithm" if several or board.folds > 1 else ""
        text += "."
    if others := [where for where in board.sets if where != "hot"]:
        text += (
            f" On {' and '.join(others)} over {over} and the artists of the held-out tracks together (two-way, "
            "Student's t of the logarithm), because other new tracks would give other values."
        )
    return f"{text} Near a hit rate of 0 or 1 they are Wilson's; below {LEAST_USERS} users there are none."


def _families(board: Board) -> list[str]:
    """Say where a lane has more rows than were declared before any of them was computed."""
    found = []
    for block in board.blocks:
        most = max((len(family.rows) for family in declared(block)), default=0)
        if 0 < most < len(block.rows):
            found.append(
                f"The {block.lane} lane has {len(block.rows)} rows, and no command declared more than {most}: some may "
                f"have been added after results were known. p is corrected for all {len(block.rows)}."
            )
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
            (evidence.differ, evidence.users or 0)
            for row in board.rows
            if (evidence := row.evidence(where, metric)) and evidence.differ is not None
        ]
        if compared:
            low, high = min(compared)[0], max(compared)[0]
            of = max(users for _, users in compared)
            spans.append(f"{where} {low:,}{'' if low == high else f' to {high:,}'} of {of:,}")
        few.update(
            dict.fromkeys(
                f"{row.extractor} × {row.model} ({where} {evidence.differ})"
                for row in board.rows
                if (evidence := row.evidence(where, metric)) and evidence.verdict == "undecided"
            )
        )
    found = []
    if spans:
        found.append(f"Users whose {heading(metric)} is not that of the best row of the lane: {', '.join(spans)}.")
    if few:
        found.append(
            "Undecided, because so few users differ from the best row that no test of so many rows can reach p 0.05: "
            f"{first_few(few, most=10)}."
        )
    return found


def below(board: Board, block: Block) -> list[str]:
    """Return what belongs below the evidence of a lane: what could have been detected, what counts as equivalent."""
    assert board.ranked_by
    metric = board.ranked_by[1]
    least, margins, without = [], [], []
    for where in board.sets:
        for closest in comparisons(block, where, metric)[:1]:
            gain = f" ({share(closest.smallest / closest.gain)} of the gain over shuffled)" if closest.gain else ""
            least.append(f"{where} " + (f"{short(closest.smallest)}{gain}" if closest.smallest < 1 else "none below 1"))
        for row in block.rows:
            one = row.evidence(where, metric)
            if one is None or one.verdict != "best":
                continue
            if one.margin is not None:
                margins.append(f"{where} ±{short(one.margin)}")
            else:
                why = "is not above its shuffled rows" if one.gain else "has no shuffled rows"
                without.append(f"{where} ({row.extractor} × {row.model} {why})")
    said = []
    if least:
        said.append(f"Smallest difference that could be told apart with {100 * POWER:.0f} % power: {', '.join(least)}.")
    if margins:
        said.append(f"Equivalent means within the margin by two one-sided tests; the margin is {', '.join(margins)}.")
    if without:
        said.append(f"No margin of equivalence, because the best row has no gain over shuffled: {', '.join(without)}.")
    return said
