"""Select the exact k best of masked scores, with seeded ties: the inner loop of `bench.ranking.rank`.

`numpy.argpartition` and `torch.topk` do not define how they break ties, so they cannot break them with a seed.

The columns of a row are divided into G groups, and the maximum of each group is computed in one pass. The k-th
largest of these maxima is a lower bound of the k-th largest score, since k items reach it. Therefore only
groups whose maximum reaches the bound can contain one of the k best items or a tie with the last of them. With
G >= 8 k, few more than k items are left to sort.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.ranking.held_out import held_out_ranks

if TYPE_CHECKING:
    import torch

_SCRATCH = 4 << 20
"""Bytes of masked scores processed at a time: small enough for the processor's cache."""
_GROUP = 32
"""Largest number of columns in a group."""
_LOWEST = np.finfo(np.float32).min


def tie_ranks(n_items: int, seed: int) -> NDArray[np.int64]:
    """Return the rank (N,) of each item among equal scores: a permutation drawn with PCG64([seed, N])."""
    return np.random.Generator(np.random.PCG64([seed, n_items])).permutation(n_items)


class Pairs(NamedTuple):
    """Pairs (P,) of a row of a block of scores, ascending, and an item."""

    row: NDArray[np.int64]
    item: NDArray[np.int32]


NO_PAIRS = Pairs(np.empty(0, np.int64), np.empty(0, np.int32))


class Top(NamedTuple):
    """The lists of a block of B rows.

    items : items (B, k), best first, -1 for no item
    constant : which rows (B,) have candidates of one score only
    ranks : ranks (P,) of the held-out items, 0 for those that cannot be listed
    """

    items: NDArray[np.int32]
    constant: NDArray[np.bool_]
    ranks: NDArray[np.int32]


class NotFiniteError(Exception):
    """The score of a candidate is NaN or +inf: `value` for `item` in `row` of the block."""

    def __init__(self, row: int, item: int, value: float) -> None:
        self.row, self.item, self.value = row, item, value


class Selector:
    """Selects the best items of one candidate set, block by block, with a reused buffer."""

    def __init__(self, name: str, mask: NDArray[np.bool_], ties: NDArray[np.int64]) -> None:
        """Prepare the candidate set `mask` (N,), with the tie ranks (N,) of all items."""
        if not mask.any():
            raise BenchError(f"candidate set {name!r} has no items: leave it out, or check coverage of the table")
        self.name, self.mask, self.ranks = name, mask, ties
        n_items = len(mask)
        if 8 * int(mask.sum()) >= n_items:
            # Many candidates: use complete rows and mask the other items.
            self.column_of: NDArray[np.int64] | None = None
            self.masked = np.flatnonzero(~mask)
            self.items = np.arange(n_items)
        else:
            self.items = np.flatnonzero(mask)
            self.masked = np.empty(0, np.intp)
            self.column_of = np.full(n_items, -1)
            self.column_of[self.items] = np.arange(len(self.items))
        self.ties = ties[self.items].astype(np.int32)
        self.width = len(self.items)
        self.rows = max(1, _SCRATCH // (4 * self.width))
        self._scratch: NDArray[np.float32] | None = None
        self.sent: torch.Tensor | None = None
        """The tie ranks (N,) on a device, once `bench.ranking.device` has sent them."""

    def top(self, scores: NDArray[np.float32], seen: Pairs, k: int, held: Pairs) -> Top:
        """Return the lists for scores (B, N) without the items `seen`, and the ranks of the items `held`.

        Raises
        ------
        NotFiniteError
            For NaN or +inf.

        """
        rows = len(scores)
        size = min(_GROUP, max(1, self.width // (8 * k)))
        groups = -(-self.width // size)
        x = self._masked(scores, seen, size * groups)
        # Column c is in group c % groups, so that neighbours, which may have similar scores, are in different groups.
        peak = x.reshape(rows, size, groups).max(axis=1) if size > 1 else x
        best = peak.max(axis=1)
        if not (best < np.inf).all():  # the maximum with a NaN is NaN
            bad = int(np.flatnonzero(~(best < np.inf))[0])
            where = int(np.flatnonzero(~(x[bad] < np.inf))[0])
            raise NotFiniteError(bad, int(self.items[where]), float(x[bad, where]))

        row, column, value = self._near(x, peak, k)
        order = np.lexsort((self.ties[column], -value, row))
        row, column, value = row[order], column[order], value[order]
        ends = np.cumsum(np.bincount(row, minlength=rows))
        place = np.arange(len(row)) - np.concatenate([[0], ends[:-1]])[row]
        listed = place < k
        top = np.full((rows, k), -1, np.int32)
        top[row[listed], place[listed]] = self.items[column[listed]]
        last = np.full(rows, -np.inf, np.float32)
        last[row[listed]] = value[listed]  # of each row, the last value remains
        flat = last == best
        if flat.any():
            flat[flat] = self._constant(scores, seen, np.flatnonzero(flat))
        return Top(top, flat, self._ranks(x, held))

    def _ranks(self, x: NDArray[np.float32], held: Pairs) -> NDArray[np.int32]:
        """Return the ranks (P,) of held-out items; those of other candidate sets have rank 0."""
        ranks = np.zeros(len(held.row), np.int32)
        if not len(ranks):
            return ranks
        column = held.item if self.column_of is None else self.column_of[held.item]
        there = column >= 0
        ranks[there] = held_out_ranks(x[:, : self.width], self.ties, held.row[there], column[there])
        return ranks

    def _near(
        self, x: NDArray[np.float32], peak: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
        """Return rows, columns and scores that include the k best finite scores of each row, unordered.

        `peak` (B, G) are the maxima of the groups.
        """
        rows, groups = peak.shape
        size = x.shape[1] // groups
        bound = np.full(rows, _LOWEST)
        if groups > k:
            bound = np.maximum(np.partition(peak, groups - k, axis=1)[:, groups - k], _LOWEST)
        limit = 8 * k + 64
        reach = peak >= bound[:, None]
        many = np.count_nonzero(reach, axis=1) > limit
        reach[many] = False
        owner, group = np.divmod(np.flatnonzero(reach), groups)
        members = x.reshape(-1)[(owner * x.shape[1] + group)[:, None] + np.arange(size) * groups]
        pick, member = np.divmod(np.flatnonzero(members >= bound[owner, None]), size)
        row, column, value = owner[pick], group[pick] + member * groups, members[pick, member]
        crowded = np.bincount(row, minlength=rows) > limit
        if not (many.any() or crowded.any()):
            return row, column, value

        # Rows with many ties are rare and are processed one by one.
        rest = np.flatnonzero(many | crowded)
        found = [self._exactly(x[r, : self.width], bound[r], k) for r in rest]
        done = ~crowded[row]
        row = np.concatenate([row[done], np.repeat(rest, k)])
        column = np.concatenate([column[done], *found])
        return row, column, x[row, column]

    def _exactly(self, x: NDArray[np.float32], bound: np.float32, k: int) -> NDArray[np.intp]:
        """Return the columns (k,) of the k best scores of a row, unordered; more than k scores reach `bound`."""
        above = np.flatnonzero(x > bound)
        if len(above) >= k:
            values = x[above]
            bound = np.partition(values, len(above) - k)[len(above) - k]
            above = above[values > bound]
        tied = np.flatnonzero(x == bound)
        # Fill the remaining places with the lowest tie ranks.
        ranks = self.ties[tied]
        left = k - len(above)
        return np.concatenate([above, tied[ranks <= np.partition(ranks, left - 1)[left - 1]]])

    def _masked(self, scores: NDArray[np.float32], seen: Pairs, padded: int) -> NDArray[np.float32]:
        """Copy the candidates' scores to (B, padded), with -inf for items to leave out and for the padding."""
        rows = len(scores)
        if self._scratch is None or self._scratch.shape[1] != padded or len(self._scratch) < rows:
            self._scratch = np.full((rows, padded), -np.inf, np.float32)
        x = self._scratch[:rows]
        x[:, : self.width] = self._candidates(scores)
        x[:, self.masked] = -np.inf
        owner, column = self._left_out(seen)
        x.reshape(-1)[owner * padded + column] = -np.inf
        return x

    def _candidates(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the columns (B, width) of this candidate set."""
        return scores if self.column_of is None else scores[:, self.items]

    def _left_out(self, seen: Pairs) -> tuple[NDArray[np.int64], NDArray[np.integer]]:
        """Return the pairs of row and column to leave out."""
        if self.column_of is None:
            return seen
        column = self.column_of[seen.item]
        return seen.row[column >= 0], column[column >= 0]

    def _constant(self, scores: NDArray[np.float32], seen: Pairs, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return which of `rows` have two or more candidates, all with the same score (or all -inf)."""
        owner, column = self._left_out(seen)
        starts, ends = np.searchsorted(owner, rows), np.searchsorted(owner, rows, side="right")
        constant = np.zeros(len(rows), np.bool_)
        for at, (row, start, end) in enumerate(zip(rows, starts, ends, strict=True)):
            candidate = np.ones(self.width, np.bool_)
            candidate[self.masked] = candidate[column[start:end]] = False
            x = self._candidates(scores[row : row + 1])[0, candidate]
            constant[at] = len(x) > 1 and bool((x == x[0]).all())
        return constant
