"""Contract tests for audio extractors, run through the extraction loop of the harness."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.extract import Extraction, open_set, set_sha256
from bench.extract.readers import Source
from bench.files.atomic import canonical_json
from bench.protocols import Extractor, Lane
from bench.registry import create
from bench.testing import clips

Vectors = dict[str, NDArray[np.float32]]
"""layer id -> (N, D)"""
EXEMPT = frozenset({"width", "rate"})
"""Checks that an extractor can exclude with `exempt`."""
CLICK = 0.02
"""Minimum length of a clip in seconds."""


class ExtractorContract:
    """Contract tests of an extractor: inherit and set `spec`.

    spec : a value of `--extractor`, such as ``mine:layer=3``
    lane : the lane to check
    device : the torch device to check on, such as ``cuda``
    shortest : length of the shortest valid clip in seconds; None: as the extractor declares
    tolerance : maximum difference, relative to the largest value of a vector; None: as the extractor declares
    """

    spec: str = ""
    lane: Lane = "corrected"
    device: str = "cpu"
    shortest: float | None = None
    tolerance: float | None = None
    _works: ClassVar[dict[Any, tuple[Extraction, str]]] = {}

    def make(self) -> Extractor:
        """Return the extractor or, if its weights are absent, its tiny configuration with random weights."""
        plugin: Extractor = create("extractors", self.spec, lane=self.lane)
        reason = plugin.unready()
        if not reason:
            return plugin
        if (tiny := plugin.tiny(self.lane)) is None:
            raise BenchError(f"{self.spec} cannot be checked: {reason}; and it has no tiny() to check instead.")
        return tiny

    def note(self) -> str:
        """Return why a tiny random model was checked instead of the real one, and which checks were excluded."""
        reason = create("extractors", self.spec, lane=self.lane).unready()
        exempt = ", ".join(sorted(self.make().exempt))
        notes = [f"tiny random configuration: {reason}" if reason else "", f"exempt: {exempt}" if exempt else ""]
        return "; ".join(filter(None, notes))

    # -- checks ---------------------------------------------------------------------------------------

    def test_it_declares_what_it_is(self) -> None:
        """Name, rate, layers and licence are declared; the fingerprint is JSON and loads no model."""
        plugin = self.make()
        assert plugin.name, "no name"
        assert plugin.sample_rate > 0, f"sample rate {plugin.sample_rate}"
        assert plugin.layers, "no layers"
        assert all(width > 0 for width in plugin.layers.values()), f"layer widths {dict(plugin.layers)}"
        assert plugin.license, "no licence declared"
        assert plugin.exempt <= EXEMPT, f"exempt is {set(plugin.exempt)}, allowed are {set(EXEMPT)}"

        def refuse(*_: object) -> None:
            raise AssertionError("the fingerprint loads the model")

        setattr(plugin, "load", refuse)  # noqa: B010 - mypy rejects a plain assignment
        assert json.loads(canonical_json(plugin.fingerprint())) is not None
        assert set_sha256(plugin) == set_sha256(self.make()), "the fingerprint differs between two instances"

    def test_width_does_not_depend_on_duration(self) -> None:
        """Clips of different lengths have vectors of the same width, so the mean is over time, not over features."""
        if self._exempt("width"):
            return
        for name, vectors in self._embed(self._seconds(6)).items():
            assert len(vectors) == 6, f"layer {name}: {len(vectors)} of 6 clips have a vector"
            assert np.isfinite(vectors).all(), f"layer {name} is not finite"
            assert np.ptp(vectors, axis=0).any(), f"layer {name}: six different clips have equal vectors"

    def test_vectors_do_not_depend_on_the_batch(self) -> None:
        """Alone, or in a batch with clips of equal and different lengths, a clip has the same vector."""
        seconds = self._seconds(8)
        together, alone = self._embed(seconds, batch=8), self._embed(seconds, batch=1)
        self._same(together, alone, "batch 8 and batch 1")

    def test_order_of_tracks_does_not_matter(self) -> None:
        """Permuting the tracks permutes the vectors and does not change them."""
        seconds = self._seconds(5)
        order = np.array([3, 0, 4, 1, 2])
        original, permuted = self._embed(seconds), self._embed(seconds, order=order.tolist())
        self._same({k: v[order] for k, v in original.items()}, permuted, "two orders of the tracks")

    def test_every_track_is_accounted_for(self) -> None:
        """17 tracks in batches of 8, one of them broken, give 16 vectors and one failure."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            paths = clips.write(folder, [self._long()] * 17, self.make().sample_rate)
            paths[5].write_text("this is not audio")
            outcome, _ = self._run(folder, paths, batch=8)
        assert outcome.done == 16, f"{outcome.done} vectors from 16 valid files"
        assert [row for row, _ in outcome.failed] == ["5"], f"failures {outcome.failed}"

    def test_it_is_deterministic(self) -> None:
        """After loading the model again, the same audio gives the same vectors, and the fingerprint is the same."""
        seconds = self._seconds(3)
        first = self._embed(seconds)
        type(self)._works.clear()
        self._same(first, self._embed(seconds), "two runs")
        work, before = self._work()
        assert set_sha256(work.extractor) == before, "the fingerprint changes when the model is loaded or runs"

    def test_another_rate_is_resampled(self) -> None:
        """A tone at another sample rate has nearly the same vector, compared with the distance to another sound."""
        if self._exempt("rate"):
            return
        rate, seconds = self.make().sample_rate, max(self._long(), 2.0)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            tones = [clips.tone(folder, seconds, r) for r in (rate, 44_100 if rate != 44_100 else 48_000)]
            _, found = self._run(folder, [*tones, *clips.write(folder, [seconds], rate)], batch=1)
        for layer, (native, other, another_sound) in found.items():
            share = np.linalg.norm(native - other) / max(float(np.linalg.norm(native - another_sound)), 1e-30)
            assert share < 0.1, f"layer {layer}: two rates of one sound have {share:.0%} of the distance of two sounds"

    def test_too_short_is_a_named_failure(self) -> None:
        """A clip below the declared minimum fails with a reason, and the other clips are computed."""
        shortest = self._shortest()
        if shortest < CLICK or self.make().clip.pad:
            return
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            paths = clips.write(folder, [shortest / 2, self._long()], self.make().sample_rate)
            outcome, _ = self._run(folder, paths, batch=2)
        assert outcome.done == 1, "the long clip has no vector"
        assert len(outcome.failed) == 1, "the short clip did not fail"
        assert "short" in outcome.failed[0][1], f"reason {outcome.failed[0][1]!r}"

    def test_the_shortest_clip_and_tail_have_vectors(self) -> None:
        """The model accepts the shortest clip and the shortest tail that its window declares valid."""
        plugin = self.make()
        window, rate = plugin.window, plugin.sample_rate
        seconds = [max(self._shortest(), CLICK)]
        if window.length is not None and window.tail == "keep":
            tail = window.shortest if window.shortest_tail is None else window.shortest_tail
            tail = max(tail, 0 if window.left + window.right else 1)
            seconds.append(max(window.hop + tail, window.length + (tail > 0)) / rate)
        self._embed(seconds)

    # -- helpers ----------------------------------------------------------------------------------------

    def _exempt(self, name: str) -> bool:
        return name in self.make().exempt

    def _shortest(self) -> float:
        plugin = self.make()
        return self.shortest if self.shortest is not None else plugin.window.shortest / plugin.sample_rate

    def _long(self) -> float:
        return max(1.5 * self._shortest(), 1.0)

    def _seconds(self, n: int) -> list[float]:
        """Return n durations in seconds: equal and different ones; short windows fit several times into a clip."""
        plugin = self.make()
        window = (plugin.window.length or plugin.sample_rate) / plugin.sample_rate
        base = max(self._long(), min(window, 8.0))
        return [
            (base, base, 1.31 * base, self._long(), base, 2.1 * base, 1.31 * base, 1.07 * base)[i % 8] for i in range(n)
        ]

    def _embed(self, seconds: Sequence[float], *, batch: int = 4, order: Sequence[int] | None = None) -> Vectors:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            paths = clips.write(folder, seconds, self.make().sample_rate)
            outcome, vectors = self._run(folder, [paths[i] for i in order] if order else paths, batch)
            assert not outcome.failed, f"valid clips failed: {outcome.failed}"
            return vectors

    def _run(self, folder: Path, paths: Sequence[Path], batch: int) -> tuple[Any, Vectors]:
        """Embed files in a new store; the position of a file is its row key."""
        work, _ = self._work()
        work.size = batch
        with tempfile.TemporaryDirectory(dir=folder) as cache:
            work.cache = Path(cache)
            outcome = work([Source(str(i), str(path)) for i, path in enumerate(paths)])
            stored = open_set(work.cache, work.extractor)
            read = {name: stored.read(name, [str(i) for i in range(len(paths))]) for name in stored.layers}
        return outcome, {name: vectors[present] for name, (vectors, present) in read.items()}

    def _work(self) -> tuple[Extraction, str]:
        """Load the model once per class; return it with the key of its set before loading."""
        key = (type(self), self.spec, self.lane, self.device)
        if key not in self._works:
            # One decoding thread, so that the order of the windows, and the result of a check, is always the same.
            work = Extraction(self.make(), Path(), self.device, workers=1, log=lambda _line: None)
            before = set_sha256(work.extractor)
            work.load()
            type(self)._works[key] = (work, before)
        return self._works[key]

    def _same(self, left: Vectors, right: Vectors, what: str) -> None:
        tolerance = self.tolerance if self.tolerance is not None else self.make().tolerance
        for name, a in left.items():
            gap = np.abs(a - right[name]).max(axis=1) / np.maximum(np.abs(a).max(axis=1), 1e-30)
            assert (gap <= tolerance).all(), (
                f"layer {name}: {what} differ by {gap.max():.2e} of the vector's largest value "
                f"(track {int(gap.argmax())}), declared tolerance {tolerance:.0e}"
            )
