"""One spec, one probe: the entry to this room."""

from __future__ import annotations

import time
from typing import Any

from bench.errors import BenchError, did_you_mean
from bench.probes.data import Outcome, ProbeData
from bench.probes.recipes import PROBES
from bench.protocols import RunContext
from bench.specs import parse, settings_from


def settings_of(spec: str) -> tuple[str, Any]:
    """Return a probe's name and its settings, checked: ``settings.mixture`` says whether it wants all layers.

    Raises
    ------
    BenchError
        For an unknown probe or setting.

    """
    asked = parse(spec)
    if asked.name not in PROBES:
        raise BenchError(f"there is no probe {asked.name!r}.{did_you_mean(asked.name, PROBES)}")
    return asked.name, settings_from(PROBES[asked.name][0], asked)


def wants_layers(spec: str) -> bool:
    """Whether the probe learns a mixture of layers, so that its vectors must be (n, layers, D)."""
    return bool(getattr(settings_of(spec)[1], "mixture", False))


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
    name, settings = settings_of(spec)
    if wants_layers(spec) != (data.x["train"].ndim == 3):
        raise BenchError(
            f"probe {spec}: a mixture of layers needs vectors of several layers (n, layers, D)."
            if wants_layers(spec)
            else f"probe {spec}: the vectors have several layers. Choose one with layer=, or write mixture=true."
        )
    notes = data.check()
    for note in notes:
        run.log(note)
    start = time.monotonic()
    found = PROBES[name][1](data, settings, seed, run)
    return Outcome(
        prediction=found.prediction,
        validation=found.validation,
        settings={"probe": name} | found.settings,
        seconds=time.monotonic() - start,
        searched=found.searched,
        notes=notes,
    )
