"""A whole comparison on MIR tasks: open, plan, check, fill the store, probe what is not there yet, record."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench import results
from bench.errors import BenchError
from bench.extract import make_ready
from bench.files import check_writable, digest
from bench.items import Tables, audio_extractors, extractors_behind
from bench.probes import wants_layers
from bench.protocols import RunContext, TableSource
from bench.results import Record
from bench.run import plan
from bench.run.extraction_plan import Fillings
from bench.run.extraction_task import Audio, Filling
from bench.run.probe.evaluate import linked, score
from bench.run.probe.leaks import contaminated, leaks, untangle
from bench.run.probe.record import COSINE, blank, inputs, probe_settings
from bench.run.probe.request import ProbeCell, ProbeRequest, cells, layers, lines
from bench.run.probe.tasks import FILES, Asked, open_tasks
from bench.run.progress import Ui
from bench.run.recommend.experiment import Finished
from bench.run.recommend.request import Place


@dataclass
class _Todo:
    """One cell with its task, and what is known to leak and allowed."""

    asked: Asked
    cell: ProbeCell
    leaks: list[str]


class ProbeJob:
    """Construct it, then `plan()`, then `do()`; each step raises BenchError on bad input."""

    def __init__(self, request: ProbeRequest, place: Place, ui: Ui):
        self.request, self.place, self.ui = request.checked(), place, ui
        for spec in request.probes:
            probe_settings(spec)
        check_writable(place.cache)
        check_writable(place.results)
        entries = lines(request)
        self.texts = [*entries.asked, *entries.controls]
        plugins = audio_extractors(self.texts, request.plugin)
        for plugin in plugins:
            make_ready(plugin, place.cache)
        self.tasks = open_tasks(request, place, ui.log)
        self.needs_audio = bool(plugins)
        self.audio = self._audio()
        self.fillings = Fillings(plugins, self.audio, place)
        self.todo = self._cells()

    # -- plan ---------------------------------------------------------------------------------------

    def plan(self) -> list[ProbeCell]:
        """Print what will be done, and return the cells that must be computed."""
        say = self.ui.log
        for asked in self.tasks:
            parts = ", ".join(f"{n:,} {part}" for part, n in asked.counts()["items"].items())
            say(f"task: {asked.spec} ({asked.task.kind}, {plan.number(len(asked.data.names), 'label')}): {parts}")
            for note in asked.notes:
                say(f"note: {asked.name}: {note}")
        todo = [each.cell for each in self.todo if self._unknown(each)]
        for line in self.fillings.plan(self.device) if self.fillings.lacking else ():
            say(line)
        for line in plan.cells(todo, [each.cell for each in self.todo if each.cell not in todo]):
            say(line)
        say(f"results: {self.place.results}")
        return todo

    def _unknown(self, each: _Todo) -> bool:
        return self.place.again or self.fillings.lacking or self._existing(each) is None

    def _existing(self, each: _Todo) -> tuple[Path, Record] | None:
        """Find the record of a cell whose inputs are what they are now."""
        record = self._blank(each)
        path = self.place.results / record.path
        if not path.exists() or not results.rows_path(path, record.kind).exists():
            return None
        try:
            found = results.read(path)
        except BenchError as error:
            self.ui.log(f"{error} It is computed again.")
            return None
        return (path, found) if found.inputs_sha256 == self._inputs(each, record) else None

    # -- do -----------------------------------------------------------------------------------------

    def do(self) -> Finished:
        """Fill the store, probe and record; finished cells stay when a later one fails."""
        out = Finished(failed_tracks=self.fillings.fill(lambda: self.device, self.ui, examples=5))
        for each in self.todo:
            known = None if self.place.again else self._existing(each)
            if known is None:
                out.computed += 1
                self.ui.log(f"computing {each.cell}")
                known = self._compute(each)
            out.records.append(known)
        return out

    def _compute(self, each: _Todo) -> tuple[Path, Record]:
        asked, cell = each.asked, each.cell
        record = self._blank(each)
        record.inputs_sha256 = self._inputs(each, record)
        vectors, present = self._vectors(each)
        # By inputs, so that a search that was killed continues and a changed one starts anew.
        folder = self.place.cache / "checkpoints" / record.inputs_sha256[:32]
        if asked.task.kind == "links":
            found = linked(asked.task, asked.data, vectors, present, treat=self.request.treat, seed=cell.seed)
        else:
            found = score(
                asked.task,
                asked.data,
                vectors,
                present,
                cell.probe,
                treat=self.request.treat,
                fraction=self.request.train_fraction,
                seed=cell.seed,
                run=RunContext(seed=cell.seed, device=self.device, log=self.ui.log, folder=folder),
            )
        record.metrics, record.chance = {"test": found.metrics}, {"test": found.chance}
        record.intervals = {"test": found.intervals}
        record.validation = {"valid": found.validation}
        record.users, record.candidates = {"test": found.tested}, {"test": len(asked.data.names)}
        record.recommender |= found.probe
        record.split["counts"]["used"] = {"train": found.trained, "test": found.tested}
        record.extractor |= {
            "width": int(vectors[0].size),
            "coverage": float(present.mean()),
            "table_sha256": digest([asked.ids, _sha256(vectors), _sha256(present)]),
        }
        record.cost = found.cost | self._cost(cell)
        record.environment = results.environment(self.device)
        record.warnings += found.warnings
        path = results.write(record, self.place.results, found.answers)
        shutil.rmtree(folder, ignore_errors=True)
        return path, record

    def _vectors(self, each: _Todo) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the vectors (N, D) of a task's items, zero where there is none, and which have one (N,)."""
        asked, cell = each.asked, each.cell
        if cell.extractor == "none":
            vectors: NDArray[np.float32] = asked.task.ceiling(asked.data, seed=cell.seed)  # type: ignore[attr-defined]
            return vectors, asked.heard(needs_audio=self.needs_audio)
        tables = Tables(self.place.cache, asked.row_of, self.request.lane, cell.seed)
        if cell.probe == COSINE or not wants_layers(cell.probe):
            vectors, present = tables.joined(cell.extractor, asked.ids)
        else:
            found = [tables.joined(text, asked.ids) for text in layers(cell.extractor, self.request.plugin)]
            if len({layer.shape for layer, _ in found}) > 1:
                widths = ", ".join(str(layer.shape[1]) for layer, _ in found)
                raise BenchError(f"--probe {cell.probe}: the layers of {cell.extractor} have unlike widths ({widths}).")
            vectors = np.stack([layer for layer, _ in found], axis=1)
            present = np.logical_and.reduce([there for _, there in found])
        # Controls need no audio, and are asked no more than those that do.
        present = present & asked.heard(needs_audio=self.needs_audio)
        absent = ~present.reshape(-1, *[1] * (vectors.ndim - 1))
        return np.where(absent, np.float32(0.0), vectors).astype(np.float32), present

    @cached_property
    def device(self) -> str:
        """The device in use; finding out imports torch, so an unchanged run never asks."""
        return plan.device(self.place.device)

    # -- what a record says --------------------------------------------------------------------------

    def _blank(self, each: _Todo) -> Record:
        return blank(self.request, each.asked, each.cell, each.leaks)

    def _inputs(self, each: _Todo, record: Record) -> str:
        texts = [each.cell.extractor]
        vectors = {part.set.sha256: self._state(part, each.asked) for part in self._parts(texts)}
        vectors["heard"] = digest(each.asked.heard(needs_audio=self.needs_audio).tolist())
        plugins = extractors_behind(texts, self.request.plugin)
        sources = [plugin.fingerprint() for plugin in plugins if isinstance(plugin, TableSource)]
        return inputs(record, [vectors, sources])

    def _parts(self, texts: Sequence[str]) -> list[Filling]:
        return self.fillings.of(audio_extractors(texts, self.request.plugin))

    def _state(self, part: Filling, asked: Asked) -> str:
        """Hash which audio of the task's items has a vector in a set."""
        rows = part.set.rows()
        have = rows.filter(pl.col("status") != "failed")["row"]
        wanted = pl.DataFrame({"id": asked.ids, "row": asked.rows}, schema={"id": pl.String, "row": pl.String})
        return digest(wanted.filter(pl.col("row").is_in(have.implode())).rows())

    def _cost(self, cell: ProbeCell) -> dict[str, Any]:
        """Return what embedding costs on this device."""
        cost: dict[str, Any] = {"device": self.device}
        rates = [part.set.rate(self.device) for part in self._parts([cell.extractor])]
        if known := [rate for rate in rates if rate is not None]:
            cost["extract_s_per_1000"] = 1000 * sum(known)
        return cost

    # -- parts ----------------------------------------------------------------------------------------

    def _audio(self) -> Audio:
        """Hash the audio of all tasks together: what two of them ask about is embedded once."""
        files = [asked.data.items.select("track_id", *FILES).drop_nulls("path") for asked in self.tasks]
        every = pl.concat(files).unique(FILES, keep="first", maintain_order=True)
        twice = pl.col("track_id").is_duplicated()
        every = every.with_columns(track_id=pl.when(twice).then(pl.col("path")).otherwise(pl.col("track_id")))
        audio = Audio.of(every, self.place.cache)
        rows = audio.rows.select(*FILES, "row")
        for asked in list(self.tasks):
            items = asked.data.items.select(*FILES)
            found = items.join(rows, on=FILES, how="left", nulls_equal=True, maintain_order="left")
            asked.rows = list(found["row"])
            if self.needs_audio and not asked.row_of:
                path = next(iter(items["path"].drop_nulls()), None)
                where = f"the first was looked for at {path}" if path else "give --audio DIR|LIST"
                self._refuse(asked, f"{asked.name}: none of its {len(asked.ids):,} items has audio; {where}.")
                continue
            asked.notes += untangle(asked)
            lacking = asked.coverage(needs_audio=self.needs_audio)
            asked.incomplete = bool(lacking)
            asked.notes += lacking
        return audio

    def _refuse(self, asked: Asked, reason: str) -> None:
        """Stop on a task that is asked for by name; of ``all``, leave it out and say so."""
        if not self.request.lenient:
            raise BenchError(reason)
        self.ui.log(f"left out: {reason}")
        self.tasks.remove(asked)

    def _cells(self) -> list[_Todo]:
        """Return the cells of all tasks; what is known to leak is refused, or noted where it is allowed."""
        out, refused = [], []
        for asked in list(self.tasks):
            found, told = leaks(asked)
            asked.notes += told
            if found and not self.request.allow_leaks:
                self._refuse(asked, f"{asked.name} leaks: {'; '.join(found)}. --allow-leaks measures it all the same.")
                continue
            by_itself = asked.task.kind == "links"
            todo = cells(self.request, asked.spec, (COSINE,) if by_itself else self.request.probes)
            if asked.ceiling and self.request.controls:
                todo.append(ProbeCell(asked.spec, "none", asked.ceiling, self.request.seeds[0]))
            for cell in todo:
                each = _Todo(asked, cell, list(found))
                if reason := contaminated(self._blank(each), asked):
                    if not self.request.allow_leaks:
                        refused.append(f"{reason} (--allow-leaks measures it all the same)")
                        continue
                    each.leaks.append(reason)
                out.append(each)
        for line in dict.fromkeys(refused):
            self.ui.log(f"left out: {line}")
        if not any(not each.cell.control for each in out):
            raise BenchError(f"nothing is left to do: {refused[0]}." if refused else "nothing is left to do.")
        return out


def _sha256(array: Any) -> str:
    import hashlib

    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
