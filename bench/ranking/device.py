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
from bench.ranking.topk import NO_PAIRS, NotFiniteError, Pairs, Selector, Top


def top_on_device(selector: Selector, scores: torch.Tensor, seen: Pairs, k: int, held: Pairs) -> Top:
    """Return what `Selector.top` returns, for scores (B, N) that are not in main memory.

    Raises
    ------
    NotFiniteError
        For NaN or +inf.

    """
    rows, n_items = scores.shape
    device = scores.device
    hidden, row, known, *wanted = send(
        device, ~selector.mask, seen.row, seen.item.astype(np.int64), held.row, held.item.astype(np.int64)
    )
    x = scores.float().masked_fill(hidden, -torch.inf)
    x.index_put_((row, known), x.new_full((), -torch.inf))  # the host would wait for the copy of a Python number
    value, item = torch.topk(x, min(k + 1, n_items), dim=1)
    lists = torch.cat([value.view(torch.int32), item.int()], dim=1)
    ranks = _ranks(x, selector, *wanted) if len(held.row) else item.new_empty(0, dtype=torch.int32)
    copied = torch.cat([lists.reshape(-1), ranks]).cpu().numpy()  # one copy
    packed = copied[: lists.numel()].reshape(lists.shape)
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
        theirs = hard[seen.row]
        values = scores[send(device, which)[0]].float().cpu().numpy()
        for start in range(0, len(which), selector.rows):
            part = which[start : start + selector.rows]
            mine = theirs & (seen.row >= part[0]) & (seen.row <= part[-1])
            known_there = Pairs(place[seen.row[mine]] - start, seen.item[mine])
            try:
                again = selector.top(values[start : start + selector.rows], known_there, k, NO_PAIRS)
                top[part], flat[part] = again.items, again.constant
            except NotFiniteError as error:
                raise NotFiniteError(int(part[error.row]), error.item, error.value) from None
    return Top(top, flat, copied[lists.numel() :])


def _ranks(x: torch.Tensor, selector: Selector, row: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
    """Return the ranks (P,) of the scores at some rows and items of masked scores (B, N), on their device."""
    if selector.sent is None:
        selector.sent = send(x.device, selector.ranks.astype(np.int32))[0]
    ties, value = selector.sent, x[row, item]
    found = []
    for start in range(0, len(row), step := max(1, len(x) // 2)):  # takes about as much memory as the scores
        part, mine = x[row[start : start + step]], value[start : start + step, None]
        tie = ties[item[start : start + step]][:, None]
        before = (part > mine) | ((part == mine) & (ties < tie))
        found.append(before.sum(dim=1, dtype=torch.int32))
    return (torch.cat(found) + 1).masked_fill(value == -torch.inf, 0)


def _ordered(value: NDArray[np.float32], item: NDArray[np.int32], ranks: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return items (B, k) by falling score, equal ones by rank; -1 for scores of -inf."""
    row = np.repeat(np.arange(len(value)), value.shape[1])
    order = np.lexsort((ranks[item].ravel(), -value.ravel(), row))
    listed: NDArray[np.int32] = np.where(value == -np.inf, -1, item).ravel()[order].reshape(item.shape)
    return listed
