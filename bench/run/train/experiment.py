"""``bench train``: choose recordings, decode them once, train a network on them, and write its weights."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np

from bench import __version__, devices, memory
from bench.audio.pcm_cache import decoded, estimated_bytes
from bench.errors import BenchError
from bench.files.atomic import check_writable, digest
from bench.protocols import Heard, RunContext
from bench.run.options import Environment
from bench.run.progress import Ui
from bench.run.train.card import write_card
from bench.run.train.fit import train
from bench.run.train.recordings import Chosen, choose
from bench.run.train.request import TrainRequest, resolve
from bench.run.train.rows import Below, Rows
from bench.run.train.windows import Windows, validation_links
from bench.text import counted, duration, size

VERSION = 1
"""Part of the key of a training; raised when the same request can give other weights."""


class Training:
    """Runs a request. Creating one is cheap; call `open` to read the data, then `plan`, then `do`."""

    chosen: Chosen

    def __init__(self, request: TrainRequest, environment: Environment, ui: Ui):
        self.request, self.environment, self.ui = request, environment, ui
        self.plugins = resolve(request.spec)

    def open(self) -> Self:
        """Read the data, choose the recordings, and open the objective.

        Raises
        ------
        BenchError
            When the data have no audio, too few recordings are left, or a signal of the objective is absent.

        """
        request, curves = self.request, self.environment.log_dir
        for folder in (self.environment.cache, request.out and request.out.parent, curves):
            if folder is not None:
                check_writable(folder)
        for one in self.plugins.extractor.heard:
            _ = one.ids  # weights to start from must say what they have heard
        self.chosen = choose(request.data, request.split, self.environment, self.ui.log, request.seed)
        self.below = Below.of(self.plugins.extractor, self.chosen.rows, self.environment)
        self.links = validation_links(self.chosen.data)
        self.plugins.objective.open(self.chosen.data, request.seed)
        return self

    # -- what it is ---------------------------------------------------------------------------------------

    @cached_property
    def about(self) -> dict[str, Any]:
        """What the weights depend on, as JSON values, with a hash of all of it as `key`."""
        inputs, request, extractor = self.chosen.inputs, self.request, self.plugins.extractor
        told = {
            "format": VERSION,
            "extractor": self.plugins.settings["extractor"],
            "objective": self.plugins.settings["objective"],
            "data": inputs.name,
            "builtin": inputs.opened.dataset.builtin and (not extractor.heard or extractor.synthetic),
            "fingerprint": inputs.fingerprint,
            "split": inputs.split.fingerprint,
            "cutoff": self.chosen.cutoff,
            "signals": sorted(self.plugins.objective.signals),
            "hold_out": self.chosen.hold_out.sha256,
            "recordings": digest(self.chosen.rows.select("track_id", "row").rows()),
            "metadata": digest([self.chosen.data.tags, self.chosen.data.text]),
            "validation": digest(self.chosen.valid.tolist()),
            "seed": request.seed,
            "epochs": request.epochs,
            "rate": request.rate,
            "batch": request.batch,
            "patience": request.patience,
        }
        if self.below is not None:
            told |= self.below.about()
        if extractor.heard:  # it starts from trained weights, whose file can change
            told["start"] = dict(extractor.fingerprint())
        return {**told, "key": digest(told)}

    @cached_property
    def path(self) -> Path:
        """The file of weights."""
        if self.request.out is not None:
            return self.request.out
        named = f"{self.plugins.spec.name}-{self.about['key'][:16]}.safetensors"
        return self.environment.cache.absolute() / "trained" / named

    @property
    def tracks_path(self) -> Path:
        """The list of recordings beside the weights."""
        return self.path.with_suffix(".tracks.parquet")

    @property
    def spec(self) -> str:
        """The spec that loads the weights."""
        return str(self.plugins.extractor.spec_of(self.path))

    @cached_property
    def device(self) -> str:
        """The device in use."""
        return devices.choose(self.environment.device)[0]

    def finished(self) -> Mapping[str, Any] | None:
        """Return what the file of weights says if this training has written it and ended; None if there is no file.

        A training that ended at its time limit is not finished.

        Raises
        ------
        BenchError
            When the file holds weights of another training, or cannot be read.

        """
        if not self.path.exists():
            return None
        told: Mapping[str, Any] = self.plugins.extractor.trained(self.path)
        if told.get("key") != self.about["key"]:
            raise BenchError(f"{self.path} holds weights of another training: give another --out, or remove it.")
        return told if told["stopped"] != "deadline" else None

    # -- plan ---------------------------------------------------------------------------------------------

    def plan(self) -> None:
        """Print what will be done."""
        for line in self._lines():
            self.ui.log(line)

    def _lines(self) -> Iterator[str]:
        chosen, request, data = self.chosen, self.request, self.chosen.data
        n_valid = int(chosen.valid.sum())
        pairs = n_valid * (n_valid - 1) // 2
        yield f"data: {chosen.inputs.name}, split {chosen.inputs.split_name}"
        if chosen.cutoff is None:
            yield "cut-off: none, the split has no date; its training plays of all times are used"
        else:
            yield f"cut-off: {chosen.cutoff}; plays after it are not used"
        yield (
            f"recordings: {len(data.ids) - n_valid:,} to train on, {n_valid:,} to choose the best epoch "
            f"({len(self.links):,} of {pairs:,} pairs are linked, average precision by chance "
            f"{len(self.links) / pairs:.4f})"
        )
        yield f"held out: {len(chosen.hold_out.held):,} recordings (sha256 {chosen.hold_out.sha256[:16]})"
        if chosen.cold:
            yield f"left out: {chosen.cold:,} recordings that nobody played before the cut-off"
        for note in filter(None, [*chosen.inputs.notes, chosen.unreadable]):
            yield f"note: {note}"
        yield f"learns from: {', '.join(['audio', *self.about['signals']])}"
        if self.below is None:
            weights = sum(one.numel() for one in self.plugins.extractor.network(request.seed).parameters())
            rate, window = self.plugins.extractor.sample_rate, self.plugins.extractor.window
            yield f"network: {self.plugins.spec}, {weights:,} parameters; windows of {window.length / rate:g} s"
        else:
            yield f"network: {self.plugins.spec}, on the vectors of {self.below.entry}, one for each recording"
        yield f"objective: {self.plugins.objective_spec}, {counted(request.batch, 'window')} per step"
        yield (
            f"training: Adam, rate {request.rate:g}, at most {counted(request.epochs, 'epoch')}, ends after "
            f"{counted(request.patience, 'epoch')} without a better validation value; seed {request.seed}; on "
            f"{self.device}"
        )
        if request.max_time is not None:
            yield f"time: at most {duration(request.max_time)}"
        else:
            yield "time: shown after the first epoch"
        if self.below is None:
            space = size(estimated_bytes(chosen.files, rate))
            yield f"decoded audio: about {space} in {self.environment.cache / 'pcm'}"
        else:
            yield from self.below.plan(self.device)
        yield f"weights: {self.path}"

    # -- work ---------------------------------------------------------------------------------------------

    def do(self) -> Mapping[str, Any]:
        """Decode, train, and write weights, track list and card; return what the weights say of their training."""
        extractor = self.plugins.extractor
        check_writable(self.path.parent)
        windows = self._windows() if self.below is None else self._rows(self.below)
        with memory.kept():
            trained = train(self.request, self.plugins, self.chosen.valid, self.links, windows, self._context())
        heard = Heard.write(
            self.tracks_path,
            self.chosen.ids,
            data=self.about["data"],
            cutoff=self.about["cutoff"],
            signals=self.plugins.objective.signals,
        )
        told = {**self.about, "tracks_sha256": heard.sha256, **trained.result, "versions": _versions()}
        if extractor.heard:
            told["before"] = self._heard_before()
        licence = self.chosen.inputs.opened.dataset.license
        write_card(self.path, told, self.request, self.plugins, self.chosen.hold_out, licence)
        extractor.save(self.path, trained.network, told, trained.words)  # last: the file says that all is done
        if told["stopped"] != "deadline":
            shutil.rmtree(self.checkpoints, ignore_errors=True)
        return told

    def _windows(self) -> Windows:
        """Decode the recordings and return their windows."""
        extractor = self.plugins.extractor
        with self.ui.bar("decoding", len(self.chosen.rows)) as progress:
            pcm = decoded(self.chosen.files, extractor.sample_rate, self.environment.cache, progress)
        if pcm.problems:
            self._leave_out(pcm.problems, "cannot be decoded")
            pcm = decoded(self.chosen.files, extractor.sample_rate, self.environment.cache)
        return Windows(pcm, extractor.window.length, extractor.front_end().to(self.device), self.device)

    def _rows(self, below: Below) -> Rows:
        """Compute the vectors on which a head is trained, as far as they are missing, and return them."""
        vectors, problems = below.vectors(self.chosen.ids, lambda: self.device, self.ui)
        if problems:
            self._leave_out(problems, f"have no vector of {below.entry}")
            vectors = np.delete(vectors, list(problems), axis=0)
        return Rows(vectors, self.device)

    def _heard_before(self) -> list[dict[str, Any]]:
        """Copy the lists of what the weights had heard that training started from; return what they say."""
        told = []
        for number, one in enumerate(self.plugins.extractor.heard, start=1):
            path = self.path.with_suffix(f".before{number}.parquet")
            Heard.write(path, one.ids, data=one.data, cutoff=one.cutoff, signals=one.signals)
            kept = {"data": one.data, "cutoff": one.cutoff, "signals": list(one.signals)}
            told.append({**kept, "tracks_sha256": one.sha256, "tracks": path.name})
        return told

    def _context(self) -> RunContext:
        limit = self.request.max_time
        return RunContext(
            seed=self.request.seed,
            device=self.device,
            deadline=None if limit is None else time.monotonic() + limit,
            log=self.ui.log,
            folder=self.checkpoints,
            curves=self.environment.log_dir,
        )

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints, named by all that an epoch depends on: more epochs continue with them."""
        course = {name: value for name, value in self.about.items() if name not in ("epochs", "key")}
        return self.environment.cache / "checkpoints" / digest(course)[:32]

    def _leave_out(self, problems: Mapping[int, str], what: str) -> None:
        """Train without some of the recordings."""
        ids = self.chosen.ids
        for at, why in list(problems.items())[:5]:
            self.ui.log(f"left out: {ids[at]}: {why}")
        self.ui.log(f"{counted(len(problems), 'recording')} {what}")
        told = self.about  # the key stays that of the recordings asked for
        self.chosen = self.chosen.without(problems)
        self.plugins = self.plugins.renewed()
        self.links = validation_links(self.chosen.data)
        self.plugins.objective.open(self.chosen.data, told["seed"])


def _versions() -> dict[str, str]:
    return {"bench": __version__, **{name: version(name) for name in ("torch", "numpy", "soxr")}}
