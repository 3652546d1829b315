"""Tables of MIR tasks for each lane: a row per extractor setting, a column per task, probe and metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

from bench.errors import BenchError
from bench.files.atomic import digest
from bench.records import PROBED, ExtractorInfo, Record, TaskInfo
from bench.report.board import LANES
from bench.report.format import HEARD, NONE, bounds, heading, heard, number, without_folders
from bench.report.grid import Cell, Chapter, Grid, Head, Section
from bench.report.recorded import chosen_layers, span
from bench.text import one_line

Found = tuple[Path, Record]


def embedding(extractor: ExtractorInfo) -> str:
    """Hash an embedding without its treatment, so that records of recommenders and probes can be matched."""
    view = extractor.view
    pooled = [] if view.poolings is None else [view.poolings]
    return digest([extractor.name, extractor.lane, extractor.settings, view.layers, *pooled])


@dataclass(frozen=True, order=True)
class Asked:
    """A column: a task, a probe, a treatment of the vectors, and the task's primary metric."""

    task: str
    metric: str
    probe: str
    treat: str = ""
    split: str = ""
    """Fingerprint of the task's parts; results on different parts stand in different columns."""
    edition: str = ""
    """Distinguishes columns that differ only in their data or parts."""
    collection: str = ""
    """The data set whose own tracks the task is about; empty for a task with data of its own."""
    version: str = ""
    """Version of the probe; other versions give other numbers, which stand in a column of their own."""

    @property
    def title(self) -> str:
        """Task, probe and treatment."""
        told = [f"{self.task}, {self.probe}", f"({self.treat})" if self.treat else "", self.edition]
        return " ".join(filter(None, told))


@dataclass
class Answer:
    """An extractor's scores in a column: means over seeds."""

    mean: float
    low: float | None = None
    high: float | None = None
    seeds: list[float] = field(default_factory=list)
    also: dict[str, float] = field(default_factory=dict)
    """The task's other metrics, without those of single labels."""


@dataclass
class Embedding:
    """An extractor setting as one row."""

    key: str
    label: str
    name: str
    control: bool
    layers: list[str]
    answers: dict[Asked, Answer] = field(default_factory=dict)
    heard: float | None = None
    """Largest share of a task's tested tracks that the extractor was trained on; None: its tracks are not known."""


@dataclass
class Probed:
    """All probe results of one lane."""

    lane: str
    columns: list[Asked]
    rows: dict[str, Embedding]
    chance: dict[Asked, float]
    warnings: list[str]
    builtin: bool
    conventions: list[str] = field(default_factory=list)
    """Lines ``task: convention`` that explain how to read a task's numbers."""

    def find(self, extractor: str, task: str, metric: str) -> list[float]:
        """Return the values of all settings of an extractor on a task, ignoring its edition (``gtzan:...``)."""
        found = []
        for row in self.rows.values():
            for asked, answer in row.answers.items():
                if row.name == extractor and asked.task.partition(":")[0] == task and not row.control:
                    value = answer.mean if asked.metric == metric else answer.also.get(metric)
                    found += [] if value is None else [value]
        return found


def probed(records: Iterable[tuple[Path, Record | BenchError]]) -> list[Probed]:
    """Return one `Probed` per lane; errors and records of recommenders are skipped."""
    lanes: dict[str, list[Found]] = {}
    for path, record in records:
        if isinstance(record, Record) and record.is_probe:
            lanes.setdefault(record.lane, []).append((path, record))
    return [_lane(lane, [r for _, r in sorted(lanes[lane], key=_order)]) for lane in LANES if lane in lanes]


def _order(found: Found) -> tuple[str, int]:
    return (str(found[0]), found[1].seed)


def _lane(lane: str, records: Sequence[Record]) -> Probed:
    rows: dict[str, Embedding] = {}
    cells: dict[tuple[str, Asked], dict[int, Record]] = {}
    chance: dict[Asked, float] = {}
    for record in records:
        key, asked = embedding(record.extractor), _asked(record)
        rows.setdefault(key, _row(key, record))
        if (share := record.extractor.heard_share) is not None:
            rows[key].heard = max(share, rows[key].heard or 0.0)
        cells.setdefault((key, asked), {}).setdefault(record.seed, record)
        if (level := record.chance.get(PROBED, {}).get(asked.metric)) is not None:
            chance.setdefault(asked, level)
    for (key, asked), seeds in cells.items():
        if answer := _answer(asked.metric, list(seeds.values())):
            rows[key].answers[asked] = answer
    for key, row in rows.items():
        mine = [record for (of, _), seeds in cells.items() if of == key for record in seeds.values()]
        row.label = one_line(row.label + chosen_layers(mine))
    _tell_apart(list(rows.values()))
    columns = _editions(rows.values(), chance)
    # Controls share the warnings about the task; their own, such as a penalty at the edge of its grid, mean nothing.
    real = [record for record in records if not record.control] or records
    said = [(_task(record).name, text) for record in real for text in record.warnings]
    warnings = list(
        dict.fromkeys(one_line(text if text.startswith(f"{name}: ") else f"{name}: {text}") for name, text in said)
    )
    told = {task.name: task.convention for r in records if (task := _task(r)).convention}
    conventions = [one_line(f"{name}: {text}") for name, text in sorted(told.items())]
    builtin = any(record.data.builtin for record in records)
    return Probed(lane, columns, rows, chance, warnings, builtin, conventions)


def _task(record: Record) -> TaskInfo:
    """Return a record's description of its task."""
    name = record.data.name
    return record.data.task or TaskInfo(name, name, next(iter(record.metrics[PROBED]), ""))


def _editions(rows: Iterable[Embedding], chance: dict[Asked, float]) -> list[Asked]:
    """Return the columns in order; columns that differ only in data, parts or the probe's version get a mark."""
    rows = list(rows)
    columns = sorted({asked for row in rows for asked in row.answers})
    named: dict[Asked, Asked] = {}
    for asked in columns:
        alike = [one for one in columns if (one.title, one.metric) == (asked.title, asked.metric)]
        data = f"of {asked.collection}" if len({one.collection for one in alike}) > 1 and asked.collection else ""
        version = f"v{asked.version}" if len({one.version for one in alike}) > 1 else ""
        parts = len({one.split for one in alike if one.collection == asked.collection}) > 1
        marks = [version, data, f"#{asked.split[:4]}" if parts else ""]
        named[asked] = replace(asked, edition=" ".join(filter(None, marks)))
    for row in rows:
        row.answers = {named[asked]: answer for asked, answer in row.answers.items()}
    for asked, marked in named.items():
        if marked != asked and asked in chance:
            chance[marked] = chance.pop(asked)
    return list(named.values())


def _asked(record: Record) -> Asked:
    task = _task(record)
    return Asked(
        task=one_line(task.spec),
        metric=task.primary,
        probe=one_line(record.recommender.spec),
        treat=one_line(record.extractor.view.treat),
        split=record.split.fingerprint,
        collection=one_line(record.data.collection or "") if task.of_data else "",
        version=one_line(record.recommender.version or ""),
    )


def _row(key: str, record: Record) -> Embedding:
    extractor = record.extractor
    layers = [layer for layer in extractor.view.layers if layer]
    return Embedding(key, one_line(without_folders(extractor.spec)), extractor.name, record.control, layers)


def _answer(metric: str, records: Sequence[Record]) -> Answer | None:
    values = [r.metrics[PROBED][metric] for r in records if metric in r.metrics[PROBED]]
    if len(values) < len(records):
        return None
    bounds = [span(r, PROBED, metric) for r in records]
    known = [b for b in bounds if b is not None]
    spanned = len(known) == len(records)
    also = {
        name: fmean(r.metrics[PROBED][name] for r in records)
        for name in records[0].metrics[PROBED]
        if name != metric and ":" not in name and all(name in r.metrics[PROBED] for r in records)
    }
    low = min(b[0] for b in known) if spanned else None
    high = max(b[1] for b in known) if spanned else None
    return Answer(fmean(values), low, high, [float(v) for v in values], also)


def _tell_apart(rows: Sequence[Embedding]) -> None:
    labels = [row.label for row in rows]
    for row, label in zip(rows, labels, strict=True):
        if labels.count(label) > 1:
            row.label += f" layer {one_line('+'.join(map(str, row.layers)))}" if row.layers else f" #{row.key[:4]}"


def chapters(lanes: Sequence[Probed]) -> list[Chapter]:
    """Return the tables of the MIR tasks, one chapter per lane."""
    return [_chapter(lane) for lane in lanes if lane.columns]


def _chapter(lane: Probed) -> Chapter:
    heads = [Head("Embedding", right=False), *(Head(heading(asked.metric), asked.title) for asked in lane.columns)]
    known = any(row.heard is not None for row in lane.rows.values())
    if known:
        heads.append(Head("Heard"))

    def cells(row: Embedding) -> list[Cell]:
        found = [Cell(row.label)]
        for asked in lane.columns:
            answer = row.answers.get(asked)
            found.append(
                Cell(NONE) if answer is None else Cell(bounds(answer.mean, answer.low, answer.high), value=answer.mean)
            )
        return [*found, Cell(heard(row.heard))] if known else found

    def reached(row: Embedding) -> float:
        return row.answers[lane.columns[0]].mean if lane.columns[0] in row.answers else -1.0

    rows = sorted(lane.rows.values(), key=lambda row: (-reached(row), row.label))
    levels = [Cell("chance"), *(Cell(number(level), value=level) for level in map(lane.chance.get, lane.columns))]
    levels += [Cell(NONE)] if known else []
    sections = [
        Section("", [cells(row) for row in rows if not row.control]),
        Section("Controls", [cells(row) for row in rows if row.control]),
        Section("Chance", [levels] if lane.chance else []),
    ]
    notes = [
        "Intervals: 95 %, bootstrap over test tracks; with several seeds, the span of the seeds' own.",
        "Chance: the best that can be answered without hearing anything.",
        *(
            ["The tracks were made by the project itself: these numbers are not for leaderboards."]
            if lane.builtin
            else []
        ),
        *([f"{HEARD} The largest share over the tasks."] if known else []),
        *lane.conventions,
        *(f"Warning, {text}" for text in lane.warnings),
    ]
    return Chapter(
        f"mir-{lane.lane}",
        f"MIR tasks, lane {lane.lane}",
        [],
        [Grid("tasks", "Every embedding on every task", heads, sections)],
        notes,
    )
