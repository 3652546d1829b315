"""Probes: small models that are trained on frozen vectors to predict tags, classes, keys or values."""

from bench.probes.data import KINDS, PARTS, Kind, Outcome, Part, ProbeData
from bench.probes.presets import DEFAULT, PROBES
from bench.probes.probe import ProbeEntry, probe, resolve_probe
from bench.probes.subsample import subsample

__all__ = [
    "DEFAULT",
    "KINDS",
    "PARTS",
    "PROBES",
    "Kind",
    "Outcome",
    "Part",
    "ProbeData",
    "ProbeEntry",
    "probe",
    "resolve_probe",
    "subsample",
]  # fmt: skip
