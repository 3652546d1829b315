"""Lengths of vectors in float32, also where their squares leave its range."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SQUARABLE = 1e15
"""Values up to this, and down to its inverse, have squares of which float32 can add millions."""


def l2(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale rows (N, D) to length 1; zero rows stay zero."""
    vectors = squarable(vectors)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True).astype(np.float32)
    return np.asarray(vectors / np.where(norms > 0, norms, np.float32(1.0)), dtype=np.float32)


def squarable(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide vectors (..., D) by their largest value where their squares leave float32; the others stay as they are.

    The directions are kept. Use it before a norm or a cosine in float32.
    """
    if not vectors.size:
        return vectors
    largest = np.maximum(vectors.max(axis=-1, keepdims=True), -vectors.min(axis=-1, keepdims=True))
    far = (largest > _SQUARABLE) | ((largest < 1 / _SQUARABLE) & (largest > 0))
    return np.asarray(vectors / np.where(far, largest, np.float32(1.0)), dtype=np.float32) if far.any() else vectors


def scale_of(vectors: NDArray[np.float32]) -> np.float32:
    """Return the power of two by which to divide a table (N, D) so that sums of its squares stay in float32; mostly 1.

    Division by a power of two changes no digit.
    """
    largest = float(max(vectors.max(initial=0.0), -vectors.min(initial=0.0)))
    if 1 / _SQUARABLE <= largest <= _SQUARABLE or not 0 < largest < np.inf:
        return np.float32(1.0)
    return np.float32(2.0 ** np.frexp(largest)[1])
