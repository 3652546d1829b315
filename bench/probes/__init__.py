"""Probes: what a frozen vector tells of tags, classes, keys and values, by a small model trained on it."""

from bench.probes.data import KINDS, PARTS, Kind, Outcome, Part, ProbeData
from bench.probes.probe import probe

__all__ = ["KINDS", "PARTS", "Kind", "Outcome", "Part", "ProbeData", "probe"]
