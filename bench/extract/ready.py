"""What a model needs beside its code, seen to before anything that takes long."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.extract.sets import open_set


def make_ready(extractor: Any, cache: Path) -> None:
    """Let an extractor bring what it lacks (weights), unless vectors of this setting are there already.

    With such vectors nothing may be left to compute, and a run needs no weights; if something is, `load`
    brings or refuses.

    Raises
    ------
    BenchError
        Naming what is absent and what brings it.

    """
    reason = getattr(extractor, "unready", lambda: None)()
    if reason is None:
        return
    with suppress(BenchError):  # without weights of a known hash there is no name for the set, so no set
        if open_set(cache, extractor).begun:
            return
    if not hasattr(extractor, "prepare"):
        raise BenchError(reason)
    extractor.prepare()
