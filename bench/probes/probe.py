"""One spec, one probe: the entry to this room."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError, did_you_mean
from bench.probes.data import Outcome, ProbeData
from bench.probes.recipes import PROBES
from bench.protocols import RunContext
from bench.specs import parse, settings_from


@dataclass(frozen=True)
class ProbeEntry:
    """A probe as typed, with its name and settings."""

    text: str
    name: str
    settings: Any
    version: str = "1"
    """Raised when its answers can change."""

    def __str__(self) -> str:
        """Return the spec as typed."""
        return self.text

    @property
    def mixture(self) -> bool:
        """Whether the probe learns a mixture of layers, so that its vectors must be (n, layers, D)."""
        return bool(getattr(self.settings, "mixture", False))


def resolve_probe(text: str) -> ProbeEntry:
    """Resolve a probe's spec, ``NAME[:key=value,...]`` with a name of `PROBES`.

    Raises
    ------
    BenchError
        For an unknown probe or setting.

    """
    spec = parse(text)
    if spec.name not in PROBES:
        raise BenchError(f"there is no probe {spec.name!r}.{did_you_mean(spec.name, PROBES)}")
    cls = PROBES[spec.name][0]
    return ProbeEntry(text, spec.name, settings_from(cls, spec), cls.version)


def probe(data: ProbeData, entry: ProbeEntry, *, seed: int, run: RunContext) -> Outcome:
    """Fit a probe on train, choose on validation, and predict test once.

    Parameters
    ----------
    data
        Vectors and labels; see `ProbeData`.
    entry
        Which probe; see `resolve_probe`.
    seed
        Of initial weights, batches and dropout.
    run
        Device, deadline, log; with a folder, a search that was killed continues where it was.

    Raises
    ------
    BenchError
        For data that this probe cannot learn from.

    """
    if entry.mixture != (data.x["train"].ndim == 3):
        raise BenchError(
            f"probe {entry}: a mixture of layers needs vectors of several layers (n, layers, D)."
            if entry.mixture
            else f"probe {entry}: the vectors have several layers. Choose one with layer=, or write mixture=true."
        )
    notes = data.check()
    for note in notes:
        run.log(note)
    start = time.monotonic()
    found = PROBES[entry.name][1](data, entry.settings, seed, run)
    return Outcome(
        prediction=found.prediction,
        validation=found.validation,
        settings={"probe": entry.name} | found.settings,
        seconds=time.monotonic() - start,
        searched=found.searched,
        notes=notes,
    )
