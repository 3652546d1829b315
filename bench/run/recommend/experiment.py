"""A whole run: open, plan, check, fill the store, compute the cells that are not there yet, record."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from bench import results
from bench.data.leaks import near_duplicates
from bench.errors import BenchError
from bench.extract import make_ready
from bench.files import check_writable
from bench.items import ItemTable, Tables, audio_extractors, extractors_behind
from bench.protocols import TableSource
from bench.registry import create
from bench.results import Record
from bench.run import plan
from bench.run.extraction_plan import Fillings
from bench.run.extraction_task import Audio, Filling
from bench.run.inputs import Material, open_material
from bench.run.progress import Ui
from bench.run.recommend.estimates import estimates
from bench.run.recommend.evaluate import measure
from bench.run.recommend.fit import cut_short
from bench.run.recommend.record import blank, inputs, treat_of
from bench.run.recommend.request import Cell, Place, Request, cells
from bench.specs import parse_sum

DUPLICATES_UP_TO = 60_000**2 * 256
"""Products (items squared times width) that the search for near-duplicate vectors may cost: seconds."""


@dataclass
class Finished:
    """What a run leaves: its records, whether it computed any, and tracks without vectors."""

    records: list[tuple[Path, Record]] = field(default_factory=list)
    computed: int = 0
    failed_tracks: int = 0


class Job:
    """One run. Construct it, then `plan()`, then `do()`; each step raises BenchError on bad input."""

    def __init__(self, request: Request, place: Place, ui: Ui):
        self.request, self.place, self.ui = request.checked(), place, ui
        check_writable(place.cache)
        check_writable(place.results)
        self.cells = cells(request)
        for plugin in audio_extractors(request.extractors, request.plugin):
            make_ready(plugin, place.cache)
        self.material: Material = open_material(request.data, request.split, place, ui.log)
        self.split = self.material.split
        if request.refit and self.split.plays is not None:
            raise BenchError("--refit knows validation pairs, not plays, and this split says sequence=all_plays.")
        self.k = list(request.k) or [self.material.opened.dataset.default_k]
        self.reference = self._reference()
        self.audio = self._audio()
        self.fillings = Fillings(self._audio_plugins(), self.audio, place)
        self._tables: dict[tuple[str, int], ItemTable] = {}
        self._check_k()

    # -- plan ---------------------------------------------------------------------------------------

    def plan(self) -> list[Cell]:
        """Print what will be done, and return the cells that must be computed."""
        say, split = self.ui.log, self.split
        say(
            f"data: {self.material.name}, split {self.material.split_name} {split.settings.describe()}: "
            f"{len(split.users)} listeners, {int(split.hot.sum())} hot and {int((~split.hot).sum())} cold tracks, "
            f"{len(split.train)} training pairs, fingerprint {split.fingerprint[:8]}"
        )
        for note in [*self.material.notes, *self.material.leaks.warnings]:
            say(f"note: {note}")
        todo = self._todo()
        for line in self.fillings.plan(self.device) if self.fillings.lacking else ():
            say(line)
        for line in plan.cells(todo, [c for c in self.cells if c not in todo]):
            say(line)
        if todo:
            say(f"device: {self.device}")  # one that is not there stops here, not after hours
            widest = max([sum(f.set.layers.values()) for f in self.fillings], default=128)
            say(plan.memory(len(split.items), widest))
            for line in estimates(self.request, self.split, todo, self.device, self.table):
                say(line)
        say(f"results: {self.place.results}")
        return todo

    def _todo(self) -> list[Cell]:
        """Return the cells without a record of the same inputs; unknown inputs mean work."""
        if self.place.again or self.fillings.lacking:
            return list(self.cells)
        return [cell for cell in self.cells if self._existing(cell) is None]

    def _existing(self, cell: Cell) -> tuple[Path, Record] | None:
        """Find the record of a cell whose inputs are what they are now."""
        path = self.place.results / self._blank(cell).path
        if not path.exists() or not results.users_path(path).exists():
            return None
        try:
            found = results.read(path)
        except BenchError as error:
            self.ui.log(f"{error} It is computed again.")
            return None
        return (path, found) if found.inputs_sha256 == self.fingerprint(cell) and self._had_time(found) else None

    def _had_time(self, record: Record) -> bool:
        """Whether nothing cut its training short that would leave it more time now."""
        given, wanted = record.recommender.get("training", {}).get("max_time_s"), self.place.max_time
        return not cut_short(record) or (wanted is not None and wanted <= given)

    # -- do -----------------------------------------------------------------------------------------

    def fill(self) -> int:
        """Embed what is missing; return the largest number of tracks without a vector."""
        return self.fillings.fill(lambda: self.device, self.ui, examples=5)

    def do(self) -> Finished:
        """Fill the store, compute and record; finished cells stay when a later one fails."""
        out = Finished(failed_tracks=self.fill())
        for cell in self.cells:
            known = None if self.place.again else self._existing(cell)
            if known is None:
                out.computed += 1
                self.ui.log(f"computing {cell}")
                known = self._compute(cell)
            out.records.append(known)
        return out

    def _compute(self, cell: Cell) -> tuple[Path, Record]:
        model = create("recommenders", cell.model, lane=self.request.lane)
        table = self.table(cell.extractor, cell.seed, treat_of(self.request, cell))
        record = self._blank(cell)
        record.inputs_sha256 = self.fingerprint(cell)
        problems = self._table_warnings(cell, table)
        for problem in [] if cell.control else problems:
            self.ui.log(f"note: {cell.extractor}: {problem}")
        found = measure(
            model,
            table,
            self.split,
            ks=self.k,
            seed=cell.seed,
            device=self.device,
            reference=self._space(cell),
            folder=self._checkpoints(record),
            log=self.ui.log,
            max_time=self.place.max_time,
            curves=self.place.log_dir / record.path.with_suffix("") if self.place.log_dir else None,
            refit=self.request.refit,
        )
        record.metrics, record.intervals, record.chance = found.metrics, found.intervals, found.chance
        record.users, record.candidates, record.beyond = found.users, found.candidates, found.beyond
        record.validation = found.validation
        if found.training:
            record.recommender["training"] = found.training
        record.extractor |= {
            "width": int(table.vectors.shape[1]),
            "coverage": table.coverage,
            "table_sha256": table.sha256,
        }
        record.cost = found.cost | self._cost(cell)
        record.environment = results.environment(self.device)
        # That popularity says nothing of cold tracks is known; of a model it is news.
        record.warnings += [] if cell.control else found.warnings
        record.warnings += problems
        per_user = pl.concat(found.per_user) if found.per_user else None
        path = results.write(record, self.place.results, per_user)
        if not cut_short(record):  # with more time, the same training goes on
            shutil.rmtree(self._checkpoints(record), ignore_errors=True)
        return path, record

    def table(self, text: str, seed: int, treat: str) -> ItemTable:
        """Build (once) the table of an extractor entry."""
        key = (f"{text}|{treat}", seed)
        if key not in self._tables:
            tables = Tables(self.place.cache, self.audio.row_of, self.request.lane, seed)
            self._tables[key] = tables.build(
                text,
                self.split.items,
                hot=self.split.hot,
                meta=self.material.meta,
                treat=treat,
            )
        return self._tables[key]

    @cached_property
    def device(self) -> str:
        """The device in use; finding out imports torch, so an unchanged run never asks."""
        return plan.device(self.place.device)

    # -- what a record says --------------------------------------------------------------------------

    def _blank(self, cell: Cell) -> Record:
        return blank(self.request, self.material, self.k, cell)

    def fingerprint(self, cell: Cell) -> str:
        """Hash everything the numbers of a cell depend on."""
        texts = [cell.extractor, *([self.reference] if self.reference else [])]
        vectors = {part.set.sha256: part.state(self.split.items) for part in self._parts(*texts)}
        plugins = extractors_behind(texts, self.request.plugin)
        sources = [plugin.fingerprint() for plugin in plugins if isinstance(plugin, TableSource)]
        return inputs(self._blank(cell), self.material, self.reference, [vectors, sources])

    def _parts(self, *texts: str) -> list[Filling]:
        """Return the sets behind the vectors of extractor entries."""
        return self.fillings.of(audio_extractors(texts, self.request.plugin))

    def _cost(self, cell: Cell) -> dict[str, Any]:
        """Return what embedding costs on this device, and the process's peak memory so far."""
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        cost: dict[str, Any] = {"peak_memory_bytes": peak, "device": self.device}
        rates = [part.set.rate(self.device) for part in self._parts(cell.extractor)]
        if known := [rate for rate in rates if rate is not None]:
            cost["extract_s_per_1000"] = 1000 * sum(known)
        return cost

    def _table_warnings(self, cell: Cell, table: ItemTable) -> list[str]:
        """Say what is wrong with a table, if anything."""
        out = []
        if table.coverage < 1:
            absent, lost = int((~table.present).sum()), int((~table.present)[self.split.train.item].sum())
            out.append(
                f"{absent} of {len(table.ids)} items have no vector; they are never recommended, and their {lost} "
                "training pairs teach no model of vectors"
            )
        cost = len(table.ids) ** 2 * table.vectors.shape[1]
        if not cell.control and 0 < cost <= DUPLICATES_UP_TO:
            # Uncentred embeddings all look alike: their common part is taken off first.
            there = table.vectors[table.present]
            ids = [i for i, present in zip(table.ids, table.present.tolist(), strict=True) if present]
            found = near_duplicates(there - there.mean(axis=0), ids)
            if found.total:
                pairs = ", ".join(f"{a} = {b}" for a, b in found.pairs[:3])
                out.append(f"{found.total} pairs of items have vectors of cosine above 0.999 ({pairs})")
        return out

    # -- parts ----------------------------------------------------------------------------------------

    def _reference(self) -> str | None:
        """Return the spec of the space for diversity; without audio only a table of vectors can be one."""
        text = self.request.space
        if text is None:
            return None
        needs_audio = bool(audio_extractors([text], self.request.plugin))
        return None if needs_audio and self.material.catalog is None else text

    def _space(self, cell: Cell) -> tuple[str, ItemTable] | None:
        """Return the table in which the variety of a cell's lists is measured: never the one it ranks by."""
        if self.reference is None:
            return None
        names = [spec.name for spec in parse_sum(self.reference)]
        if {spec.name for spec in parse_sum(cell.extractor)}.intersection(names):
            return None
        return "+".join(names), self.table(self.reference, 0, "standardize")

    def _audio_plugins(self) -> list[Any]:
        """Return every audio extractor of the run, the space for diversity included, once a set."""
        texts = [cell.extractor for cell in self.cells] + ([self.reference] if self.reference else [])
        return audio_extractors(list(dict.fromkeys(texts)), self.request.plugin)

    def _audio(self) -> Audio:
        """Return the catalogue rows of the split's items, keyed; stop when audio is needed and absent."""
        catalog = self.material.catalog
        if catalog is None:
            if needs := self._audio_plugins():
                raise BenchError(
                    f"{needs[0].name} listens to audio, and {self.material.name} brings none: give --audio DIR|LIST."
                )
            empty = {"track_id": pl.String, "path": pl.String, "offset": pl.Float64, "duration": pl.Float64}
            return Audio.of(pl.DataFrame(schema=empty), self.place.cache)
        return Audio.of(catalog, self.place.cache)

    def _check_k(self) -> None:
        """Refuse a k that every list would satisfy."""
        hot = int(self.split.hot.sum())
        if max(self.k) >= hot:
            raise BenchError(f"--k {max(self.k)}: there are only {hot} hot tracks to choose from. Take a smaller k.")

    def _checkpoints(self, record: Record) -> Path:
        """Where a trained model's checkpoints go: by inputs, so that a changed run starts anew."""
        return self.place.cache / "checkpoints" / record.inputs_sha256[:32]
