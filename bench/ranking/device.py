"""Ranking where the scores are: mask and select on a GPU, and copy only the lists to the host.

A GPU selects the k + 1 best scores of each row in any order of equal ones. The host puts the k of them in order, ties
by their seeded ranks. Rows of which the (k + 1)-th score equals the k-th, where the ties decide who is in the list,
are copied whole and ranked by `bench.ranking.topk`; so are rows with one score for all candidates, and rows that are
not finite. The lists are therefore exactly those of the host.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bench.devices import send
from bench.ranking.topk import NotFiniteError, Selector


def top_on_device(
    selector: Selector, scores: torch.Tensor, owner: NDArray[np.int64], seen: NDArray[np.int32], k: int
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Return what `Selector.top` returns, for scores (B, N) that are not in main memory.

    Raises
    ------
    NotFiniteError
        For NaN or +inf.

    """
    rows, n_items = scores.shape
    device = scores.device
    hidden, row, known = send(device, ~selector.mask, owner, seen.astype(np.int64))
    x = scores.float().masked_fill(hidden, -torch.inf)
    x.index_put_((row, known), x.new_full((), -torch.inf))  # the host would wait for the copy of a Python number
    value, item = torch.topk(x, min(k + 1, n_items), dim=1)
    packed = torch.cat([value.view(torch.int32), item.int()], dim=1).cpu().numpy()  # one copy
    best, column = packed[:, : value.shape[1]].view(np.float32), packed[:, value.shape[1] :]

    width = min(k, n_items)
    kept = best[:, :width]
    lowest = np.where(kept == -np.inf, best[:, :1], kept).min(axis=1)
    hard = ~(best[:, 0] < np.inf) | (best[:, 0] == lowest)
    if n_items > k:
        hard |= (best[:, k - 1] == best[:, k]) & (best[:, k] > -np.inf)
    top = np.full((rows, k), -1, np.int32)
    top[:, :width] = _ordered(best[:, :width], column[:, :width], selector.ranks)
    flat = np.zeros(rows, np.bool_)
    if hard.any():
        which = np.flatnonzero(hard)
        place = np.cumsum(hard) - 1
        theirs = hard[owner]
        values = scores[send(device, which)[0]].float().cpu().numpy()
        for start in range(0, len(which), selector.rows):
            part = which[start : start + selector.rows]
            mine = theirs & (owner >= part[0]) & (owner <= part[-1])
            try:
                top[part], flat[part] = selector.top(
                    values[start : start + selector.rows], place[owner[mine]] - start, seen[mine], k
                )
            except NotFiniteError as error:
                raise NotFiniteError(int(part[error.row]), error.item, error.value) from None
    return top, flat


def _ordered(value: NDArray[np.float32], item: NDArray[np.int32], ranks: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return items (B, k) by falling score, equal ones by rank; -1 for scores of -inf."""
    row = np.repeat(np.arange(len(value)), value.shape[1])
    order = np.lexsort((ranks[item].ravel(), -value.ravel(), row))
    listed: NDArray[np.int32] = np.where(value == -np.inf, -1, item).ravel()[order].reshape(item.shape)
    return listed
