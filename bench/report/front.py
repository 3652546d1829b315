"""The tables of a leaderboard's front page: one row for each embedding, and what there is about one of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.datasets.contamination import same_catalogue
from bench.report import budgets
from bench.report.board import Block, Board, Row, best_on_validation
from bench.report.columns import half_width
from bench.report.evidence_grid import gain_cell
from bench.report.format import NONE, SETS, first_few, heading, number, p_value, short
from bench.report.grid import Cell, Grid, Head, Section
from bench.text import one_line

LISTENING = "Listening alone"
_SET_HEADS = ("Model", "", "× chance", "Gain over shuffled", "Controls")


def title(board: Board) -> str:
    """Return data and split in words: ``demo, global_temporal: 2,000 listeners, 600 items, 2019-02-20 to ...``."""
    first = next((row.first for row in board.rows if row.first), None)
    log = first.split.counted("log") if first else {}
    counts = first.split.counts if first else {}
    about = counts.get("log", {}) if isinstance(counts, dict) else {}
    days = [str(about[key])[:10] for key in ("first", "last") if isinstance(about, dict) and about.get(key)]
    said = [f"{log[key]:,} {word}" for key, word in (("users", "listeners"), ("items", "items")) if key in log]
    said += [f"{days[0]} to {days[1]}"] if len(set(days)) == 2 else []  # a log without times has one day
    folds = f", {board.folds} folds" if board.folds > 1 else ""
    return one_line(f"{board.data}, {board.split}{folds}" + (f": {', '.join(said)}" if said else ""))


def front_grid(board: Board, block: Block) -> Grid | None:
    """Return one row for each embedding, with the recommender that validation chose on each candidate set.

    Below stand models of listening alone, popularity and chance. None without a ranked metric.
    """
    if not board.ranked_by:
        return None
    metric = board.ranked_by[1]
    hearing = [row for row in block.rows if row.width]
    chosen = {where: best_on_validation(hearing, where, metric) for where in board.sets}
    names = dict.fromkeys(row.extractor for row in hearing)
    rows_of = {name: [row for row in hearing if row.extractor == name] for name in names}
    best = {
        where: max((row.mean(where, metric) or 0.0 for row in each.values()), default=0.0)
        for where, each in chosen.items()
    }

    def cells(name: str, rows: dict[str, Row | None]) -> list[Cell]:
        found = [Cell(name)]
        for where in board.sets:
            row = rows.get(where)
            top = row is not None and row.mean(where, metric) == best[where] and row.beats_controls(where) is not False
            found += _set_cells(row, where, metric, bold=top)
        return found

    main = [
        [*cells(name, {where: chosen[where].get(name) for where in board.sets}), *_about(board, rows_of[name][0])]
        for name in names
    ]
    first = board.sets[0]
    models = list(dict.fromkeys(row.model for row in hearing if row.mean(first, metric) is not None))
    models, tuned = models if len(models) > 1 else [], int(budgets.shown(block))
    for line, name in zip(main, names, strict=True):
        line += _by_model(rows_of[name], models, first, metric)
        line += [Cell(budgets.settings(chosen[first].get(name, rows_of[name][0])))] * tuned
    main.sort(key=lambda line: -(line[2].value if line[2].value is not None else -1.0))
    alone = [row for row in block.rows if not row.width]
    alone += [row for row in block.controls if row.first and row.first.recommender.name == "popularity"]
    alone.sort(key=lambda row: -(row.mean("hot", metric) or row.mean(first, metric) or 0.0))
    other = [
        [*cells(row.model, dict.fromkeys(board.sets, row)), *_about(board, row), *[Cell(NONE)] * len(models)]
        for row in alone
    ]
    level = [Cell("chance")]
    for where in board.sets:
        value = block.chance.values.get(where, {}).get(metric)
        level += [Cell(NONE), Cell(half_width(value), value=value.mean) if value else Cell(NONE), *[Cell(NONE)] * 3]
    heads = [Head("Embedding", right=False)]
    for where in board.sets:
        heads += [Head(text or heading(metric), where, right=text != "Model") for text in _SET_HEADS]
    heads += [
        Head("Width"),
        Head("s/1000"),
        Head("Licence", right=False),
        Head("Commercial use", right=False),
        Head("Trained on these data", right=False),
        *(Head(model, f"{first} {heading(metric)} by recommender") for model in models),
        *[Head(f"Settings, {first}", right=False)] * tuned,
    ]
    sections = [Section("", main), Section(LISTENING, other)]
    sections.append(Section("Chance", [[*level, *[Cell(NONE)] * (5 + len(models) + tuned)]]))
    notes = [
        f"Model: the recommender with the highest {heading(metric)} on validation. Gain over shuffled: the difference "
        "from the same model on the same vectors in shuffled order. Controls: whether the row is above its shuffled "
        "rows and random vectors, with p after Holm's correction; a row that is not is never bold. s/1000: seconds to "
        "embed 1,000 tracks."
    ]
    if narrow := list(dict.fromkeys(row.extractor for row in hearing if row.by_listeners)):
        notes.append(
            "Intervals and tests over listeners alone, because the ranks of held-out items are not at hand: on new "
            f"items they are too narrow ({first_few(narrow)}). Other new items would give other values."
        )
    return Grid(f"{block.lane}-front", title(board), heads, sections, notes)


def _set_cells(row: Row | None, where: str, metric: str, *, bold: bool) -> list[Cell]:
    value = row.values.get(where, {}).get(metric) if row else None
    if row is None or value is None:
        return [Cell(NONE)] * 5
    times, verdict = row.times_chance(where, metric), row.controls.get(where)
    return [
        Cell(row.model),
        Cell(half_width(value), bold, value.mean),
        Cell(number(times, 1), value=times),
        gain_cell(verdict.gain if verdict else None),
        Cell(f"{verdict.verdict}, p {p_value(verdict.p)}" if verdict else NONE),
    ]


def _by_model(rows: Sequence[Row], models: Sequence[str], where: str, metric: str) -> list[Cell]:
    """Return an embedding's value with each recommender."""
    cells, row_of = [], {row.model: row for row in rows}
    for model in models:
        row = row_of.get(model)
        mean = row.mean(where, metric) if row else None
        doubt = " (not above)" if row and mean is not None and row.beats_controls(where) is False else ""
        cells.append(Cell(short(mean) + doubt, value=mean))
    return cells


def _about(board: Board, row: Row) -> list[Cell]:
    """Return width, seconds, licence, commercial use and training data of a row's embedding."""
    if not row.width or row.first is None:
        return [Cell(NONE)] * 5
    seconds = row.cost(lambda cost: cost.extract_s_per_1000)
    heard = row.first.extractor.heard_share
    known = any(same_catalogue(name, board.data) for name in row.trained_on)
    trained = "yes, declared" if known else "not declared" if heard is None else f"{heard:.0%} of tested tracks"
    return [
        Cell(str(row.width), value=row.width),
        Cell(number(seconds, 1), value=seconds),
        Cell(row.license or NONE),
        Cell("no" if row.first.extractor.non_commercial else "yes" if row.license else "unknown"),
        Cell(trained),
    ]


def about_grid(name: str, boards: Iterable[Board], *, model: bool) -> Grid:
    """Return every row of an embedding (or of a recommender, `model`) on all boards.

    Parameters
    ----------
    name : of the extractor or the recommender, as rows show it
    boards : their rows are searched
    model : whether `name` is a recommender

    """
    heads = [Head("Data", right=False), Head("Lane", right=False), Head("Embedding" if model else "Model", right=False)]
    heads += [Head(text, where, right=True) for where in SETS for text in ("NDCG", "× chance", "Controls")]
    lines: list[Sequence[Cell]] = []
    for board in boards:
        if not board.ranked_by:
            continue
        metric = board.ranked_by[1]
        for block in board.blocks:
            for row in block.all:
                if (row.model if model else row.extractor) != name:
                    continue
                line = [Cell(f"{board.data}, {board.split}, k = {board.k[0]}"), Cell(block.lane)]
                line.append(Cell(row.extractor if model else row.model))
                for where in SETS:
                    _, value, times, _, verdict = _set_cells(row, where, metric, bold=False)
                    line += [value, times, verdict]
                lines.append(line)
    return Grid("rows", name, heads, [Section("", lines)])
