"""Rank all candidates for every user, in bounded memory: exclude history, respect candidate sets, break ties.

Items are ordered by score, descending; ties are broken by a seeded permutation of all items (`tie_ranks`),
also at rank k. The result does not depend on the order of items, on the block size, or on which candidate sets
are ranked together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.metrics.beyond_accuracy import Rows
from bench.ranking.topk import NO_PAIRS, NotFiniteError, Pairs, Selector, tie_ranks

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Candidates:
    """The items that compete with each other: ``hot``, ``cold`` or ``mixed``."""

    name: str
    mask: NDArray[np.bool_]
    """(N,)"""


@dataclass(frozen=True, eq=False)
class Ranking:
    """The result of `rank`."""

    topk: dict[str, NDArray[np.int32]]
    """Item indices (U, k) for each candidate set, best first, filled with -1 if there are fewer candidates."""
    constant: dict[str, NDArray[np.bool_]]
    """Users (U,) whose candidates all have the same score, for each set: their lists are empty or in random order."""
    ranks: dict[str, NDArray[np.int32]]
    """Ranks (P,) of the held-out items of each set, in their order.

    An item's rank is 1 plus the number of the user's candidates, without the history, that stand before it. It is 0
    if the item cannot be listed: it is no candidate, it is in the history, or its score is -inf.
    """


def rank(
    score: Callable[[NDArray[np.int32]], NDArray[np.float32] | torch.Tensor],
    users: NDArray[np.int32],
    *,
    history: Rows,
    candidates: Sequence[Candidates],
    k: int,
    seed: int,
    present: NDArray[np.bool_] | None = None,
    held_out: Mapping[str, Rows] | None = None,
    block: int | None = None,
    memory: int = 256 << 20,
    who: str = "the model",
    labels: Sequence[str] | None = None,
) -> Ranking:
    """Rank all candidates for each user; each block of users is scored once for all candidate sets.

    Parameters
    ----------
    score
        Returns (B, N) scores for (B,) user indices, as a NumPy or torch array on any device; higher is better,
        and -inf means that an item cannot be recommended. The array is not modified.
    users
        Indices (U,) of the users to rank.
    history
        Items to leave out, one row per user index: the training items.
    candidates
        Candidate sets, ranked separately.
    k
        Length of the lists.
    seed
        Seed for breaking ties; see `tie_ranks`.
    present
        Which items (N,) have a vector; the others are not candidates. None: all items.
    held_out
        For some candidate sets, items whose ranks are wanted, one row for each of `users`.
    block
        Number of users scored at a time; by default such that the scores take `memory` bytes.
    memory
        Size of one block of scores in bytes.
    who, labels
        Names of the model and of each user (n_users,) for messages.

    Raises
    ------
    BenchError
        `k` is below 1, there is no candidate set or an empty one, a user index is out of range, or scores have
        the wrong shape or are NaN or +inf for a candidate.

    """
    if k < 1:
        raise BenchError(f"k = {k}: k must be at least 1")
    if not candidates:
        raise BenchError("no candidate set to rank")
    n_items = len(candidates[0].mask)
    ties = tie_ranks(n_items, seed)
    sets = [Selector(c.name, c.mask if present is None else c.mask & present, ties) for c in candidates]
    n_rows = len(history.indptr) - 1
    if len(users) and not 0 <= users.min() <= users.max() < n_rows:
        raise BenchError(f"users to rank must lie in 0..{n_rows - 1}, the rows of the history")
    block = block or max(1, memory // (4 * n_items))
    out = Ranking(
        {s.name: np.full((len(users), k), -1, np.int32) for s in sets},
        {s.name: np.zeros(len(users), np.bool_) for s in sets},
        {name: np.zeros(len(rows.item), np.int32) for name, rows in (held_out or {}).items()},
    )

    for start in range(0, len(users), block):
        batch = users[start : start + block]
        scores = _scored(score(batch), (len(batch), n_items), who)
        seen = _pairs(history, batch)
        for each in sets:
            step = each.rows if isinstance(scores, np.ndarray) else len(batch)
            held = (held_out or {}).get(each.name)
            for a in range(0, len(batch), step):
                b = min(a + step, len(batch))
                rows = slice(start + a, start + b)
                wanted = _pairs(held, np.arange(rows.start, rows.stop)) if held else NO_PAIRS
                first, last = np.searchsorted(seen.row, [a, b])
                known = Pairs(seen.row[first:last] - a, seen.item[first:last])
                try:
                    if isinstance(scores, np.ndarray):
                        found = each.top(scores[a:b], known, k, wanted)
                    else:
                        from bench.ranking.device import top_on_device

                        found = top_on_device(each, scores, known, k, wanted)
                except NotFiniteError as error:
                    user = int(batch[a + error.row])
                    raise BenchError(
                        f"{who} gave {error.value} for user {labels[user] if labels is not None else user}, item row "
                        f"{error.item}: scores must be finite, or -inf for items it cannot recommend. Look "
                        "for zero vectors divided by their norm, or a training that diverged."
                    ) from None
                out.topk[each.name][rows], out.constant[each.name][rows] = found.items, found.constant
                if held:
                    out.ranks[each.name][held.indptr[rows.start] : held.indptr[rows.stop]] = found.ranks
        del scores  # frees the block before the next one is computed
    return out


def _pairs(rows: Rows, which: NDArray[np.integer]) -> Pairs:
    """Return the items of some rows, with the place of their row in `which`."""
    starts = rows.indptr[which]
    sizes = rows.indptr[which + 1] - starts
    owner = np.repeat(np.arange(len(which)), sizes)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes - starts, sizes)
    return Pairs(owner, rows.item[within])


def _scored(
    scores: NDArray[np.float32] | torch.Tensor, shape: tuple[int, int], who: str
) -> NDArray[np.float32] | torch.Tensor:
    """Return scores on the CPU as a float32 NumPy array, without copying if possible; others stay where they are."""
    if tuple(scores.shape) != shape:
        raise BenchError(
            f"{who} returned scores of shape {tuple(scores.shape)} for {shape[0]} users and {shape[1]} items: "
            f"score(users) must return {shape}, one column per row of the item table"
        )
    if isinstance(scores, np.ndarray):
        return scores.astype(np.float32, copy=False)
    scores = scores.detach()
    return scores.float().numpy() if scores.device.type == "cpu" else scores
