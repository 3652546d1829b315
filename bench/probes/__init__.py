"""Probes: what a frozen vector tells of tags, classes, keys and values, by a small model trained on it."""

from bench.probes.data import KINDS, PARTS, Kind, Outcome, Part, ProbeData
from bench.probes.probe import ProbeEntry, probe, resolve_probe
from bench.probes.recipes import DEFAULT, PROBES
from bench.probes.subsample import subsample
from bench.probes.target import CHIEF

__all__ = [
    "CHIEF", "DEFAULT", "KINDS", "PARTS", "PROBES", "Kind", "Outcome", "Part", "ProbeData",
    "ProbeEntry", "probe", "resolve_probe", "subsample",
]  # fmt: skip
