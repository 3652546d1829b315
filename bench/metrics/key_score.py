"""Metrics of musical keys: accuracy, and a weighted score with partial points for related keys.

A key is a number 0..23: 0-11 are C major, C# major, ... B major, 12-23 are C minor ... B minor.

Two conventions define a fifth differently, and their scores can differ by several points:

``mir_eval``
    half a point for an estimate a perfect fifth *above* the reference (G major for C major), none for a
    fifth below. Used by MIREX since 2017, mir_eval >= 0.5, and JukeMIR.
``either_fifth``
    half a point for a fifth above or below. Used in older evaluations.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.metrics.classification import confusion
from bench.metrics.metric import Metric, table

Convention = Literal["mir_eval", "either_fifth"]
TONICS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
NAMES: tuple[str, ...] = tuple(f"{tonic} {mode}" for mode in ("major", "minor") for tonic in TONICS)
RELATIONS = ("exact", "fifth", "relative", "parallel", "other")
_POINTS = np.array([1.0, 0.5, 0.3, 0.2, 0.0])

KEYS = table(
    Metric(
        "weighted",
        "Weighted score",
        "points per track: same key 1, fifth above .5, relative .3, parallel .2, any other 0",
        kinds=("keys",),
    ),
    Metric(
        "weighted_either_fifth",
        "Weighted score (either fifth)",
        "as the weighted score, but a fifth below counts .5, too",
        kinds=("keys",),
    ),
    Metric(
        "weighted_macro",
        "Weighted score (macro)",
        "the weighted score averaged over the keys that occur",
        kinds=("keys",),
    ),
    Metric(
        "accuracy_macro",
        "Accuracy (macro)",
        "share of tracks whose key is predicted, averaged over the keys that occur",
        kinds=("keys",),
    ),
    Metric(
        "share",
        "Share",
        "share of tracks whose predicted key stands in the named relation to the right one",
        higher_is_better=None,
        kinds=("keys",),
    ),
)
"""Metrics of keys by name, in addition to those of classes."""


def relations(convention: Convention = "mir_eval") -> NDArray[np.int64]:
    """Return the index in `RELATIONS` (24, 24) of each pair of reference key (row) and estimate (column).

    Raises
    ------
    ValueError
        For an unknown convention.

    """
    if convention not in ("mir_eval", "either_fifth"):
        raise ValueError(f"unknown key convention {convention!r}: mir_eval or either_fifth")
    tonic, minor = np.arange(24) % 12, np.arange(24) >= 12
    up = (tonic[None, :] - tonic[:, None]) % 12
    same = minor[None, :] == minor[:, None]
    fifth = (up == 7) | ((up == 5) & (convention == "either_fifth"))
    # The relative minor is 9 semitones above its major, the relative major 3 above its minor.
    relative = up == np.where(minor[:, None], 3, 9)
    return np.select([same & (up == 0), same & fifth, ~same & relative, ~same & (up == 0)], [0, 1, 2, 3], 4)


def key_points(
    truth: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]], convention: Convention = "mir_eval"
) -> NDArray[np.float64]:
    """Return the weighted score of each track (n,): 1, .5, .3, .2 or 0."""
    confusion(truth, predicted, 24)  # raises for values that are not keys
    points: NDArray[np.float64] = _POINTS[relations(convention)[truth, predicted]]
    return points


def key_scores(
    truth: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]], convention: Convention = "mir_eval"
) -> dict[str, float]:
    """Return ``weighted`` and ``accuracy`` over tracks, both averaged over keys, and the share of each relation.

    ``accuracy_macro`` and ``weighted_macro`` average over all keys that occur; the others are counted under
    ``undefined``. ``accuracy:C minor`` is the accuracy on one key, ``share:fifth`` the share of estimates
    that are a fifth away.

    Parameters
    ----------
    truth, predicted
        Keys (n,), 0..23.
    convention
        Definition of a fifth; see the module's documentation.

    Raises
    ------
    ValueError
        For values that are not keys, arrays of different length, empty arrays, or an unknown convention.

    References
    ----------
    Raffel et al., mir_eval (ISMIR 2014), ``mir_eval.key.weighted_score``.

    """
    relation = relations(convention)
    table = confusion(truth, predicted, 24)
    tracks = table.sum(axis=1)
    there = tracks > 0
    right = np.diag(table)[there] / tracks[there]
    points = (table * _POINTS[relation]).sum(axis=1)
    shares = np.bincount(relation.ravel(), weights=table.ravel(), minlength=len(RELATIONS)) / tracks.sum()
    return {
        "weighted": float(points.sum() / tracks.sum()),
        "accuracy": float(np.diag(table).sum() / tracks.sum()),
        "weighted_macro": float((points[there] / tracks[there]).mean()),
        "accuracy_macro": float(right.mean()),
        "undefined": float((~there).sum()),
        **{f"share:{name}": float(share) for name, share in zip(RELATIONS, shares, strict=True)},
        **{f"accuracy:{NAMES[key]}": float(v) for key, v in zip(np.flatnonzero(there), right, strict=True)},
    }
