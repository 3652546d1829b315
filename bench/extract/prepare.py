"""What a model needs beside its code, seen to before anything that takes long."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bench.audio.decode import probe
from bench.errors import BenchError, TrackError
from bench.extract.readers import Source
from bench.extract.set_key import open_set
from bench.protocols import Extractor


def make_ready(extractor: Extractor, cache: Path) -> None:
    """Let an extractor bring what it lacks (weights), unless vectors of this setting are there already.

    With such vectors nothing may be left to compute, and a run needs no weights; if something is, `load`
    brings or refuses.

    Raises
    ------
    BenchError
        Naming what is absent and what brings it.

    """
    if extractor.unready() is None:
        return
    with suppress(BenchError):  # without weights of a known hash there is no name for the set, so no set
        if open_set(cache, extractor).has_vectors:
            return
    extractor.prepare()


def check_length(extractor: Extractor, sources: Sequence[Source]) -> None:
    """Refuse recordings of which the extractor can hear none, because all are too short; only headers are read.

    Raises
    ------
    BenchError
        With the shortest length that the extractor hears, and the longest that was found.

    """
    needed = 0.0 if extractor.clip.pad else extractor.window.shortest / extractor.sample_rate
    longest = 0.0
    for source in sources:
        if (seconds := _seconds(source)) is None or seconds >= needed:
            return
        longest = max(longest, seconds)
    if longest:
        raise BenchError(
            f"{extractor.name} hears {needed:.4g} s or more, and the longest of {len(sources)} recordings to embed has "
            f"{longest:.3g} s. Give it longer recordings, or try it with --data demo-long, whose tracks have 30 s."
        )


def _seconds(source: Source) -> float | None:
    """Return the length of a recording by its header; 0 if it cannot be read, None if its header does not say."""
    try:
        seconds = probe(source.path).seconds
    except TrackError:
        return 0.0
    if seconds is None:
        return None
    rest = max(0.0, seconds - (source.offset or 0.0))
    return rest if source.duration is None else min(rest, source.duration)
