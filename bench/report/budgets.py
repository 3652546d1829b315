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
    """Return the spec of a row's model before tuning."""
    search = search_of(row)
    return search.base if search else row.first.recommender.spec if row.first else ""


def same_model(row: Row, control: Row) -> bool:
    """Whether a row and a control have one model: the same settings, or both were tuned from the same spec."""
    if row.first is None or control.first is None:
        return False
    a, b = row.first.recommender, control.first.recommender
    tuned = search_of(row) is not None and search_of(control) is not None and model_before(row) == model_before(control)
    return a.refit == b.refit and (tuned or (a.spec, a.settings) == (b.spec, b.settings))


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
        tuned = [(row, search) for row in own if (search := search_of(row))]
        others = [row for row in own if search_of(row) is None]
        if tuned and others:
            found.append(
                f"Tuned beside untuned rows: {_names(row for row, _ in tuned)} were tuned, {_names(others)} were not. "
                "A difference between the two may be one of tuning alone."
            )
        found += _unequal(tuned)
    equal = "" if found else " All of them had equal searches: the same trials, and one space for each model."
    meaning = f"Tuned (N): the best of N trials on validation data, tested once.{equal}"
    return [Note(one_line(text), True) for text in [meaning, *found]]


def _unequal(tuned: Sequence[tuple[Row, SearchInfo]]) -> list[str]:
    """Name the rows whose trials, time or searches differ; a space that is used up has no further settings."""
    found = []
    trials: dict[int, list[Row]] = {}
    searches: dict[str, dict[str, list[Row]]] = {}
    for row, one in tuned:
        if one.ended != "space":
            trials.setdefault(len(one.trials), []).append(row)
        how = f"{one.space} ({one.sampler}, seed {one.seed}, {one.objective})"
        searches.setdefault(one.base, {}).setdefault(how, []).append(row)
    if len(trials) > 1:
        each = [f"{counted(number, 'trial')} for {_names(trials[number])}" for number in sorted(trials)]
        found.append(f"Unequal budgets: {'; '.join(each)}. More trials find better settings.")
    if cut := [row for row, one in tuned if one.ended == "time"]:
        found.append(f"Ended by the time limit, so that slow trainings made fewer or shorter trials: {_names(cut)}.")
    for base, kinds in searches.items():
        if len(kinds) > 1:
            each = [f"{how} for {_names(rows)}" for how, rows in kinds.items()]
            found.append(f"Unequal searches of {without_folders(base)}: {'; '.join(each)}.")
    failed = [(row, one, sum(trial.value is None for trial in one.trials)) for row, one in tuned]
    if each := [f"{_names([row])} {lost} of {len(one.trials)}" for row, one, lost in failed if lost]:
        found.append(f"Failed trials count as trials: {', '.join(each[:MOST])}{_more(each)}.")
    return found


def _names(rows: Iterable[Row]) -> str:
    names = [f"{row.extractor} × {without_folders(model_before(row))}" for row in rows]
    return ", ".join(names[:MOST]) + _more(names)


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - MOST} more" if len(names) > MOST else ""


def shown(block: Block) -> bool:
    """Whether a table needs the column of `settings`: any of its rows was tuned."""
    return any(search_of(row) for row in block.all)
