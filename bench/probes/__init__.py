"""Probes: small models that are trained on frozen vectors to predict tags, classes, keys or values."""

from bench.probes.data import KINDS, PARTS, Kind, Outcome, Part, ProbeData
from bench.probes.probe import ProbeEntry, probe, resolve_probe
from bench.probes.recipes import DEFAULT, PROBES
from bench.probes.subsample import subsample
from bench.probes.target import PRIMARY

__all__ = [
    "DEFAULT",
    "KINDS",
    "PARTS",
    "PRIMARY",
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
