"""What models trained on pairs share: known pairs, negatives drawn at once, rows without repeats."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

ROUNDS = 8
"""How often known pairs are drawn anew: what half of the catalogue hits 1 time in 256 is then left."""


class Known:
    """Which (user, item) pairs occur, as a sorted list of keys: 8 bytes a pair, searched in bulk."""

    def __init__(self, user: torch.Tensor, item: torch.Tensor, n_items: int):
        """Keep pairs (P,) of user and item indexes."""
        self._n_items = n_items
        self._keys = (user * n_items + item).sort().values

    def __call__(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        """Return which pairs (broadcast together) are known."""
        import torch

        wanted = user * self._n_items + item
        place = torch.searchsorted(self._keys, wanted).clamp_(max=len(self._keys) - 1)
        return self._keys[place] == wanted


def draw(
    positive: torch.Tensor,
    pool: torch.Tensor,
    count: int,
    known: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
) -> torch.Tensor:
    """Draw `count` members of `pool` (M,) for every pair, uniformly and with replacement, (P, count).

    Draws from torch's generator, on the device of `pool`. ``known(pair (n,), member (n,))`` says which
    draws to repeat. Where `ROUNDS` repetitions find nothing, as for a listener of the whole catalogue,
    the pair's own `positive` (P,) stands in: its two gradients cancel, so it teaches nothing.
    """
    import torch

    shape = (len(positive), count)
    if known is None:
        return pool[torch.randint(len(pool), shape, device=pool.device)]
    drawn = pool[torch.randint(len(pool), shape, device=pool.device)].flatten()
    pair = torch.arange(len(positive), device=pool.device).repeat_interleave(count)
    left = torch.nonzero(known(pair, drawn)).squeeze(1)
    for _ in range(ROUNDS):
        if not len(left):
            break
        again = pool[torch.randint(len(pool), (len(left),), device=pool.device)]
        drawn[left] = again
        left = left[known(pair[left], again)]
    drawn[left] = positive[pair[left]]
    return drawn.view(shape)


def distinct(size: int, *indexes: torch.Tensor) -> tuple[torch.Tensor | None, list[torch.Tensor]]:
    """Return the distinct members (n,) of `indexes` in 0..size-1, and the indexes as places among them.

    None for the members when all of them occur: the table itself then serves, ungathered.
    """
    import torch

    occurs = torch.zeros(size, dtype=torch.bool, device=indexes[0].device)
    for index in indexes:
        occurs[index.flatten()] = True
    members = torch.nonzero(occurs).squeeze(1)
    if len(members) == size:
        return None, list(indexes)
    place = occurs.cumsum(0) - 1
    return members, [place[index] for index in indexes]
