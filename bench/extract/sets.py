"""Which set of the store an extractor fills: its key, and the width of its stored vectors."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.audio.decode import RESAMPLER
from bench.files import digest
from bench.protocols import Extractor
from bench.store import VectorSet


def set_key(extractor: Extractor) -> dict[str, Any]:
    """Return everything that changes the numbers, as plain JSON values.

    Batch size, device and worker count are not in it: they must not change the numbers beyond the
    extractor's declared tolerance.
    """
    return {
        "extractor": extractor.name,
        "version": extractor.version,
        "fingerprint": extractor.fingerprint(),
        "sample_rate": extractor.sample_rate,
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
    """Return the hash that names the extractor's set."""
    return digest(set_key(extractor))


def stored_widths(extractor: Extractor) -> dict[str, int]:
    """Layer id -> width of the stored vector: D, or D + D(D+1)/2 when covariances are kept."""
    if extractor.pooling == "mean_cov":
        return {name: d + d * (d + 1) // 2 for name, d in extractor.layers.items()}
    return dict(extractor.layers)


def open_set(cache: Path, extractor: Extractor) -> VectorSet:
    """Open (never create) the set that belongs to this extractor's settings."""
    return VectorSet(cache / "store", extractor.name, set_key(extractor), stored_widths(extractor), extractor.stored)
