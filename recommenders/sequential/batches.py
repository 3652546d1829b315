"""Sequences of played tracks: histories, and batches without padding.

A batch is one array of positions, sequence after sequence, longest first. All that works on single positions
(linear layers, norms, losses) has no padding; only attention arranges sequences of similar length side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.devices import send
from bench.protocols import Interactions

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Histories:
    """Each user's tracks in the order of first plays (or all plays in order), as rows of the vocabulary."""

    indptr: NDArray[np.int64]
    """(U + 1,)"""
    token: NDArray[np.int64]
    """(P,)"""

    @classmethod
    def of(cls, train: Interactions, tokens: NDArray[np.int64]) -> Histories:
        """Make histories of the pairs (or plays, where the split keeps all) whose item has a token (N,), not -1."""
        user, item = (train.user, train.item) if train.plays is None else (train.plays.user, train.plays.item)
        token = tokens[item]
        user = user[token >= 0]
        return cls(np.searchsorted(user, np.arange(train.n_users + 1)).astype(np.int64), token[token >= 0])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tracks (U,) of each user."""
        return np.diff(self.indptr)


@dataclass(frozen=True, eq=False)
class Group:
    """Sequences of similar length, side by side for attention."""

    sequences: int
    length: int
    """Positions of the longest."""
    place: torch.Tensor | None
    """Index of each row in (sequences x length); None when all sequences have that length."""
    mask: torch.Tensor | None
    """(sequences, 1, 1, length), true at real positions; None when all are."""


@dataclass(frozen=True, eq=False)
class Picked:
    """The rows of a batch at which the last layer and the loss are computed."""

    row: torch.Tensor
    """(M,) rows of the batch, ascending."""
    sizes: list[int]
    """Rows of each group."""
    groups: list[Group]


@dataclass(frozen=True, eq=False)
class SequenceBatch:
    """Sequences end to end: P positions."""

    token: torch.Tensor
    """(P,)"""
    position: torch.Tensor
    """(P,) place within the sequence, from 0."""
    sizes: list[int]
    """Rows of each group."""
    groups: list[Group]
    picked: Picked
    target: torch.Tensor
    """(M,) the tracks to predict at the picked rows; empty outside training."""

    def __len__(self) -> int:
        """Return the number of positions."""
        return len(self.token)


def shuffled(users: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Yield batches of users in random order, from torch's generator, which the training loop seeds."""
    import torch

    order = users[torch.randperm(len(users)).numpy()]
    for start in range(0, len(order), size):
        yield order[start : start + size]


def cloze(
    histories: Histories, users: NDArray[np.int64], *, longest: int, mask: int, share: float, last: float, device: str
) -> SequenceBatch:
    """Replace a random `share` of positions by the token `mask` (Sun et al., CIKM 2019).

    `last` is the share of sequences whose last position is always masked, as in prediction.
    """
    import torch

    length, start = _windows(histories, users, longest)
    sequence, position = _positions(length)
    token = histories.token[start[sequence] + position]
    hidden = torch.rand(len(token)).numpy() < share
    if last:
        ends = np.cumsum(length) - 1
        hidden[ends[torch.rand(len(length)).numpy() < last]] = True
    rows = np.flatnonzero(hidden)
    return collate(np.where(hidden, mask, token), position, length, rows, token[rows], device)


def shifted(histories: Histories, users: NDArray[np.int64], *, longest: int, device: str) -> SequenceBatch:
    """Predict at each position the next track (Kang & McAuley, ICDM 2018), which needs two tracks."""
    length, start = _windows(histories, users, longest + 1)
    length = length - 1
    order = np.argsort(-length, kind="stable")
    length, start = length[order], start[order]
    sequence, position = _positions(length)
    where = start[sequence] + position
    rows = np.arange(len(where))
    return collate(histories.token[where], position, length, rows, histories.token[where + 1], device)


def final(
    histories: Histories, users: NDArray[np.int64], *, longest: int, mask: int | None, device: str
) -> tuple[SequenceBatch, NDArray[np.int64]]:
    """Return a batch that predicts the next track of `users` (B,), and the places (B,) of the users in it.

    With `mask`, this token follows the last ``longest - 1`` tracks and its row is picked; otherwise the row of
    the last track is.
    """
    length, start = _windows(histories, users, longest - (mask is not None), keep_order=True)
    tail = int(mask is not None)
    order = np.argsort(-length, kind="stable")
    length, start = length[order] + tail, start[order]
    sequence, position = _positions(length)
    ends = np.cumsum(length) - 1
    if mask is None:
        token = histories.token[start[sequence] + position]
    else:
        real = np.ones(len(position), np.bool_)
        real[ends] = False
        token = np.full(len(position), mask, np.int64)
        token[real] = histories.token[(start[sequence] + position)[real]]
    return collate(token, position, length, ends, np.empty(0, np.int64), device), np.argsort(order)


def _windows(
    histories: Histories, users: NDArray[np.int64], longest: int, keep_order: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return lengths (B,) and starts (B,) of the last `longest` tracks of each user, longest first by default."""
    end = histories.indptr[users + 1]
    length = np.minimum(end - histories.indptr[users], longest)
    order = np.arange(len(users)) if keep_order else np.argsort(-length, kind="stable")
    return length[order], (end - length)[order]


def _positions(length: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the sequence (P,) of each position, and its place within that (P,)."""
    sequence = np.repeat(np.arange(len(length)), length)
    return sequence, np.arange(len(sequence)) - np.repeat(np.cumsum(length) - length, length)


def collate(
    token: NDArray[np.int64],
    position: NDArray[np.int64],
    length: NDArray[np.int64],
    rows: NDArray[np.int64],
    target: NDArray[np.int64],
    device: str,
) -> SequenceBatch:
    """Group sequences (longest first) of similar length, and send the batch to `device` by one copy."""
    # How uneven lengths may be before another group pays: a GPU is faster with few large products.
    ratio, least = (1.25, 24) if device == "cpu" else (1.6, 64)
    ends = np.cumsum(length)
    sequence = np.repeat(np.arange(len(length)), length)
    count = np.bincount(sequence[rows], minlength=len(length))
    first_picked = np.cumsum(count) - count
    groups: list[tuple[int, int, int | None, int | None]] = []  # as the fields of Group, arrays by their index
    picked: list[tuple[int, int, int | None, None]] = []
    sizes, picked_sizes = [], []
    arrays: list[NDArray[np.generic]] = [token, position, rows, target]

    def put(array: NDArray[np.generic]) -> int:
        arrays.append(array)
        return len(arrays) - 1

    a = 0
    while a < len(length):
        longest = int(length[a])
        b = int(np.searchsorted(-length, -longest / ratio)) if longest > least else len(length)
        same = int(np.searchsorted(-length, -longest, side="right"))
        b = same if same - a > (b - a) / 2 else max(b, a + 1)  # many sequences of one length: no padding at all
        first, last = int(ends[a] - length[a]), int(ends[b - 1])
        sizes.append(last - first)
        even = int(length[b - 1]) == longest
        place = None if even else put((sequence[first:last] - a) * longest + position[first:last])
        real = None if even else put((np.arange(longest) < length[a:b, None])[:, None, None])
        groups.append((b - a, longest, place, real))
        begin, end = int(first_picked[a]), int(first_picked[b - 1] + count[b - 1])
        most = int(count[a:b].max())
        owner = sequence[rows[begin:end]]
        ordinal = np.arange(begin, end) - first_picked[owner]
        place = None if end - begin == most * (b - a) else put((owner - a) * most + ordinal)
        picked.append((b - a, most, place, None))
        picked_sizes.append(end - begin)
        a = b
    sent = send(device, *arrays)

    def group(sequences: int, longest: int, place: int | None, mask: int | None) -> Group:
        return Group(sequences, longest, *(None if at is None else sent[at] for at in (place, mask)))

    return SequenceBatch(
        sent[0],
        sent[1],
        sizes,
        [group(*each) for each in groups],
        Picked(sent[2], picked_sizes, [group(*each) for each in picked]),
        sent[3],
    )
