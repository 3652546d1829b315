"""The set of an extractor in the store: its key, and the widths of its vectors."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.audio.decode import RESAMPLER
from bench.audio.sources import decoders
from bench.files.atomic import digest
from bench.protocols import Extractor
from bench.store import VectorSet

DECODING = "2"
"""Raise it when the same file gives other samples than before: stored vectors are then computed again."""


def set_key(extractor: Extractor) -> dict[str, Any]:
    """Return everything that changes the vectors, as JSON values.

    Batch size, device and number of threads are not part of the key, because they must not change the vectors by
    more than the tolerance that the extractor declares.
    """
    return {
        "extractor": extractor.name,
        "version": extractor.version,
        "fingerprint": extractor.fingerprint(),
        "sample_rate": extractor.sample_rate,
        "decoding": DECODING,
        "resampler": RESAMPLER,
        "window": asdict(extractor.window),
        "clip": asdict(extractor.clip),
        "normalize": extractor.normalize,
        "pooling": extractor.pooling,
        "layers": dict(extractor.layers),
        "stored": extractor.stored,
        "perturbation": None,
    }


def set_sha256(extractor: Extractor) -> str:
    """Return the hash of the set's key."""
    return digest(set_key(extractor))


def frames_sha256(extractor: Extractor) -> str:
    """Return the hash of what changes its frames: extractors that differ by their pooling alone have the same."""
    return digest({**set_key(extractor), "pooling": None})


def stored_widths(extractor: Extractor) -> dict[str, int]:
    """Return layer id -> width of the stored vector: D; of ``mean_cov`` D + D(D+1)/2, of ``mean_std`` 2 D."""
    if extractor.pooling == "mean_cov":
        return {name: d + d * (d + 1) // 2 for name, d in extractor.layers.items()}
    return {name: d * (2 if extractor.pooling == "mean_std" else 1) for name, d in extractor.layers.items()}


def open_set(cache: Path, extractor: Extractor) -> VectorSet:
    """Return the set of an extractor with its settings; this does not create the folder."""
    return VectorSet(
        cache / "store", extractor.name, set_key(extractor), stored_widths(extractor), extractor.stored, decoders()
    )
