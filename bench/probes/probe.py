"""Resolve the spec of a probe, and fit the probe."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError, did_you_mean
from bench.machine import threads
from bench.probes.data import Outcome, ProbeData
from bench.probes.presets import PROBES
from bench.protocols import RunContext
from bench.specs import parse, settings_from

_LARGE = 1 << 22
"""Number of values in the training vectors from which a probe uses all threads; smaller products are faster on one."""


@dataclass(frozen=True)
class ProbeEntry:
    """The spec of a probe as typed, with its name and settings."""

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
        """Whether the probe learns a mixture of layers and needs vectors (n, layers, D)."""
        return bool(getattr(self.settings, "mixture", False))

    @property
    def prompt(self) -> str | None:
        """The sentence around each label, of a probe that compares vectors with texts; None for probes that learn."""
        return getattr(self.settings, "prompt", None)


def resolve_probe(text: str) -> ProbeEntry:
    """Resolve the spec of a probe, ``NAME[:key=value,...]``; the names are the keys of `PROBES`.

    Raises
    ------
    BenchError
        If the probe or a setting is unknown.

    """
    spec = parse(text)
    if spec.name not in PROBES:
        raise BenchError(f"there is no probe {spec.name!r}.{did_you_mean(spec.name, PROBES)}")
    cls = PROBES[spec.name][0]
    return ProbeEntry(text, spec.name, settings_from(cls, spec), cls.version)


def probe(data: ProbeData, entry: ProbeEntry, *, seed: int, run: RunContext) -> Outcome:
    """Fit a probe on train, choose its settings on validation, and predict test once.

    Parameters
    ----------
    data
        Vectors and labels; see `ProbeData`.
    entry
        The probe; see `resolve_probe`.
    seed
        Seed of initial weights, batches and dropout.
    run
        Device, deadline and log; with a folder, an interrupted search resumes from its checkpoints.

    Raises
    ------
    BenchError
        If the data is not suitable for the probe.

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
    import torch  # its threads are limited only once it is imported

    large = data.x["train"].size >= _LARGE
    with threads(torch.get_num_threads() if large else 1):
        found = PROBES[entry.name][1](data, entry.settings, seed, run)
    return Outcome(
        prediction=found.prediction,
        validation=found.validation,
        settings={"probe": entry.name} | found.settings,
        seconds=time.monotonic() - start,
        searched=found.searched,
        notes=notes + found.notes,
    )
