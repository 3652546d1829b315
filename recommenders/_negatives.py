"""Negative sampling for models trained on pairs: the known pairs, uniform draws, and the distinct rows of a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

ROUNDS = 8
"""How often known pairs are drawn again: for a user who knows half of the catalogue, 1 draw in 256 is then left."""


IsKnown = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]
"""Index of a pair (n,), member drawn for it (n,) -> whether the two are a known pair (n,)."""


class KnownPairs:
    """Which (user, item) pairs occur, as a sorted list of keys: 8 bytes a pair, searched in bulk.

    On the CPU, a table of 8 to 16 bytes a pair first sorts out most of the pairs that do not occur: it says which
    remainders of keys do. On a GPU the number of the others would have to be waited for.
    """

    def __init__(self, user: torch.Tensor, item: torch.Tensor, n_items: int):
        """Keep pairs (P,) of user and item indexes."""
        import torch

        self._n_items = n_items
        self._keys = (user * n_items + item).sort().values
        self._remainders: torch.Tensor | None = None
        if user.device.type == "cpu":
            self._remainders = torch.zeros(1 << (8 * len(user)).bit_length(), dtype=torch.bool)
            self._remainders[self._keys & (len(self._remainders) - 1)] = True

    def __call__(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        """Return which pairs (broadcast together) are known."""
        wanted = user * self._n_items + item
        if self._remainders is None:
            return self._search(wanted)
        known = self._remainders[wanted & (len(self._remainders) - 1)]
        known[known.clone()] = self._search(wanted[known])
        return known

    def _search(self, wanted: torch.Tensor) -> torch.Tensor:
        import torch

        place = torch.searchsorted(self._keys, wanted).clamp_(max=len(self._keys) - 1)
        return self._keys[place] == wanted

    def of_users(self, user: torch.Tensor) -> IsKnown:
        """Return the check of items drawn as negatives for pairs of these users (P,)."""
        return lambda pair, item: self(user[pair], item)

    def of_items(self, item: torch.Tensor) -> IsKnown:
        """Return the check of users drawn as negatives for pairs of these items (P,)."""
        return lambda pair, user: self(user, item[pair])


def sample_negatives(
    positive: torch.Tensor,
    pool: torch.Tensor,
    count: int,
    known: IsKnown | None = None,
) -> torch.Tensor:
    """Draw `count` members of `pool` (M,) for every pair, uniformly and with replacement, (P, count).

    Draws come from torch's generator, on the device of `pool`. `known` says which draws to repeat. Where all
    `ROUNDS` repetitions draw known pairs, as for a user who knows the whole catalogue, the pair's own `positive`
    (P,) is the negative: its two gradients cancel, so nothing is learned from it.
    """
    import torch

    shape = (len(positive), count)
    drawn = pool[torch.randint(len(pool), shape, device=pool.device)]
    if known is None:
        return drawn
    pair = torch.arange(len(positive), device=pool.device).repeat_interleave(count)
    redraw = _redraw if pool.device.type == "cpu" else _redraw_all
    return redraw(drawn.flatten(), pair, positive, pool, known).view(shape)


def _redraw(
    drawn: torch.Tensor, pair: torch.Tensor, positive: torch.Tensor, pool: torch.Tensor, known: IsKnown
) -> torch.Tensor:
    """Replace the known pairs among draws (n,) for pairs (n,), and check only what was drawn again."""
    import torch

    left = torch.nonzero(known(pair, drawn)).squeeze(1)
    for _ in range(ROUNDS):
        if not len(left):
            break
        again = pool[torch.randint(len(pool), (len(left),), device=pool.device)]
        drawn[left] = again
        left = left[known(pair[left], again)]
    drawn[left] = positive[pair[left]]
    return drawn


def _redraw_all(
    drawn: torch.Tensor, pair: torch.Tensor, positive: torch.Tensor, pool: torch.Tensor, known: IsKnown
) -> torch.Tensor:
    """Do the same with all draws at once, and take the first unknown one of each pair.

    A GPU checks nine times as many draws in less time than its host waits for the number of known pairs.
    """
    import torch

    again = pool[torch.randint(len(pool), (ROUNDS, len(drawn)), device=pool.device)]
    tried = torch.cat([drawn[None], again])
    mistaken = known(pair.expand(tried.shape), tried)
    first = mistaken.to(torch.uint8).argmin(dim=0, keepdim=True)  # the first of the smallest
    return torch.where(mistaken.all(dim=0), positive[pair], tried.gather(0, first)[0])


def distinct_rows(size: int, *indexes: torch.Tensor) -> tuple[torch.Tensor | None, list[torch.Tensor]]:
    """Return the distinct rows (n,) among `indexes` in 0..size-1, and the indexes as positions in that list.

    The rows are None when the caller should use the whole table without a copy: on the CPU when all rows occur. The
    host of a GPU would wait for their number. There the list has as many rows as there are indexes, if these are
    fewer than `size`; behind the distinct ones, row 0 fills it, which no position refers to.
    """
    import torch

    device = indexes[0].device
    occurs = torch.zeros(size, dtype=torch.bool, device=device)
    for index in indexes:
        occurs.index_fill_(0, index.flatten(), True)
    if device.type == "cpu":
        rows = torch.nonzero(occurs).squeeze(1)
        most = len(rows)
    else:
        most = min(size, sum(index.numel() for index in indexes))
    if most == size:
        return None, list(indexes)
    position = occurs.cumsum(0) - 1
    if device.type != "cpu":
        rows = torch.zeros(most + 1, dtype=torch.int64, device=device)
        rows.scatter_(0, torch.where(occurs, position, most), torch.arange(size, device=device))
        rows = rows[:most]
    return rows, [position[index] for index in indexes]


def counts(index: torch.Tensor, size: int, weight: torch.Tensor | None = None) -> torch.Tensor:
    """Count how often each of 0..size-1 occurs in `index` (n,), or add up the weights (n,) of its places, (size,).

    ``torch.bincount`` makes the host of a GPU wait for the largest index.
    """
    import torch

    if index.device.type == "cpu":
        return torch.bincount(index, weight, size)
    added = torch.ones_like(index) if weight is None else weight
    return torch.zeros(size, dtype=added.dtype, device=index.device).index_add_(0, index, added)
