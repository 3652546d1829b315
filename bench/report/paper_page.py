"""Tables of a paper in their printed layout and precision, with our number beside each printed one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.published import Footnote, Paper, Table, imported
from bench.records import Record
from bench.report.board import Block, Board, Row
from bench.report.format import NONE, heading, number, parts
from bench.report.grid import Cell, Chapter, Grid, Head, Section
from bench.report.mir import Probed
from bench.report.paper_match import beside, embedding_of, matches, model_of
from bench.splits.published import REPORTED

PRINTED_GROUP = "published"
MARKS = "abcdefghijklmnopqrstuvwxyz"


def chapter(paper: Paper, boards: Sequence[Board], probed: Sequence[Probed] = ()) -> Chapter:
    """Return the chapter of a paper.

    Parameters
    ----------
    paper
        The published results.
    boards
        Our results; the board on the paper's data and split, if any, is shown beside the paper's, by lane.
    probed
        Our results on MIR tasks, for a table of MIR results.

    """
    board = beside(paper, boards)
    writer = _Writer(paper, board, {p.lane: p for p in probed})
    grids = [grid for table in paper.tables for grid in writer.grids(table)]
    return Chapter(
        name=paper.name,
        title=f"Published: {paper.where}",
        lead=[f"{paper.title}. {paper.citation}.", *_told_beside(paper, board)],
        grids=grids,
        notes=writer.notes(),
    )


def _told_beside(paper: Paper, board: Board | None) -> list[str]:
    if board is None:
        return [
            f"There is no record of ours on {paper.data}, split {paper.split}: only the published numbers stand here."
        ]
    lanes = ", ".join(block.lane for block in board.blocks)
    return [
        f"Beside them stand ours on {board.title}, one group of columns a lane ({lanes}); the split {matches(board)}. "
        "The lane 'published' repeats the paper's choices and is the one to compare; no column mixes two lanes. "
        "Bold: ours that cannot be told from the best of their lane, all recommenders together.",
    ]


@dataclass
class _Writer:
    """Builds a paper's tables, and numbers the footnotes in order of appearance."""

    paper: Paper
    board: Board | None
    probed: Mapping[str, Probed]

    def __post_init__(self) -> None:
        self.records = imported(self.paper)
        self.used: dict[str, Footnote] = {}

    def grids(self, table: Table) -> list[Grid]:
        """Return the tables made from one printed table."""
        made = {"sizes": self._sizes, "split": self._split, "recommenders": self._recommenders, "mir": self._mir}
        return [made[table.kind](table)]

    def notes(self) -> list[str]:
        """Return the footnotes, those with marks first; artefacts are labelled."""
        found = [f"({mark}) {_told(note)}" for mark, note in zip(MARKS, self.used.values(), strict=False)]
        return found + [note.text for note in self.paper.footnotes if note.general]

    def _marked(self, extractor: str, **where: str) -> str:
        """Return the footnote marks for an extractor here; for an empty name, the marks that apply to all."""
        found = (note for note in self.paper.footnotes if note.concerns(extractor, **where))
        notes = [note for note in found if bool(note.extractor) == bool(extractor)]
        for note in notes:
            self.used.setdefault(note.key, note)
        keys = list(self.used)
        return "".join(f"({MARKS[keys.index(note.key)]})" for note in notes)

    def _title(self, table: Table) -> str:
        return f"{table.title} (Table {table.id})" if table.id.isdigit() else table.title

    def _name(self, table: Table) -> str:
        return f"table-{table.id}"

    @property
    def _blocks(self) -> list[Block]:
        return self.board.blocks if self.board else []

    def _sizes(self, table: Table) -> Grid:
        heads = [Head("Embedding", right=False), Head("Numbers", PRINTED_GROUP)]
        heads += [Head("Numbers", f"ours, {block.lane}") for block in self._blocks]
        rows = []
        for printed, width in table.rows:
            name = self.paper.extractors[printed]
            cells = [Cell(f"{printed}{self._marked(name)}"), Cell(str(width), value=width)]
            for block in self._blocks:
                widths = sorted({row.width for row in block.rows if embedding_of(row) == name and row.width})
                cells.append(Cell(", ".join(map(str, widths)) or NONE, value=widths[0] if len(widths) == 1 else None))
            rows.append(cells)
        return Grid(self._name(table), self._title(table), heads, [Section("", rows)])

    def _split(self, table: Table) -> Grid:
        what = ("users", "items", "pairs")
        heads = [Head("Part", right=False), *(Head(name.capitalize(), PRINTED_GROUP) for name in what)]
        first = next((row.first for row in self.board.rows if row.first), None) if self.board else None
        if first:
            heads += [Head(name.capitalize(), "ours") for name in what]
        rows = []
        for (part, kind), size in REPORTED[self.paper.split].sizes.items():
            cells = [Cell(part if kind == "hot" else f"{part}, {kind}"), *(_count(size._asdict()[n]) for n in what)]
            if first:
                counts = first.split.counted(part) if part == "train" else first.split.counted(part, kind)
                cells += [_count(counts.get(name)) for name in what]
            rows.append(cells)
        return Grid(self._name(table), self._title(table), heads, [Section("", rows)])

    def _recommenders(self, table: Table) -> Grid:
        k = parts(table.metrics[0])[1]
        heads = [
            Head("Embedding", right=False),
            *(Head(heading(parts(m)[0]), f"{PRINTED_GROUP} @{k}") for m in table.metrics),
        ]
        if self._blocks:
            heads.append(Head("Ours", right=False))
        for block in self._blocks:
            heads += [Head(heading(parts(m)[0]), f"ours, {block.lane} @{k}") for m in table.metrics]
        models: dict[str, list[Record]] = {}
        for record in self.records:
            if record.asked["table"] == table.id:
                models.setdefault(record.recommender.spec, []).append(record)
        of_all = self._marked("", set=table.set)
        sections = []
        for model, records in models.items():
            mark = self._marked("", model=self.paper.models[model], set=table.set).removeprefix(of_all)
            sections.append(Section(f"{model}{mark}", [cells for one in records for cells in self._lines(table, one)]))
        return Grid(self._name(table), self._title(table) + of_all, heads, [*sections, *self._floor(table)])

    def _lines(self, table: Table, record: Record) -> list[list[Cell]]:
        """Return a line for a printed row, or one line per variant that our results have of it."""
        real = self.paper.extractors[record.extractor.spec]
        mark = self._marked(real, model=record.recommender.name, set=table.set)
        means, spans = record.metrics[table.set], record.intervals.get(table.set, {})
        printed = [Cell(f"{record.extractor.spec}{mark}")]
        for metric in table.metrics:
            text = number(means[metric], self.paper.decimals)
            if metric in spans:
                text += f" ±{number((spans[metric][1] - spans[metric][0]) / 2, self.paper.decimals)}"
            printed.append(Cell(text, value=means[metric]))
        if not self._blocks:
            return [printed]
        wanted = (f"shuffled:{real}" if record.extractor.name == "shuffled" else real, record.recommender.name)
        variants: dict[tuple[str, str], dict[str, Row]] = {}
        for block in self._blocks:
            for row in block.all:
                if (embedding_of(row), model_of(row)) == wanted and row.values.get(table.set):
                    variants.setdefault((row.extractor, row.model), {})[block.lane] = row
        lines: list[list[Cell]] = []
        for names, by_lane in sorted(variants.items()) or [((NONE, ""), {})]:
            start = printed if not lines else [Cell("")] * len(printed)
            # The section names the model: repeat it only where the settings differ.
            told = " × ".join(name for name in names if name and name != wanted[1])
            lines.append([*start, Cell(told), *self._values(table, by_lane)])
        return lines

    def _floor(self, table: Table) -> list[Section]:
        """Return our controls and chance levels by lane, as baselines for all numbers."""
        if not self._blocks:
            return []
        blank = [Cell("")] * len(table.metrics)
        found: dict[tuple[str, str], dict[str, Row]] = {}
        for block in self._blocks:
            for row in block.controls:
                if row.values.get(table.set):
                    found.setdefault((row.extractor, row.model), {})[block.lane] = row
        controls = [
            [Cell(""), *blank, Cell(" × ".join(names)), *self._values(table, by_lane)]
            for names, by_lane in found.items()
        ]
        chance = {block.lane: block.chance for block in self._blocks}
        return [
            Section("Controls (ours)", controls),
            Section("Chance (ours)", [[Cell(""), *blank, Cell("chance"), *self._values(table, chance)]]),
        ]

    def _values(self, table: Table, by_lane: Mapping[str, Row]) -> list[Cell]:
        cells = []
        for block in self._blocks:
            values = by_lane[block.lane].values.get(table.set, {}) if block.lane in by_lane else {}
            for metric in table.metrics:
                value = values.get(metric)
                cells.append(Cell(NONE) if value is None else Cell(number(value.mean), value.best, value.mean))
        return cells

    def _mir(self, table: Table) -> Grid:
        assert table.recommender
        model, metric = table.recommender
        columns = [heading(name) + f", {title.lower()}" for _, name, title in table.tasks]
        columns.append(f"{heading(metric)}, {model}")
        lanes = list(dict.fromkeys([*(b.lane for b in self._blocks), *self.probed]))
        marks = [""] * len(table.tasks) + [self._marked("", model=self.paper.models[model], set=table.set)]
        heads = [Head("Embedding", right=False)]
        heads += [Head(text + mark, PRINTED_GROUP) for text, mark in zip(columns, marks, strict=True)]
        heads += [Head(text, f"ours, {lane}") for lane in lanes for text in columns]
        rows = []
        for printed, *values in table.rows:
            name = self.paper.extractors[printed]
            cells = [Cell(printed)]
            for (task, _, _), value in zip(table.tasks, values, strict=False):
                mark = self._marked(name, task=task) if value is not None else ""
                cells.append(Cell(f"{number(value, self.paper.decimals)}{mark}", value=value))
            mark = self._marked(name, model=self.paper.models[model], set=table.set)
            cells.append(Cell(f"{number(values[-1], self.paper.decimals)}{mark}", value=values[-1]))
            for lane in lanes:
                for task, which, _ in table.tasks:
                    cells.append(_one(self.probed[lane].find(name, task, which) if lane in self.probed else []))
                cells.append(_one(self._recommended(lane, name, self.paper.models[model], table.set, metric)))
            rows.append(cells)
        # Skip a lane without results on these tasks instead of showing a column of dashes.
        blank = range(1 + len(columns), len(heads))
        empty = {heads[at].group for at in blank} - {
            heads[at].group for at in blank for r in rows if r[at].text != NONE
        }
        kept = [at for at, head in enumerate(heads) if head.group not in empty]
        section = Section("", [[row[at] for at in kept] for row in rows])
        return Grid(self._name(table), self._title(table), [heads[at] for at in kept], [section])

    def _recommended(self, lane: str, extractor: str, model: str, where: str, metric: str) -> list[float]:
        rows = [row for block in self._blocks if block.lane == lane for row in block.all]
        found = [row.mean(where, metric) for row in rows if (embedding_of(row), model_of(row)) == (extractor, model)]
        return [mean for mean in found if mean is not None]


def _told(note: Footnote) -> str:
    return f"Known artefact, no target: {note.text}" if note.artefact else note.text


def _count(value: int | None) -> Cell:
    return Cell(NONE) if value is None else Cell(f"{value:,}", value=value)


def _one(values: Sequence[float]) -> Cell:
    """Return one value, or the range of several variants."""
    if not values:
        return Cell(NONE)
    low, high = min(values), max(values)
    if number(low) == number(high):
        return Cell(number(low), value=low)
    return Cell(f"{number(low)} to {number(high)}")
