"""Subsample the training tracks, to measure how a probe depends on the number of labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.probes.data import ProbeData

_BINS = 10
"""Number of strata for tasks with values as labels."""


def subsample(data: ProbeData, fraction: float, *, seed: int) -> ProbeData:
    """Return `data` with a fraction of its training rows; validation and test do not change.

    The samples of one seed are nested: a smaller fraction is a subset of a larger one. They are stratified by
    class, by key, by decile of the values, or by the rarest tag of a row; every stratum has at least one row if there
    are as many rows as strata. If the data gives the tracks of train, tracks are sampled with all their clips.

    Raises
    ------
    BenchError
        If the fraction is outside (0, 1].

    """
    if not 0 < fraction <= 1:
        raise BenchError(f"train fraction {fraction} must be above 0 and at most 1.")
    if fraction == 1:
        return data
    tracks = data.tracks("train") if data.groups is not None and "train" in data.groups else None
    of = np.arange(len(data.x["train"])) if tracks is None else tracks[1]
    first = np.unique(of, return_index=True)[1]
    stratum = _strata(data, np.asarray(data.y["train"])[first])
    size = len(stratum)
    drawn = np.random.Generator(np.random.PCG64([seed, size])).permutation(size)
    order = drawn[np.argsort(stratum[drawn], kind="stable")]
    counts = np.bincount(stratum)
    # Divide the random place of a unit in its stratum by the size of the stratum; low shares fill all strata evenly.
    place = np.arange(size) - np.repeat(np.cumsum(counts) - counts, counts)
    share = np.empty(size)
    share[order] = place / counts[stratum[order]]
    tie_break = np.empty(size, np.int64)
    tie_break[drawn] = np.arange(size)
    chosen = np.zeros(size, np.bool_)
    chosen[np.lexsort((tie_break, share))[: max(1, round(fraction * size))]] = True
    rows = chosen[of]
    groups = data.groups
    if tracks is not None and groups is not None:
        groups = dict(groups) | {"train": [g for g, use in zip(groups["train"], rows, strict=True) if use]}
    x, y = (dict(part) | {"train": np.asarray(part["train"])[rows]} for part in (data.x, data.y))
    return replace(data, x=x, y=y, groups=groups)


def _strata(data: ProbeData, y: NDArray[Any]) -> NDArray[np.int64]:
    """Return the stratum (n,) of each row, numbered from 0."""
    if data.kind == "tags":
        rarity = np.where(y, y.sum(axis=0), len(y) + 1)
        group = np.where(y.any(axis=1), rarity.argmin(axis=1), y.shape[1])
    elif data.kind == "values":
        spread = y.std(axis=0)
        size = ((y - y.mean(axis=0)) / np.where(spread > 0, spread, 1)).sum(axis=1)
        group = np.argsort(np.argsort(size, kind="stable"), kind="stable") * _BINS // len(y)
    else:
        group = y
    return np.unique(group, return_inverse=True)[1].astype(np.int64)
