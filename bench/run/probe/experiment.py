"""``bench probe``: predict tags, genres, keys and emotion from frozen vectors, one record per cell."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench import records
from bench.entries import NONE, ExtractorEntry, audio_extractors
from bench.errors import BenchError
from bench.files.atomic import digest
from bench.items.item_table import Tables, joins
from bench.probes import ProbeEntry
from bench.protocols import Extractor, NoSettings, RunContext
from bench.records import LayerChoice, Record
from bench.run import plan
from bench.run.experiment import Experiment
from bench.run.extraction_plan import ExtractionPlan
from bench.run.extraction_task import Audio, ExtractionTask
from bench.run.options import Environment
from bench.run.probe.evaluate import Scored, linked, score
from bench.run.probe.leaks import contaminated, leaks, near_leaks, untangle
from bench.run.probe.record import blank, finished, inputs_hash
from bench.run.probe.request import ProbeCell, ProbeRequest, ResolvedProbes, resolve, text_side
from bench.run.probe.tasks import FILES, LoadedTask, open_tasks
from bench.run.progress import Ui
from bench.run.text_vectors import text_fingerprint, text_vectors
from bench.text import counted

COSINE = ProbeEntry("cosine", "cosine", NoSettings())
"""Placeholder for the probe of tasks that compare vectors directly."""


class ProbeExperiment(Experiment[ProbeCell]):
    """Every extractor of a request with every probe on every task, and the controls."""

    request: ProbeRequest
    resolved: ResolvedProbes
    tasks: list[LoadedTask]

    def __init__(self, request: ProbeRequest, environment: Environment, ui: Ui):
        super().__init__(request, environment, ui)
        self._allowed: dict[ProbeCell, list[str]] = {}
        """Known leaks of each cell that were allowed."""

    def check(self) -> None:
        """Resolve the request."""
        self.resolved = resolve(self.request)
        self.needs_audio = bool(self.needs_weights())

    def needs_weights(self) -> list[Extractor]:
        """Return every extractor that reads audio."""
        return audio_extractors(self.resolved.extractors)

    def read(self) -> None:
        """Read the tasks' annotations, hash their audio, and find missing vectors."""
        self.tasks = open_tasks(
            self.request,
            self.resolved.tasks,
            self.environment,
            self.ui.log,
            needs_audio=self.needs_audio,
            opened=self.opened,
        )
        self.audio = self._audio()
        self.extraction = ExtractionPlan(self.needs_weights(), self.audio, self.environment)
        self.cells = self._cells()

    def describe(self) -> Iterable[str]:
        """Return the sizes of the tasks, and notes about them."""
        for task in self.tasks:
            parts = ", ".join(f"{n:,} {part}" for part, n in task.counts["items"].items())
            yield f"task: {task.entry} ({task.task.kind}, {counted(len(task.data.names), 'label')}): {parts}"
            for note in task.notes:
                yield f"note: {task.name}: {note}"
            for extractor in self.resolved.extractors:
                yield from (f"note: {task.name}: {note}" for note in extractor.caveats(builtin=task.builtin))

    def forecast(self, todo: Sequence[ProbeCell]) -> Iterable[str]:
        """Return which items of each task have vectors in files."""
        for task in self.tasks:
            entries = dict.fromkeys(cell.extractor for cell in todo if cell.task is task.entry)
            yield from (f"{task.name}: {line}" for line in joins(entries, task.ids, "item"))
        widest = max([sum(part.set.layers.values()) for part in self.extraction], default=128)
        self.cell_bytes = plan.cell_bytes(max(len(task.ids) for task in self.tasks), widest)

    # -- records ------------------------------------------------------------------------------------------

    def blank(self, cell: ProbeCell) -> Record:
        """Return the record of a cell without numbers."""
        return blank(self.request, self._task(cell), cell, self._allowed.get(cell, []))

    def inputs_hash(self, cell: ProbeCell, record: Record) -> str:
        """Hash everything on which the numbers of a cell depend."""

        def identify() -> list[Any]:
            task = self._task(cell)
            rows = {part.set.sha256: self._state(part, task) for part in self.tasks_of(cell.extractor)}
            rows["heard"] = digest(task.heard(needs_audio=self.needs_audio).tolist())
            return [rows, self.sources(cell.extractor)]

        vectors = self.vectors_once((cell.task, cell.extractor), identify)
        texts = None if cell.probe.prompt is None else text_fingerprint(text_side(cell.extractor))
        return inputs_hash(record, vectors if texts is None else [vectors, texts])

    def compute(self, cell: ProbeCell, record: Record) -> tuple[Path, Record]:
        """Fit, predict, evaluate and record one cell."""
        task = self._task(cell)
        folder = self.checkpoints(record)
        if cell.extractor.auto:
            found, vectors, present, layer = self._best_layer(cell, folder)
            record = replace(record, extractor=replace(record.extractor, chosen=layer))
        else:
            vectors, present = self._vectors(cell)
            found = self._score(cell, vectors, present, folder)
        found.warnings += [] if cell.control else near_leaks(task, vectors, present)
        cost, machine = self.cost(cell.extractor), records.environment(self.device)
        record = finished(record, found, task, vectors, present, cost, machine)
        written = records.write(record, self.environment.results, found.answers)
        shutil.rmtree(folder, ignore_errors=True)
        return written

    def _score(self, cell: ProbeCell, vectors: NDArray[np.float32], present: NDArray[np.bool_], folder: Path) -> Scored:
        task = self._task(cell)
        if task.task.kind == "links":
            return linked(task.task, task.data, vectors, present, treat=cell.extractor.treat, seed=cell.seed)
        return score(
            task.task,
            task.data,
            vectors,
            present,
            cell.probe,
            treat=cell.extractor.treat,
            fraction=self.request.train_fraction,
            seed=cell.seed,
            run=RunContext(seed=cell.seed, device=self.device, log=self.ui.log, folder=folder),
            texts=self._texts(cell, task),
        )

    def _best_layer(
        self, cell: ProbeCell, folder: Path
    ) -> tuple[Scored, NDArray[np.float32], NDArray[np.bool_], LayerChoice]:
        """Probe each layer; return the results and the vectors of the layer with the best validation score."""
        metric = self._task(cell).task.primary
        scores: dict[str, float] = {}
        best: tuple[Scored, NDArray[np.float32], NDArray[np.bool_]] | None = None
        for one in self.resolved.resolver.layers(cell.extractor):
            vectors, present = self._vectors(replace(cell, extractor=one))
            found = self._score(cell, vectors, present, folder / f"layer-{digest(one.text)[:8]}")
            scores[one.layer] = found.validation[metric]
            if best is None or scores[one.layer] > best[0].validation[metric]:
                best = found, vectors, present
        assert best
        return *best, LayerChoice(max(scores, key=lambda layer: scores[layer]), metric, scores)

    def _vectors(self, cell: ProbeCell) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the vectors (N, D) of a task's items, zero where missing, and a mask (N,) of items with a vector."""
        task = self._task(cell)
        if cell.extractor.empty:
            vectors: NDArray[np.float32] = task.task.ceiling(task.data, seed=cell.seed)
            return vectors, task.heard(needs_audio=self.needs_audio)
        tables = Tables(self.environment.cache, task.row_of, cell.seed)
        if not cell.probe.mixture:
            vectors, present = tables.joined(cell.extractor, task.ids)
        else:
            found = [tables.joined(one, task.ids) for one in self.resolved.resolver.layers(cell.extractor)]
            if len({layer.shape for layer, _ in found}) > 1:
                widths = ", ".join(str(layer.shape[1]) for layer, _ in found)
                raise BenchError(f"--probe {cell.probe}: the layers of {cell.extractor} have unlike widths ({widths}).")
            vectors = np.stack([layer for layer, _ in found], axis=1)
            present = np.logical_and.reduce([there for _, there in found])
        # Controls need no audio, but are evaluated only on items that have audio for the other extractors.
        present = present & task.heard(needs_audio=self.needs_audio)
        absent = ~present.reshape(-1, *[1] * (vectors.ndim - 1))
        return np.where(absent, np.float32(0.0), vectors).astype(np.float32), present

    def _texts(self, cell: ProbeCell, task: LoadedTask) -> NDArray[np.float32] | None:
        """Return the vectors (L, D) of a task's labels for a zero-shot probe; None for the others."""
        if cell.probe.prompt is None:
            return None
        return text_vectors(text_side(cell.extractor), task.data.names, cell.probe.prompt)

    def _state(self, part: ExtractionTask, task: LoadedTask) -> str:
        """Hash the items of a task whose audio has a vector in a set."""
        rows = part.set.rows()
        have = rows.filter(pl.col("status") != "failed")["row"]
        wanted = pl.DataFrame({"id": task.ids, "row": task.rows}, schema={"id": pl.String, "row": pl.String})
        return digest(wanted.filter(pl.col("row").is_in(have.implode())).rows())

    # -- parts --------------------------------------------------------------------------------------------

    def _task(self, cell: ProbeCell) -> LoadedTask:
        return next(task for task in self.tasks if task.entry is cell.task)

    def _audio(self) -> Audio:
        """Hash the audio of all tasks together, so that shared recordings are embedded once."""
        files = [task.data.items.select("track_id", *FILES).drop_nulls("path") for task in self.tasks]
        every = pl.concat(files).unique(FILES, keep="first", maintain_order=True)
        twice = pl.col("track_id").is_duplicated()
        every = every.with_columns(track_id=pl.when(twice).then(pl.col("path")).otherwise(pl.col("track_id")))
        audio = Audio.of(every, self.environment.cache)
        rows = audio.rows.select(*FILES, "row")
        for task in list(self.tasks):
            items = task.data.items.select(*FILES)
            found = items.join(rows, on=FILES, how="left", nulls_equal=True, maintain_order="left")
            task.rows = list(found["row"])
            if self.needs_audio and not task.row_of:
                path = next(iter(items["path"].drop_nulls()), None)
                where = f"the first was looked for at {path}" if path else "give --audio DIR|LIST"
                self._refuse(task, f"{task.name}: none of its {len(task.ids):,} items has audio; {where}.")
                continue
            task.notes += untangle(task)
            lacking = task.coverage(needs_audio=self.needs_audio)
            task.incomplete = bool(lacking)
            task.notes += lacking
        return audio

    def _refuse(self, task: LoadedTask, reason: str) -> None:
        """Raise BenchError for a task requested by name; with ``all``, log the reason and skip the task."""
        if not self.request.lenient:
            raise BenchError(reason)
        self.ui.log(f"left out: {reason}")
        self.tasks.remove(task)

    def _cells(self) -> list[ProbeCell]:
        """Return the cells of all tasks; known leaks are rejected, or noted if they are allowed."""
        out: list[ProbeCell] = []
        refused: list[str] = []
        allow = self.request.allow_leaks
        for task in list(self.tasks):
            found, told = leaks(task)
            task.notes += told
            if found and not allow:
                self._refuse(task, f"{task.name} leaks: {'; '.join(found)}. --allow-leaks measures it all the same.")
                continue
            for cell in self._cells_of(task):
                if cell.extractor.auto and task.task.kind == "links":
                    refused.append(f"{cell.extractor}: {task.name} has no validation part to choose a layer by")
                    continue
                reason = contaminated(cell.extractor, task)
                if reason and not allow:
                    refused.append(f"{reason} (--allow-leaks measures it all the same)")
                    continue
                self._allowed[cell] = [*found, *([reason] if reason else [])]
                out.append(cell)
        for line in dict.fromkeys(refused):
            self.ui.log(f"left out: {line}")
        if all(cell.control for cell in out):
            raise BenchError(f"nothing is left to do: {refused[0]}." if refused else "nothing is left to do.")
        return out

    def _suits(self, task: LoadedTask, extractor: ExtractorEntry, probe: ProbeEntry) -> bool:
        """Return whether a probe can be asked: a zero-shot probe needs labels that are words, and texts' vectors.

        Raises
        ------
        BenchError
            For a zero-shot probe on a task that was requested by name and whose labels are no words.

        """
        if probe.prompt is None:
            return True
        words = task.task.kind in ("tags", "classes")
        if not words and not self.request.lenient:
            raise BenchError(f"probe {probe}: the labels of {task.name} are no words. It scores tags and classes.")
        return words and (not extractor.control or extractor.components[0].base is not None)

    def _cells_of(self, task: LoadedTask) -> list[ProbeCell]:
        """Return the cells of one task, requested ones first; tasks of linked items compare vectors directly."""
        probes = [COSINE] if task.task.kind == "links" else self.resolved.probes
        cells = [
            ProbeCell(task.entry, extractor, probe, seed)
            for probe in probes
            for extractor in self.resolved.extractors
            for seed in self.request.seeds
            if self._suits(task, extractor, probe)
        ]
        if task.ceiling and self.request.controls:
            truth = ProbeEntry(task.ceiling, task.ceiling, NoSettings())
            cells.append(ProbeCell(task.entry, self.resolved.resolver.extractor(NONE), truth, self.request.seeds[0]))
        return cells
