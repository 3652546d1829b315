"""One spec, one probe: the entry to this room."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError, did_you_mean
from bench.probes.data import Outcome, ProbeData
from bench.probes.members import Member, Schedule
from bench.probes.search import Found, search
from bench.protocols import RunContext
from bench.specs import parse, settings_from


@dataclass(frozen=True)
class Linear:
    """Settings of ``linear``: l2= fixes the weight decay; by default validation chooses it."""

    l2: float | None = None
    lr: float = 1e-3
    batch: int = 256
    scale: bool = True
    mixture: bool = False


def _linear(data: ProbeData, settings: Linear, seed: int, run: RunContext) -> Found:
    decays = (0.0, 1e-5, 1e-4, 1e-3, 1e-2) if settings.l2 is None else (settings.l2,)
    members = [Member(scale=settings.scale, batch=settings.batch, lr=settings.lr, l2=l2) for l2 in decays]
    return search(data, members, Schedule(every=16, patience=64), seed=seed, run=run)


PROBES: dict[str, tuple[type[Any], Callable[[ProbeData, Any, int, RunContext], Found]]] = {"linear": (Linear, _linear)}
"""Name -> settings, and what fits it."""


def probe(data: ProbeData, spec: str, *, seed: int, run: RunContext) -> Outcome:
    """Fit the probe that `spec` names on train, choose on validation, and predict test once.

    Parameters
    ----------
    data
        Vectors and labels; see `ProbeData`.
    spec
        ``NAME[:key=value,...]``, a name of `PROBES`.
    seed
        Of initial weights, batches and dropout.
    run
        Device, deadline, log; with a folder, a search that was killed continues where it was.

    Raises
    ------
    BenchError
        For an unknown probe or setting, or data that no probe can learn from.

    """
    asked = parse(spec)
    if asked.name not in PROBES:
        raise BenchError(f"there is no probe {asked.name!r}.{did_you_mean(asked.name, PROBES)}")
    cls, fit = PROBES[asked.name]
    settings = settings_from(cls, asked)
    mixture = bool(getattr(settings, "mixture", False))
    if mixture != (data.x["train"].ndim == 3):
        raise BenchError(
            f"probe {spec}: a mixture of layers needs vectors of several layers (n, layers, D)."
            if mixture
            else f"probe {spec}: the vectors have several layers. Choose one with layer=, or write mixture=true."
        )
    notes = data.check()
    for note in notes:
        run.log(note)
    start = time.monotonic()
    found = fit(data, settings, seed, run)
    return Outcome(
        prediction=found.prediction,
        validation=found.validation,
        settings={"probe": asked.name} | found.settings,
        seconds=time.monotonic() - start,
        searched=found.searched,
        notes=notes,
    )
