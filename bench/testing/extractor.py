"""What every audio extractor must keep, checked through the harness's own loop."""

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
from bench.files import canonical_json
from bench.protocols import Extractor, Lane
from bench.registry import create
from bench.testing import clips

Vectors = dict[str, NDArray[np.float32]]
"""layer id -> (N, D)"""
EXEMPT = frozenset({"width", "rate"})
"""What an extractor may name in `exempt`."""
CLICK = 0.02
"""Seconds below which a file is no clip."""


class ExtractorContract:
    """Inherit and set `spec`.

    spec : what `--extractor` takes, such as ``mine:layer=3``
    lane : the lane to check
    shortest : seconds of the shortest valid clip; None: as the extractor declares
    tolerance : largest difference, relative to the vector's largest value; None: as declared
    """

    spec: str = ""
    lane: Lane = "corrected"
    shortest: float | None = None
    tolerance: float | None = None
    _works: ClassVar[dict[Any, tuple[Extraction, str]]] = {}

    def make(self) -> Extractor:
        """Return the extractor, or its tiny random configuration when its weights are absent."""
        plugin: Extractor = create("extractors", self.spec, lane=self.lane)
        reason = plugin.unready()
        if not reason:
            return plugin
        if (tiny := plugin.tiny(self.lane)) is None:
            raise BenchError(f"{self.spec} cannot be checked: {reason}; and it has no tiny() to check instead.")
        return tiny

    def note(self) -> str:
        """Say what was checked: the real model, or a tiny random one and why; and what was left out."""
        reason = create("extractors", self.spec, lane=self.lane).unready()
        exempt = ", ".join(sorted(self.make().exempt))
        said = [f"tiny random configuration: {reason}" if reason else "", f"exempt: {exempt}" if exempt else ""]
        return "; ".join(filter(None, said))

    # -- checks ---------------------------------------------------------------------------------------

    def test_it_declares_what_it_is(self) -> None:
        """Name, rate, layers and licence are declared; the fingerprint is JSON and loads no model."""
        plugin = self.make()
        assert plugin.name, "no name"
        assert plugin.sample_rate > 0, f"sample rate {plugin.sample_rate}"
        assert plugin.layers, "no layers"
        assert all(width > 0 for width in plugin.layers.values()), f"layer widths {dict(plugin.layers)}"
        assert plugin.license, "no licence declared"
        assert plugin.exempt <= EXEMPT, f"exempt from {set(plugin.exempt)}, possible are {set(EXEMPT)}"

        def refuse(*_: object) -> None:
            raise AssertionError("the fingerprint loads the model")

        setattr(plugin, "load", refuse)  # noqa: B010 - mypy knows no other way
        assert json.loads(canonical_json(plugin.fingerprint())) is not None
        assert set_sha256(plugin) == set_sha256(self.make()), "the fingerprint differs between two instances"

    def test_width_does_not_depend_on_duration(self) -> None:
        """Time is averaged, not features: short, long and odd clips give vectors of one width."""
        if self._exempt("width"):
            return
        for name, vectors in self._embed(self._seconds(6)).items():
            assert len(vectors) == 6, f"layer {name}: {len(vectors)} of 6 clips have a vector"
            assert np.isfinite(vectors).all(), f"layer {name} is not finite"
            assert np.ptp(vectors, axis=0).any(), f"layer {name}: six different sounds have one and the same vector"

    def test_a_vector_is_the_same_in_any_company(self) -> None:
        """Alone, or batched with seven others of like and unlike length: the same vector."""
        seconds = self._seconds(8)
        together, alone = self._embed(seconds, batch=8), self._embed(seconds, batch=1)
        self._same(together, alone, "batch 8 and batch 1")

    def test_order_of_tracks_does_not_matter(self) -> None:
        """Permuting the tracks permutes the vectors and changes none."""
        seconds = self._seconds(5)
        order = np.array([3, 0, 4, 1, 2])
        straight, permuted = self._embed(seconds), self._embed(seconds, order=order.tolist())
        self._same({k: v[order] for k, v in straight.items()}, permuted, "two orders of the tracks")

    def test_every_track_is_accounted_for(self) -> None:
        """17 tracks, batch 8, one of them broken: 16 vectors and one named failure."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            paths = clips.write(folder, [self._long()] * 17, self.make().sample_rate)
            paths[5].write_text("this is not audio")
            outcome, _ = self._run(folder, paths, batch=8)
        assert outcome.done == 16, f"{outcome.done} vectors from 16 sound files"
        assert [row for row, _ in outcome.failed] == ["5"], f"failures {outcome.failed}"

    def test_it_is_deterministic(self) -> None:
        """Twice the same audio, twice the same vectors, after loading the model anew; and one fingerprint."""
        seconds = self._seconds(3)
        first = self._embed(seconds)
        type(self)._works.clear()
        self._same(first, self._embed(seconds), "two runs")
        work, before = self._work()
        assert set_sha256(work.extractor) == before, "the fingerprint changes when the model is loaded or runs"

    def test_another_rate_is_resampled(self) -> None:
        """A tone in a file of another rate has nearly the same vector; nearly, beside that of another sound."""
        if self._exempt("rate"):
            return
        rate, seconds = self.make().sample_rate, max(self._long(), 2.0)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            tones = [clips.tone(folder, seconds, r) for r in (rate, 44_100 if rate != 44_100 else 48_000)]
            _, found = self._run(folder, [*tones, *clips.write(folder, [seconds], rate)], batch=1)
        for layer, (own, other, another) in found.items():
            share = np.linalg.norm(own - other) / max(float(np.linalg.norm(own - another)), 1e-30)
            assert share < 0.1, f"layer {layer}: two rates of one sound are {share:.0%} as far apart as two sounds"

    def test_too_short_is_a_named_failure(self) -> None:
        """A clip below the declared minimum fails with a reason and stops nothing."""
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
        """The model takes what its window declares valid: a clip just long enough, and the shortest tail kept."""
        plugin = self.make()
        window, rate = plugin.window, plugin.sample_rate
        seconds = [max(self._shortest(), CLICK)]
        if window.length is not None and window.tail == "keep":
            tail = window.shortest if window.shortest_tail is None else window.shortest_tail
            tail = max(tail, 0 if window.left + window.right else 1)
            seconds.append(max(window.hop + tail, window.length + (tail > 0)) / rate)
        self._embed(seconds)

    # -- how --------------------------------------------------------------------------------------------

    def _exempt(self, name: str) -> bool:
        return name in self.make().exempt

    def _shortest(self) -> float:
        plugin = self.make()
        return self.shortest if self.shortest is not None else plugin.window.shortest / plugin.sample_rate

    def _long(self) -> float:
        return max(1.5 * self._shortest(), 1.0)

    def _seconds(self, n: int) -> list[float]:
        """Durations that include equal ones, odd ones and, for short windows, several windows."""
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
            assert not outcome.failed, f"sound clips failed: {outcome.failed}"
            return vectors

    def _run(self, folder: Path, paths: Sequence[Path], batch: int) -> tuple[Any, Vectors]:
        """Embed files in a fresh store; rows are named by position."""
        work, _ = self._work()
        work.batch = batch
        with tempfile.TemporaryDirectory(dir=folder) as cache:
            work.cache = Path(cache)
            outcome = work([Source(str(i), str(path)) for i, path in enumerate(paths)])
            filled = open_set(work.cache, work.extractor)
            read = {name: filled.read(name, [str(i) for i in range(len(paths))]) for name in filled.layers}
        return outcome, {name: vectors[present] for name, (vectors, present) in read.items()}

    def _work(self) -> tuple[Extraction, str]:
        """Load the model once a class; return it with the key it had before."""
        key = (type(self), self.spec, self.lane)
        if key not in self._works:
            # One thread decodes: windows arrive in one order, so that what a check finds it finds every time.
            work = Extraction(self.make(), Path(), workers=1, log=lambda _line: None)
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
