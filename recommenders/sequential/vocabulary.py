"""The items that a sequence model is trained on, and the scaling of item vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.protocols import Items


class Vocabulary:
    """The items that compete in training, numbered, and how vectors are scaled for them.

    `rows` (V,) are their item indexes, ascending, `others` (N - V,) the remaining ones, and `token` (N,) the
    number of each item, -1 for the others.
    """

    def __init__(self, items: Items, *, published: bool):
        """Take hot items with a vector: training would only lower the scores of cold ones.

        The published code has one vocabulary, so there all items with a vector compete, and vectors are not
        scaled.
        """
        self._present = np.asarray(items.present)
        learned = not items.vectors.shape[1]
        known = self._present if published and not learned else items.hot & self._present
        self.rows, self.others = np.flatnonzero(known), np.flatnonzero(~known)
        self.token = np.full(len(known), -1, np.int64)
        self.token[self.rows] = np.arange(len(self.rows))
        self._moments = None if published or learned or not len(self.rows) else moments(items.vectors, self.rows)

    def __len__(self) -> int:
        """Return the number of competing items V."""
        return len(self.rows)

    def scaled(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the vectors (N, D) that the network gets: unit variance over the vocabulary, unless published."""
        if self._moments is None:
            return vectors
        mean, scale = self._moments
        out: NDArray[np.float32] = (vectors - mean) / np.float32(scale)
        out[~self._present] = 0.0
        return out


def moments(vectors: NDArray[np.float32], rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], float]:
    """Return the mean (D,) and the scale of `vectors` (N, D) over the items `rows`, for unit variance.

    All columns have the same scale, which keeps the geometry: it only sets the size of a track relative to a
    position (N(0, 0.02)) or a mask.
    """
    known = vectors[rows]
    mean = known.mean(axis=0, dtype=np.float64).astype(np.float32)
    scale = float((known - mean).std(dtype=np.float64))
    return mean, scale or 1.0
