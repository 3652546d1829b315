"""Average precision and ROC-AUC of pairs of recordings ranked by the cosine of their vectors, also resampled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.norms import l2


class LinkScores(NamedTuple):
    """Scores of a ranking of pairs; NaN if no pair is linked, or every pair."""

    average_precision: float
    roc_auc: float


class RankedPairs:
    """All pairs of `n` recordings, by descending cosine of their vectors.

    Parameters
    ----------
    vectors : vectors (n, D), finite
    linked : pairs (E, 2) of rows that are linked; pairs of a row with itself are ignored

    """

    def __init__(self, vectors: NDArray[np.float32], linked: NDArray[np.int64]):
        self.n = len(vectors)
        unit = l2(vectors)
        a, b = np.triu_indices(self.n, 1)
        score = (unit @ unit.T)[a, b]
        joined = np.zeros((self.n, self.n), np.bool_)
        joined[linked[:, 0], linked[:, 1]] = True
        order = np.argsort(score)[::-1]
        self._a, self._b = a[order].astype(np.int32), b[order].astype(np.int32)
        self._hit = (joined | joined.T)[self._a, self._b]
        score = score[order]
        # Pairs of equal score form one point of both curves: only the last of them counts.
        self._last = np.flatnonzero(np.append(score[1:] != score[:-1], True)[: len(score)])

    @property
    def links(self) -> int:
        """Number of linked pairs."""
        return int(self._hit.sum())

    @property
    def pairs(self) -> int:
        """Number of all pairs."""
        return len(self._hit)

    def scores(self, times: NDArray[np.int64] | None = None) -> LinkScores:
        """Return the scores; with `times` (n,), of a sample with each recording so many times.

        A pair counts as often as it occurs among the sampled recordings; two copies of one recording are no pair.
        """
        weight = np.ones(self.pairs, np.int64) if times is None else times[self._a] * times[self._b]
        every = np.cumsum(weight)[self._last].astype(np.float64)
        found = np.cumsum(weight * self._hit)[self._last].astype(np.float64)
        total = (every[-1], found[-1]) if len(every) else (0.0, 0.0)
        if not 0 < total[1] < total[0]:
            return LinkScores(float("nan"), float("nan"))
        new = np.diff(found, prepend=0.0)
        precision = np.divide(found, every, out=np.zeros_like(found), where=every > 0)
        wrong = every - found
        below = total[0] - total[1] - (wrong + np.concatenate([[0.0], wrong[:-1]])) / 2
        # Sums, not products of BLAS: its threads cost more than they gain on vectors.
        area = (new * below).sum() / (total[1] * (total[0] - total[1]))
        return LinkScores(float((new * precision).sum() / total[1]), float(area))


def ranked_sets(truth: NDArray[np.int64], vectors: NDArray[np.float32]) -> Iterator[tuple[int, RankedPairs]]:
    """Yield the number and the pairs of each set of `truth` (E, 3): two rows of `vectors` (N, D), and their set.

    A row belongs to the sets in which it occurs; a pair of a row with itself says only that.
    """
    for one in np.unique(truth[:, 2]).tolist():
        pairs = truth[truth[:, 2] == one, :2]
        rows = np.unique(pairs)
        yield one, RankedPairs(vectors[rows], np.searchsorted(rows, pairs))
