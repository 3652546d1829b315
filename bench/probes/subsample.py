"""Fewer training tracks, as a question to a probe: how well does it do with a tenth of the labels?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.probes.data import ProbeData

_BINS = 10
"""Strata of tasks whose labels are values."""


def subsample(data: ProbeData, fraction: float, *, seed: int) -> ProbeData:
    """Return `data` with a share of its training rows; validation and test stay whole.

    Nested: with one seed, a smaller fraction's rows are among a larger one's. Stratified: every class
    (key, tenth of the values, or rarest tag of a row) keeps its share, and at least one row while there
    are as many rows as classes. Whole tracks are taken where the data names the tracks of train.

    Raises
    ------
    BenchError
        For a fraction outside (0, 1].

    """
    if not 0 < fraction <= 1:
        raise BenchError(f"train fraction {fraction} must lie above 0 and not above 1.")
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
    # Place of each unit in its stratum, in random order; as a share, it fills all strata evenly.
    place = np.arange(size) - np.repeat(np.cumsum(counts) - counts, counts)
    share = np.empty(size)
    share[order] = place / counts[stratum[order]]
    later = np.empty(size, np.int64)
    later[drawn] = np.arange(size)
    chosen = np.zeros(size, np.bool_)
    chosen[np.lexsort((later, share))[: max(1, round(fraction * size))]] = True
    rows = chosen[of]
    groups = data.groups
    if tracks is not None and groups is not None:
        groups = dict(groups) | {"train": [g for g, kept in zip(groups["train"], rows, strict=True) if kept]}
    x, y = (dict(part) | {"train": np.asarray(part["train"])[rows]} for part in (data.x, data.y))
    return replace(data, x=x, y=y, groups=groups)


def _strata(data: ProbeData, y: NDArray[Any]) -> NDArray[np.int64]:
    """Return the stratum 0.. of each row."""
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
