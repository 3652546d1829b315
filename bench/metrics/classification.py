"""Exact metrics of tags, classes and values, for all labels at once, with the same results as scikit-learn.

Every function returns a flat dict: macro averages under their name (``roc_auc``), values of single
labels under ``roc_auc:NAME`` if names are given. Undefined labels (a tag that no track or every track
has, a class without tracks, a constant value) are excluded from the macro average and counted under
``undefined``; no value is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.metrics.metric import Metric, table

CLASSIFICATION = table(
    Metric(
        "roc_auc",
        "ROC-AUC",
        "how often a track with a label is scored above one without it, averaged over labels; ties count half",
        kinds=("tags", "classes", "links"),
    ),
    Metric(
        "average_precision",
        "AP",
        "precision averaged over the tracks with a label, by descending score, averaged over labels",
        kinds=("tags", "links"),
    ),
    Metric("accuracy", "Accuracy", "share of tracks whose class or key is predicted", kinds=("classes", "keys")),
    Metric(
        "precision",
        "Precision",
        "share of right ones among the tracks predicted as a class, averaged over classes",
        kinds=("classes",),
    ),
    Metric(
        "recall",
        "Recall",
        "share of a class's tracks that are predicted as it, averaged over classes",
        kinds=("classes",),
    ),
    Metric("f1", "F1", "harmonic mean of a class's precision and recall, averaged over classes", kinds=("classes",)),
    Metric(
        "r2",
        "R²",
        "1 - squared error / squared deviation from the mean, averaged over values",
        range=(-math.inf, 1.0),
        kinds=("values",),
    ),
    Metric(
        "undefined",
        "Undefined",
        "number of labels that the test part cannot score, left out of the averages",
        range=(0.0, math.inf),
        higher_is_better=None,
        kinds=("tags", "classes", "keys", "values"),
    ),
)
"""Metrics of tags, classes and values by name; `bench.metrics.key_score` adds those of keys."""

_BLOCK = 1 << 21
"""Maximum scores sorted at a time, which limits the index arrays to about 100 MB."""


def roc_auc(truth: NDArray[np.bool_], scores: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the area under the ROC curve of each label (L,) like `ranked`, but several times faster for float32.

    Each float32 is sorted as an integer with its label as the last bit: among equal scores the positives then
    come last, or first with the bit inverted. The mean of both areas counts a tie as one half.
    """
    if scores.dtype != np.float32:
        return ranked(truth, scores)[0]
    _check(truth, scores)
    wins = np.zeros(truth.shape[1])
    width = max(1, _BLOCK // len(truth))
    for first in range(0, truth.shape[1], width):
        cut = slice(first, first + width)
        bits = (np.ascontiguousarray(scores[:, cut].T) + np.float32(0)).view(np.int32)  # no -0
        keys = np.where(bits < 0, bits ^ 0x7FFFFFFF, bits).astype(np.int64) << 1
        hit = np.ascontiguousarray(truth[:, cut].T)
        last = np.sort(keys | hit, axis=1) & 1 == 1
        ahead = np.sort(keys | ~hit, axis=1) & 1 == 0
        for positive in (last, ahead):
            wins[cut] += (np.cumsum(~positive, axis=1, dtype=np.int32) * positive).sum(axis=1, dtype=np.int64) / 2
    positives = truth.sum(axis=0, dtype=np.int64)
    pairs = (positives * (len(truth) - positives)).astype(np.float64)
    return np.where(pairs > 0, wins / np.maximum(pairs, 1), np.nan)


def ranked(
    truth: NDArray[np.bool_], scores: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ROC-AUC (L,) and average precision (L,) of each label, NaN where undefined.

    Tied scores count one half in the ROC-AUC (midranks, equal to the trapezoidal rule) and form one point
    of the precision-recall curve.

    Parameters
    ----------
    truth
        Which tracks have which label (n, L).
    scores
        Scores (n, L), higher is likelier.

    Raises
    ------
    ValueError
        For shapes that differ, no tracks, or scores that are not finite.

    References
    ----------
    Mann and Whitney, Ann. Math. Stat. 18 (1947); Zhu, Recall, precision and average precision (2004).

    """
    _check(truth, scores)
    n, labels = truth.shape
    auc, precision = np.full(labels, np.nan), np.full(labels, np.nan)
    place = np.arange(n)
    width = max(1, _BLOCK // n)
    for first in range(0, labels, width):
        cut = slice(first, first + width)
        row = np.ascontiguousarray(scores[:, cut].T)
        order = np.argsort(row, axis=1)[:, ::-1]
        row = np.take_along_axis(row, order, axis=1)
        hit = np.take_along_axis(np.ascontiguousarray(truth[:, cut].T), order, axis=1)
        step = row[:, 1:] != row[:, :-1]
        edge = np.ones((len(row), 1), np.bool_)
        # First and last position of the group of equal scores at each position.
        start = np.maximum.accumulate(np.where(np.hstack([edge, step]), place, 0), axis=1)
        end = np.minimum.accumulate(np.where(np.hstack([step, edge]), place, n)[:, ::-1], axis=1)[:, ::-1]
        found = np.cumsum(hit, axis=1)
        positives = found[:, -1].astype(np.float64)
        negatives = n - positives
        known = (positives > 0) & (negatives > 0)
        ranks = (hit * (n - (start + end) / 2)).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            area = (ranks - positives * (positives + 1) / 2) / (positives * negatives)
            mean = (hit * (np.take_along_axis(found, end, axis=1) / (end + 1))).sum(axis=1) / positives
        auc[cut], precision[cut] = np.where(known, area, np.nan), np.where(known, mean, np.nan)
    return auc, precision


def tag_scores(
    truth: NDArray[np.bool_], scores: NDArray[np.floating[Any]], names: Sequence[str] = ()
) -> dict[str, float]:
    """Return macro ``roc_auc`` and ``average_precision``, and those of each tag if `names` (L,) are given.

    Parameters
    ----------
    truth
        Which tracks have which tag (n, L).
    scores
        Scores (n, L), higher is likelier; only their order matters.

    Raises
    ------
    ValueError
        As `ranked`, or when no tag is defined.

    """
    auc, precision = ranked(np.asarray(truth, np.bool_), np.asarray(scores))
    return _summary({"roc_auc": auc, "average_precision": precision}, names, "tag")


def class_scores(
    truth: NDArray[np.integer[Any]], scores: NDArray[np.floating[Any]], names: Sequence[str] = ()
) -> dict[str, float]:
    """Return ``accuracy`` and macro ``precision``, ``recall``, ``f1``, ``roc_auc`` (one class against the rest).

    The predicted class has the highest score; ties go to the first class. A class that occurs but is never
    predicted has precision 0, like scikit-learn's ``zero_division=0``. A class that does not occur is
    undefined in all four.

    Parameters
    ----------
    truth
        Class of each track (n,), 0..C-1.
    scores
        Scores (n, C).
    names
        Names of the classes (C,), to return the values of each class.

    Raises
    ------
    ValueError
        As `ranked`, or for a class outside 0..C-1.

    """
    scores = np.asarray(scores)
    _check_finite(scores)
    table = confusion(truth, scores.argmax(axis=1), scores.shape[1])
    auc = roc_auc(truth[:, None] == np.arange(scores.shape[1]), scores)
    right, actual, predicted = np.diag(table).astype(np.float64), table.sum(axis=1), table.sum(axis=0)
    there = np.where(actual > 0, 1.0, np.nan)
    each = {
        "precision": there * right / np.maximum(predicted, 1),
        "recall": there * right / np.maximum(actual, 1),
        "f1": there * 2 * right / np.maximum(actual + predicted, 1),
    }
    if np.isfinite(auc).any():  # undefined if the truth has only one class
        each["roc_auc"] = auc
    return {"accuracy": float(right.sum() / len(truth)), **_summary(each, names, "class")}


def confusion(
    truth: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]], n_classes: int
) -> NDArray[np.int64]:
    """Return counts (C, C): row is the true class, column the predicted one.

    Raises
    ------
    ValueError
        For arrays of different length, empty arrays, or classes outside 0..C-1.

    """
    if np.shape(truth) != np.shape(predicted) or np.ndim(truth) != 1 or not len(truth):
        raise ValueError(f"truth {np.shape(truth)} and predicted {np.shape(predicted)} must be one class per track")
    for name, array in (("truth", truth), ("predicted", predicted)):
        if array.min() < 0 or array.max() >= n_classes:
            raise ValueError(f"{name}: classes {array.min()}..{array.max()} leave 0..{n_classes - 1}")
    cells = np.asarray(truth, np.int64) * n_classes + predicted
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes).astype(np.int64)


def value_scores(
    truth: NDArray[np.floating[Any]], prediction: NDArray[np.floating[Any]], names: Sequence[str] = ()
) -> dict[str, float]:
    """Return ``r2``, the mean over values of 1 - squared error / squared deviation from the mean.

    Parameters
    ----------
    truth, prediction
        Values (n, V).
    names
        Names of the values (V,), to return the r2 of each value.

    Raises
    ------
    ValueError
        For shapes that differ, no tracks, values that are not finite, or if all true values are constant.

    """
    truth, prediction = np.asarray(truth, np.float64), np.asarray(prediction, np.float64)
    if truth.shape != prediction.shape or truth.ndim != 2 or not len(truth):
        raise ValueError(f"truth {truth.shape} and prediction {prediction.shape} must both be (tracks, values)")
    _check_finite(truth)
    _check_finite(prediction)
    error = ((truth - prediction) ** 2).sum(axis=0)
    varies = np.ptp(truth, axis=0) > 0
    spread = np.where(varies, ((truth - truth.mean(axis=0)) ** 2).sum(axis=0), 1.0)
    return _summary({"r2": np.where(varies, 1 - error / spread, np.nan)}, names, "value")


def _summary(each: dict[str, NDArray[np.float64]], names: Sequence[str], what: str) -> dict[str, float]:
    """Return macro values, the number of undefined labels, and the values of each label by name."""
    first = next(iter(each.values()))
    if len(names) not in (0, len(first)):
        raise ValueError(f"{len(names)} names for {len(first)} {what} columns")
    if not np.isfinite(first).any():
        raise ValueError(f"no {what} is defined: each is the same for all {what} rows of the truth")
    out = {metric: float(np.nanmean(values)) for metric, values in each.items()}
    out["undefined"] = float((~np.isfinite(first)).sum())
    for metric, values in each.items():
        out |= {f"{metric}:{name}": float(v) for name, v in zip(names, values, strict=False) if np.isfinite(v)}
    return out


def _check(truth: NDArray[np.bool_], scores: NDArray[np.floating[Any]]) -> None:
    if truth.shape != scores.shape or truth.ndim != 2 or not len(truth):
        raise ValueError(f"truth {truth.shape} and scores {scores.shape} must both be (tracks, labels), and not empty")
    _check_finite(scores)


def _check_finite(values: NDArray[np.floating[Any]]) -> None:
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(f"{int(bad.sum())} of {values.size} scores are not finite, the first at [{row}, {column}]")
