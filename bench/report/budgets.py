"""Which rows of a table were tuned, and whether their searches were equal: same space, trials and sampler."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from bench.records import SearchInfo
from bench.report.board import Block, Board, Note, Row
from bench.report.format import NONE, without_folders
from bench.text import counted, one_line

DEFAULT, GIVEN = "default", "as given"
MOST = 10
"""Maximum number of rows that a note names."""


def search_of(row: Row) -> SearchInfo | None:
    """Return the search that found a row's settings; None if it was not tuned by ``bench tune``."""
    return next((record.recommender.search for _, record in row.records if record.recommender.search), None)


def model_before(row: Row) -> str:
    """Return the spec of a row's model before tuning, by which a tuned row and its tuned control belong together."""
    search = search_of(row)
    return search.base if search else row.first.recommender.spec if row.first else ""


def settings(row: Row) -> str:
    """Return how a row's settings were chosen: ``tuned (30)`` for 30 trials, ``default`` or ``as given``.

    A search that ended early is ``tuned (12 of 30)``. Rows without settings and published figures have a dash.
    """
    if search := search_of(row):
        made = len(search.trials)
        return f"tuned ({made} of {search.budget})" if search.budget and made < search.budget else f"tuned ({made})"
    if row.first is None or row.imported or (row.control and row.first.extractor.name == "none"):
        return NONE  # popularity and random recommendations are the controls without vectors
    given = row.first.recommender.spec.partition(":")[2]
    return GIVEN if given and not re.fullmatch(r"lane=\w+", given) else DEFAULT


def notes(board: Board) -> list[Note]:
    """Say how the settings of the rows were chosen, and warn of comparisons that this makes unfair."""
    if not any(search_of(row) for row in board.rows):
        return [Note("No row was tuned by `bench tune`: settings are the models' defaults, or as given in the name.")]
    found = []
    for block in board.blocks:
        own = [row for row in block.all if settings(row) != NONE]
        tuned = {id(row): search for row in own if (search := search_of(row))}
        if others := [row for row in own if id(row) not in tuned] if tuned else []:
            names = _names(row for row in own if id(row) in tuned)
            found.append(
                f"Tuned beside untuned rows: {names} had their settings tuned, {_names(others)} not. "
                "A difference between the two may be one of tuning alone."
            )
        found += _unequal(own, tuned)
    equal = "" if found else " All of them had equal searches: the same trials, and one space for each model."
    meaning = f"Tuned (N): the best of N trials on validation data; the test part was used once.{equal}"
    return [Note(one_line(text), True) for text in [meaning, *found]]


def _unequal(rows: Sequence[Row], tuned: dict[int, SearchInfo]) -> list[str]:
    """Name the tuned rows whose trials, time or searches differ; a space that is used up has no further settings."""
    found = []
    trials: dict[int, list[Row]] = {}
    spaces: dict[str, dict[tuple[str, ...], list[Row]]] = {}
    for row in rows:
        if search := tuned.get(id(row)):
            if search.ended != "space":
                trials.setdefault(len(search.trials), []).append(row)
            kind = (search.space, search.sampler, str(search.seed), search.objective)
            spaces.setdefault(search.base, {}).setdefault(kind, []).append(row)
    if len(trials) > 1:
        each = "; ".join(f"{counted(number, 'trial')} for {_names(trials[number])}" for number in sorted(trials))
        found.append(f"Unequal budgets: {each}. More trials find better settings.")
    if cut := [row for row in rows if (search := tuned.get(id(row))) and search.ended == "time"]:
        found.append(f"Ended by their time limit, so that their budgets are not equal: {_names(cut)}.")
    for base, kinds in spaces.items():
        if len(kinds) > 1:
            each = "; ".join(f"{space} ({sampler}, seed {seed}, {objective}) for {_names(having)}"
                             for (space, sampler, seed, objective), having in kinds.items())  # fmt: skip
            found.append(f"Unequal searches of {without_folders(base)}: {each}.")
    if failed := [
        f"{row.extractor} × {row.model} {lost} of {len(search.trials)}"
        for row in rows
        if (search := tuned.get(id(row))) and (lost := sum(trial.value is None for trial in search.trials))
    ]:
        found.append(f"Failed trials count as trials: {', '.join(failed[:MOST])}{_more(failed)}.")
    return found


def _names(rows: Iterable[Row]) -> str:
    names = [f"{row.extractor} × {row.model}" for row in rows]
    return ", ".join(names[:MOST]) + _more(names)


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - MOST} more" if len(names) > MOST else ""


def shown(block: Block) -> bool:
    """Whether a table needs the column of `settings`: any of its rows was tuned."""
    return any(search_of(row) for row in block.all)
