"""What a model needs beside its code, seen to before anything that takes long."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from bench.errors import BenchError
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
