"""Open MIR tasks: find, read and check their data, and count their audio."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.entries import TaskEntry
from bench.errors import BenchError
from bench.files.atomic import digest
from bench.listening.label_dataset import LabelDataset
from bench.metrics import versions
from bench.protocols import PARTS, Dataset, HoldOut, Task, TaskData
from bench.records import TaskInfo
from bench.run.inputs import Opened, catalog_of, held_out, match, open_data
from bench.run.options import Data, Environment
from bench.run.probe.request import ProbeRequest
from bench.text import counted

FILES = ("path", "offset", "duration")


@dataclass(eq=False)
class LoadedTask:
    """One task with its data.

    rows : row keys (hex) of the items' audio, None where there is none; set once the audio is hashed
    repeated : mask of items excluded because a later part has the same recording; empty for none
    incomplete : whether items of the official parts or of the annotations are missing
    """

    entry: TaskEntry
    data: TaskData
    dataset: Dataset | None
    notes: list[str]
    rows: list[str | None] = field(default_factory=list)
    repeated: list[bool] = field(default_factory=list)
    incomplete: bool = False

    @property
    def task(self) -> Task:
        """The task's plugin."""
        return self.entry.plugin

    @property
    def name(self) -> str:
        """The task's name."""
        return self.task.name

    @property
    def collection(self) -> str:
        """The collection to which the recordings belong."""
        return self.task.collection or (self.dataset.name if self.dataset else self.task.name)

    @property
    def builtin(self) -> bool:
        """Whether the dataset is built in."""
        return bool(self.dataset and self.dataset.builtin)

    @property
    def ceiling(self) -> str | None:
        """Name of the upper-bound baseline that uses the truth, if the task has one."""
        return self.task.ceiling_name

    @cached_property
    def ids(self) -> list[str]:
        """Track ids (N,) in the order of the truth."""
        return [str(one) for one in self.data.items["track_id"].to_list()]

    @property
    def tested(self) -> list[str]:
        """Ids of the tracks that are tested: those of the test part or, with folds, all."""
        items = self.data.items
        test = items.filter(pl.col("part") == "test") if "part" in items.columns else items
        return [str(one) for one in test["track_id"].to_list()]

    @cached_property
    def row_of(self) -> dict[str, str]:
        """Mapping from track id to row key of its audio."""
        return {one: row for one, row in zip(self.ids, self.rows, strict=True) if row is not None}

    @cached_property
    def fingerprint(self) -> str:
        """Hash of items, parts and truth."""
        items = self.data.items.drop(*FILES, strict=False)
        truth = np.ascontiguousarray(self.data.truth)
        return digest(
            {
                "items": {name: items[name].to_list() for name in sorted(items.columns)},
                "truth": [str(truth.dtype), list(truth.shape), hashlib.sha256(truth.data).hexdigest()],
                "names": list(self.data.names),
            }
        )

    @cached_property
    def about(self) -> TaskInfo:
        """Description of the task for a record."""
        return TaskInfo(
            name=self.name,
            spec=self.entry.text,
            kind=self.task.kind,
            primary=self.task.primary,
            convention=self.task.convention,
            settings=asdict(self.task.settings),
            origin=self.entry.origin,
            labels=len(self.data.names),
            version=self.task.version,
            metrics=versions(self.task.kind),
            of=self.task.of,
        )

    @cached_property
    def counts(self) -> dict[str, dict[str, int]]:
        """Number of items (or tracks of clips) per part or fold: annotated, with audio, and official."""
        items = self.data.items
        by = "part" if "part" in items.columns else "fold"
        there = items.with_columns(audio=pl.Series([row is not None for row in self.rows], dtype=pl.Boolean))
        if "track" in items.columns:
            there = there.group_by("track", by).agg(pl.col("audio").any())
        found = there.group_by(by).agg(pl.len(), pl.col("audio").sum())
        found = found.sort(pl.col(by).replace_strict(PARTS, range(3)) if by == "part" else pl.col(by))
        out: dict[str, dict[str, int]] = {"items": {}, "audio": {}}
        for part, n, audio in found.iter_rows():
            out["items"][str(part)], out["audio"][str(part)] = int(n), int(audio)
        if self.data.expected:
            out["official"] = dict(self.data.expected)
        return out

    def heard(self, *, needs_audio: bool) -> NDArray[np.bool_]:
        """Return a mask (N,) of items that can be used: all or those with audio, without repeated recordings."""
        there = np.array([row is not None or not needs_audio for row in self.rows], np.bool_)
        return there & ~np.array(self.repeated, np.bool_) if self.repeated else there

    def coverage(self, *, needs_audio: bool) -> list[str]:
        """Describe which share of the official items is available; empty if all are."""
        counts, lines = self.counts, []
        for part, official in counts.get("official", {}).items():
            have = min(counts["items"].get(part, 0), counts["audio"].get(part, 0) if needs_audio else official)
            if have != official:
                lines.append(f"{have:,} of {official:,} {'fold ' if part.isdigit() else ''}{part}")
        if lines:
            return [f"incomplete: {', '.join(lines)} items; not comparable with published numbers"]
        absent = sum(row is None for row in self.rows)
        if needs_audio and absent:
            return [f"{absent:,} of {len(self.rows):,} items have no audio"]
        return []


def open_tasks(
    request: ProbeRequest,
    entries: Sequence[TaskEntry],
    environment: Environment,
    log: Callable[[str], None],
    *,
    needs_audio: bool = True,
    opened: Opened | None = None,
) -> list[LoadedTask]:
    """Open the requested tasks; with ``all``, those with available data, and log a line for each of the others.

    `opened` is the request's data, if it is open already.

    Raises
    ------
    BenchError
        When the data of a task requested by name is missing or invalid, or no task can be opened.

    """
    out: list[LoadedTask] = []
    held: HoldOut | None = None
    rootless: list[str] = []
    for entry in entries:
        task = entry.plugin
        if request.lenient and task.of != "data" and request.root is None:
            rootless.append(entry.text)
            continue
        try:
            if task.of == "data":
                opened = opened or _open_data(request.data, environment)
                held = held or held_out(opened, environment, log)
                loaded = _of_data(entry, opened, held)
            else:
                folder = _folder(request, task)
                at_hand = task.annotated and not needs_audio and folder is None
                root = Path(os.devnull) if at_hand else task.prepare(folder)
                data = task.read(root)
                loaded = LoadedTask(entry, data, None, list(data.notes))
            _check_read(loaded)
            out.append(loaded)
        except BenchError as error:
            if not request.lenient:
                raise
            log(f"left out: {error}")
    if rootless:  # one line for all: the required contents of each folder would hide the plan
        count = counted(len(rootless), "task")
        log(f"left out: {count} without --root DIR (`bench ls tasks` says what it must hold): {', '.join(rootless)}")
    if not out:
        raise BenchError("there is no task to do: see the lines above, and `bench ls tasks`.")
    return out


def _open_data(data: Data, environment: Environment) -> Opened:
    """Open a dataset or log; without either, the labels of ``--meta`` with the audio of ``--audio``."""
    if not data.meta or data.listens or data.data:
        return open_data(data, environment)
    dataset, notes = LabelDataset(Path(data.meta).expanduser()), list[str]()
    root = dataset.prepare(None, environment.cache)
    return Opened(dataset, root, catalog_of(data.audio, notes) if data.audio else None, False, notes)


def _folder(request: ProbeRequest, task: Task) -> Path | None:
    """Return the folder of a task's data: the root's subfolder named after the task or collection, or the root."""
    if request.root is None:
        return None
    root = Path(request.root).expanduser()
    named = [root / name for name in dict.fromkeys([task.name, task.collection]) if name and (root / name).is_dir()]
    return named[0] if named else root


def _of_data(entry: TaskEntry, opened: Opened, held: HoldOut) -> LoadedTask:
    """Read a task of a dataset, which tests on held-out tracks, and add the dataset's audio files to its items."""
    entry.plugin.hold_out = held
    data = entry.plugin.read(opened.root, opened.dataset)
    notes = [*opened.dataset.caveats(opened.root), *opened.notes, *data.notes]
    items = data.items
    if opened.catalog is None:
        none = [pl.lit(None, dtype=kind).alias(name) for name, kind in _TYPES.items()]
        items = items.with_columns(none)
    else:
        found, joined = match(opened, items["track_id"])
        if not opened.own_ids and not joined.complete:
            notes.append(joined.describe("audio", "item", "file"))
        items = items.join(found.select("track_id", *FILES), on="track_id", how="left", maintain_order="left")
    return LoadedTask(entry, replace(data, items=items), opened.dataset, notes)


_TYPES = {"path": pl.String(), "offset": pl.Float64(), "duration": pl.Float64()}


def _check_read(asked: LoadedTask) -> None:
    """Raise BenchError if the task plugin returned invalid data."""
    data, items = asked.data, asked.data.items
    if asked.task.kind != "links" and len(data.truth) != items.height:
        raise BenchError(f"{asked.name}: {len(data.truth)} rows of truth for {items.height} items.")
    if items["track_id"].is_duplicated().any():
        twice = items.filter(pl.col("track_id").is_duplicated())["track_id"][0]
        raise BenchError(f"{asked.name}: the item {twice!r} is there twice.")
    if "part" in items.columns:
        lacking = set(PARTS if asked.task.kind != "links" else ["test"]) - set(items["part"].to_list())
        if lacking:
            raise BenchError(f"{asked.name}: there is no {' and no '.join(sorted(lacking))} item; it cannot be probed.")
    elif "fold" not in items.columns:
        raise BenchError(f"{asked.name}: items need a column part or fold.")
