"""``bench run``: recommenders on frozen item tables, one record per cell."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from bench import records
from bench.entries import ExtractorEntry, audio_extractors
from bench.errors import BenchError
from bench.items.item_table import ItemTable, Tables, joins
from bench.machine import threads
from bench.protocols import Extractor
from bench.records import Record
from bench.run import plan
from bench.run.experiment import Experiment, Finished
from bench.run.extraction_plan import ExtractionPlan
from bench.run.extraction_task import Audio
from bench.run.heard import check_unheard
from bench.run.inputs import Inputs, open_inputs
from bench.run.options import Environment
from bench.run.progress import Ui
from bench.run.recommend.estimates import estimates
from bench.run.recommend.evaluate import measure
from bench.run.recommend.layer import check_validation, chosen
from bench.run.recommend.record import blank, family, finished, inputs_hash
from bench.run.recommend.request import Cell, RecommendRequest, Resolved, resolve
from bench.run.recommend.table_warnings import table_warnings
from bench.run.recommend.top_lists import SETS, cutoffs, default_cutoff, long_lists
from bench.splits.make import Split
from bench.text import counted
from bench.training.step_threads import SHORT


class RecommendExperiment(Experiment[Cell]):
    """Every extractor of a request with every recommender, and their controls."""

    request: RecommendRequest
    resolved: Resolved
    k: list[int]
    reference: ExtractorEntry | None

    def __init__(self, request: RecommendRequest, environment: Environment, ui: Ui):
        super().__init__(request, environment, ui)
        self._tables: dict[tuple[ExtractorEntry, int], ItemTable] = {}

    def check(self) -> None:
        """Resolve the request."""
        self.resolved = resolve(self.request)
        self.cells = self.resolved.cells

    def needs_weights(self) -> list[Extractor]:
        """Return the requested extractors; the reference space for diversity needs no weights."""
        return audio_extractors(self.resolved.extractors)

    def read(self) -> None:
        """Read log, split, metadata and catalogue, and find missing vectors."""
        if self.request.refit and self.split.plays is not None:
            raise BenchError("--refit knows validation pairs, not plays, and this split says sequence=all_plays.")
        usual = self.inputs.opened.dataset.default_k
        self.k = list(self.request.k) or [default_cutoff(usual, int(self.split.hot.sum()))]
        self.reference = self._reference()
        check_validation(self.resolved.extractors, self.split)
        check_unheard(dict.fromkeys(cell.extractor for cell in self.cells), self.split, self.inputs.name)
        entries = [cell.extractor for cell in self.cells] + ([self.reference] if self.reference else [])
        plugins = audio_extractors(entries)
        self.audio = self._audio(plugins)
        self.extraction = ExtractionPlan(plugins, self.audio, self.environment)
        self._check_k()

    @cached_property
    def inputs(self) -> Inputs:
        """Log, split, metadata and catalogue; experiments on the same data can share them."""
        return open_inputs(self.request.data, self.request.split, self.environment, self.ui.log, self.opened)

    @property
    def split(self) -> Split:
        """The split into training, validation and test."""
        return self.inputs.split

    # -- plan ---------------------------------------------------------------------------------------------

    def describe(self) -> Iterable[str]:
        """Return the sizes of data and split, and notes about them."""
        split = self.split
        yield (
            f"data: {self.inputs.name}, split {self.inputs.split_name} {split.settings.describe()}: "
            f"{len(split.users)} listeners, {int(split.hot.sum())} hot and {int((~split.hot).sum())} cold tracks, "
            f"{len(split.train)} training pairs, fingerprint {split.fingerprint[:8]}"
        )
        yield f"parts: {_parts(split.counts)}"
        usual = self.inputs.opened.dataset.default_k
        if not self.request.k and self.k != [usual]:
            yield f"note: k = {self.k[0]}, not the usual {usual}: the catalogue is small; --k chooses another one"
        for note in [*self.inputs.caveats, *self.inputs.notes, *self.inputs.leaks.warnings, *long_lists(split, self.k)]:
            yield f"note: {note}"
        for extractor in self.resolved.extractors:
            yield from (f"note: {text}" for text in extractor.caveats(builtin=self.inputs.builtin))
        for model in self.resolved.models:
            yield from (f"note: {model}: {text}" for text in model.plugin.warnings)
        for pair in self.resolved.left_out:
            yield f"left out: {pair}"

    def forecast(self, todo: Sequence[Cell]) -> Iterable[str]:
        """Return lines about device and memory; raise BenchError for a training that is impossible."""
        device, why = self.chosen  # a missing device stops the run here, not after hours
        yield f"device: {device}" + (f" ({why})" if why else "")
        widest = max([sum(task.set.layers.values()) for task in self.extraction], default=128)
        yield plan.memory(len(self.split.items), widest)
        yield from joins(dict.fromkeys(cell.extractor for cell in todo), self.split.items, "track")
        every = [replace(cell, extractor=one) for cell in todo for one in self.layers(cell.extractor)]
        found = estimates(self.split, every, self.device, self.table, self.environment.max_time)
        self.cell_bytes = plan.cell_bytes(len(self.split.items), widest) + max(found.values(), default=0)
        yield from found

    # -- records ------------------------------------------------------------------------------------------

    def blank(self, cell: Cell) -> Record:
        """Return the record of a cell without numbers."""
        one = self.family or family(self.resolved.cells, self.k, refit=self.request.refit)
        return replace(blank(self.request, self.inputs, self.k, cell), family=one)

    def inputs_hash(self, cell: Cell, record: Record) -> str:
        """Hash everything on which the numbers of a cell depend."""
        entries = [cell.extractor, *([self.reference] if self.reference else [])]

        def identify() -> list[Any]:
            rows = {task.set.sha256: task.state(self.split.items) for task in self.tasks_of(*entries)}
            return [rows, self.sources(*entries)]

        reference = self.reference.text if self.reference else None
        return inputs_hash(record, self.inputs, reference, self.vectors_once(cell.extractor, identify))

    def valid(self, record: Record) -> bool:
        """Whether the record's training is complete, or would have no more time now."""
        wanted, training = self.environment.max_time, record.recommender.training
        if training is None or not training.cut_short:
            return True
        return wanted is not None and training.max_time_s is not None and wanted <= training.max_time_s

    def do(self) -> Finished:
        """Compute and record; with ``--refit``, also return the stored records of the cells without it."""
        out = super().do()
        out.records += self.without_refit()
        return out

    def without_refit(self) -> list[tuple[Path, Record]]:
        """Return the stored records of the same cells without ``--refit``; none unless it was given."""
        if not self.request.refit:
            return []
        once = replace(self.request, refit=False)
        blanks = [(cell, blank(once, self.inputs, self.k, cell)) for cell in self.cells]
        drafts = [replace(record, inputs_sha256=self.inputs_hash(cell, record)) for cell, record in blanks]
        found = [known for draft in drafts if (known := self.stored(draft))]
        if lacking := len(drafts) - len(found):
            self.ui.log(
                f"note: {lacking} of {len(drafts)} rows without --refit are not in {self.environment.results}: "
                "the same command without --refit adds them to the table"
            )
        return found

    def compute(self, cell: Cell, record: Record) -> tuple[Path, Record]:
        """Fit, rank, evaluate and record one cell."""
        with self.threads():
            return self._compute(cell, record)

    def threads(self) -> AbstractContextManager[None]:
        """Return a context with one thread where all products are small: threads would only wait for one another."""
        items = len(self.split.items)
        # A bound for the scores of all users, and for the inverse of a matrix of all items.
        operations = 2 * items * max(items, len(self.split.users)) * items
        return threads(1) if self.device == "cpu" and operations < SHORT else nullcontext()

    def _compute(self, cell: Cell, record: Record) -> tuple[Path, Record]:
        entry = cell.extractor
        if entry.auto:
            entry, layer = chosen(
                cell,
                self.layers(entry),
                self.table,
                self.split,
                self.k[0],
                device=self.device,
                folder=self.checkpoints(record),
                log=self.ui.log,
                max_time=self.environment.max_time,
            )
            record = replace(record, extractor=replace(record.extractor, chosen=layer))
        table = self.table(entry, cell.seed)
        problems = table_warnings(table, self.split, control=cell.control)
        for problem in [] if cell.control else problems:
            self.repeat(f"note: {cell.extractor}: {problem}")
        log_dir = self.environment.log_dir
        found = measure(
            cell.model.fresh(),
            table,
            self.split,
            ks=self.k,
            seed=cell.seed,
            device=self.device,
            reference=self._space(cell),
            folder=self.checkpoints(record),
            log=self.ui.log,
            max_time=self.environment.max_time,
            curves=log_dir / record.path.with_suffix("") if log_dir else None,
            refit=self.request.refit,
        )
        cost, machine = self.cost(cell.extractor), records.environment(self.device)
        record = finished(record, found, table, cost, machine, problems)
        per_user = pl.concat(found.per_user, how="diagonal") if found.per_user else None
        path, record = records.write(record, self.environment.results, per_user, found.held_out)
        if not record.cut_short:  # the training can continue with more time
            shutil.rmtree(self.checkpoints(record), ignore_errors=True)
        return path, record

    def table(self, entry: ExtractorEntry, seed: int) -> ItemTable:
        """Return the table of an extractor entry, built once."""
        if (entry, seed) not in self._tables:
            tables = Tables(self.environment.cache, self.audio.row_of, seed)
            self._tables[entry, seed] = tables.build(entry, self.split.items, hot=self.split.hot, meta=self.inputs.meta)
        return self._tables[entry, seed]

    def layers(self, entry: ExtractorEntry) -> list[ExtractorEntry]:
        """Return the entries of which ``layer=auto`` chooses one; for another entry, itself."""
        return self.resolved.resolver.layers(entry) if entry.auto else [entry]

    def forget_tables(self) -> None:
        """Free the memory of the tables built so far; they are built again when needed."""
        self._tables.clear()

    # -- parts --------------------------------------------------------------------------------------------

    def _reference(self) -> ExtractorEntry | None:
        """Return the reference space for diversity; None if it needs audio and there is none."""
        entry = self.resolved.reference
        return None if entry is None or (entry.audio and self.inputs.catalog is None) else entry

    def _space(self, cell: Cell) -> tuple[str, ItemTable] | None:
        """Return the reference space for diversity of a cell's lists; None if the cell itself ranks by it."""
        if self.reference is None or set(cell.extractor.names).intersection(self.reference.names):
            return None
        return "+".join(self.reference.names), self.table(self.reference, 0)

    def _audio(self, plugins: Sequence[Extractor]) -> Audio:
        """Return the catalogue rows of the split's items with audio keys; raise BenchError if audio is lacking."""
        catalog = self.inputs.catalog
        if catalog is None:
            if plugins:
                raise BenchError(
                    f"{plugins[0].name} listens to audio, and {self.inputs.name} brings none: give --audio DIR|LIST."
                )
            empty = {"track_id": pl.String, "path": pl.String, "offset": pl.Float64, "duration": pl.Float64}
            catalog = pl.DataFrame(schema=empty)
        return Audio.of(catalog, self.environment.cache)

    def _check_k(self) -> None:
        """Raise BenchError for a k at which every list would contain all candidates."""
        hot = int(self.split.hot.sum())
        if max(self.k) >= hot:
            far = " ".join(f"{text}." for text in self.split.counts.get("outlying", ()))
            advice = far or "Take a smaller k, or a split with more training plays."
            raise BenchError(
                f"--k {max(self.k)}: split {self.split.settings.describe()} has only {counted(hot, 'hot track')} to "
                f"choose from. {advice}"
            )
        tested = [which for which in SETS[:2] if len(self.split.truth("test", which).users)]  # mixed depends on cold
        sizes = {which: int(self.split.candidates("test", which).sum()) for which in tested}
        if not any(cutoffs(self.k, size) for size in sizes.values()):
            raise BenchError(
                f"--k {','.join(map(str, self.k))}: a list would hold all candidates "
                f"({', '.join(f'{which}: {size}' for which, size in sizes.items())}). Take a smaller k."
            )


def _parts(counts: Mapping[str, Any]) -> str:
    """Return the sizes of the parts of a split for the plan."""

    def sizes(numbers: Mapping[str, int]) -> str:
        return f"{numbers['pairs']} pairs of {numbers['users']} listeners and {numbers['items']} tracks"

    held = [
        f"{name} {', '.join(f'{which} {sizes(part[which])}' for which in ('hot', 'cold') if part[which]['pairs']) or 0}"
        for name, part in (("validation", counts["valid"]), ("test", counts["test"]))
    ]
    return "; ".join([f"training {sizes(counts['train'])}", *held])
