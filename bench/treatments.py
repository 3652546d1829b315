"""Transform item vectors before a model uses them; transformations are fitted on training items only.

``--treat l2+pca:128`` applies steps in the given order: ``l2``, ``standardize``, ``pca:k``, ``whiten:k``,
``random_projection:k``. Stored vectors are not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError, did_you_mean
from bench.norms import l2, scale_of

KNOWN = {
    "l2": "each vector scaled to length 1",
    "standardize": "each dimension to mean 0 and deviation 1 over training items",
    "pca": "the k principal components over training items",
    "whiten": "the k principal components, each scaled to deviation 1",
    "random_projection": "k Gaussian random projections (Johnson-Lindenstrauss), seeded",
}
VERSION = "2"
"""Raise it when the numbers of a treatment can change."""

BLOCK = 2**20
"""Values of a block of vectors that is treated at a time: 8 MiB as float64."""

_SIZED = {"pca", "whiten", "random_projection"}


@dataclass(frozen=True)
class Treatment:
    """One step: its name, and the width k of its result if the step has one."""

    name: str
    k: int | None = None

    def __str__(self) -> str:
        """Return the step as on the command line."""
        return self.name if self.k is None else f"{self.name}:{self.k}"


def parse(text: str) -> list[Treatment]:
    """Parse ``l2+pca:128``; an empty text or ``none`` means no steps. Raises BenchError for wrong input."""
    steps = []
    for part in text.split("+") if text and text != "none" else []:
        name, colon, size = part.strip().partition(":")
        if name not in KNOWN:
            raise BenchError(f"--treat {text}: there is no treatment {name!r}.{did_you_mean(name, KNOWN)}")
        if (name in _SIZED) != bool(colon):
            raise BenchError(
                f"--treat {text}: write {name}:k with a width k."
                if name in _SIZED
                else f"--treat {text}: {name} takes no width."
            )
        if colon and not (size.isdigit() and int(size) > 0):
            raise BenchError(f"--treat {text}: the width {size!r} of {name} is not a positive number.")
        steps.append(Treatment(name, int(size) if colon else None))
    return steps


def apply(
    vectors: NDArray[np.float32],
    steps: list[Treatment],
    *,
    fit: NDArray[np.bool_],
    seed: int,
    overwrite: bool = False,
) -> NDArray[np.float32]:
    """Apply the steps to vectors (N, D); `fit` (N,) marks the training items, on which the steps are fitted.

    With `overwrite`, steps that keep the width write their result over `vectors`, and no second table is made.

    Raises
    ------
    BenchError
        k is larger than the number of components that the training items have.

    """
    for step in steps:
        if step.name in ("l2", "standardize"):
            out = vectors if overwrite else np.empty(vectors.shape, np.float32)
            mean, deviation = moments(vectors, fit) if step.name == "standardize" else (0.0, 1.0)
            divisor = np.where(np.asarray(deviation) > 0, deviation, 1.0)
            for part in blocks(vectors):
                out[part] = l2(vectors[part]) if step.name == "l2" else (vectors[part] - mean) / divisor
            vectors = out
        elif step.name == "random_projection":
            assert step.k
            matrix = np.random.default_rng([seed, vectors.shape[1], step.k]).standard_normal(
                (vectors.shape[1], step.k), np.float32
            )
            vectors = vectors @ (matrix / np.float32(np.sqrt(step.k)))
        else:
            vectors = _components(vectors, step, fit)
    return np.ascontiguousarray(vectors, dtype=np.float32)


def blocks(rows: NDArray[Any]) -> Iterator[slice]:
    """Yield slices of the first axis of an array (N, ...), of about `BLOCK` values each."""
    size = max(1, BLOCK // max(1, int(np.prod(rows.shape[1:]))))
    for start in range(0, len(rows), size):
        yield slice(start, start + size)


def moments(
    rows: NDArray[np.float32], which: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation (D,) of rows (N, D), or (layers, D) of (N, layers, D), in float64.

    `which` (N,) chooses rows. Blocks are added row by row, as NumPy adds along the first axis, so that the sums have
    the same bits as those of the whole table; a single column, which NumPy adds in pairs, is not cut.
    """
    if int(np.prod(rows.shape[1:])) <= 1:
        rows = rows if which is None else rows[which]
        return rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
    count = len(rows) if which is None else int(which.sum())
    chosen = [(part, slice(None) if which is None else which[part]) for part in blocks(rows)]

    def total(value: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> NDArray[np.float64]:
        known = np.zeros((0, *rows.shape[1:]))
        for part, mask in chosen:
            known = np.concatenate([known, value(rows[part][mask].astype(np.float64))]).sum(axis=0, keepdims=True)
        return np.asarray(known.sum(axis=0))

    mean = total(lambda block: block) / count
    return mean, np.sqrt(total(lambda block: np.square(block - mean)) / count)


def check_sizes(steps: Sequence[Treatment], items: int, width: int) -> None:
    """Raise BenchError when a step asks for more components than training items of a width have."""
    for step in steps:
        most = min(width, max(items - 1, 0))
        if step.name in ("pca", "whiten") and step.k is not None and step.k > most:
            raise BenchError(f"--treat {step}: {items} training items of width {width} have at most {most} components.")
        width = step.k or width


def _components(vectors: NDArray[np.float32], step: Treatment, fit: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Project onto the leading eigenvectors of the training items' covariance matrix, with fixed signs."""
    rows = vectors[fit]
    assert step.k
    check_sizes([step], len(rows), vectors.shape[1])
    scale = scale_of(rows)
    vectors, rows = vectors / scale, rows / scale
    mean, _ = moments(rows)
    centred = (rows - mean).astype(np.float32)
    covariance = np.zeros((vectors.shape[1],) * 2)
    for start in range(0, len(centred), 8192):  # float32 products and float64 sums: precise, with little memory
        block = centred[start : start + 8192]
        covariance += block.T @ block
    values, axes = np.linalg.eigh(covariance / max(len(rows) - 1, 1))
    axes = axes[:, ::-1][:, : step.k]
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), np.arange(step.k)] < 0, -1.0, 1.0)
    if step.name == "pca":
        axes = axes * float(scale)
    else:
        values = values[::-1][: step.k]
        # A direction without variance contains only rounding errors: set it to zero instead of amplifying them.
        axes = axes / np.where(values > values[0] * 1e-10, np.sqrt(np.maximum(values, 1e-300)), np.inf)
    return ((vectors - mean) @ axes).astype(np.float32)
