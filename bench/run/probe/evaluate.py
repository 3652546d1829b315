"""Compute one cell of a task: fit a probe on vectors, and evaluate it on the test set beside a constant baseline."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench import treatments
from bench.errors import BenchError
from bench.metrics.key_score import key_points
from bench.probes import ProbeData, ProbeEntry, probe, subsample
from bench.protocols import PARTS, Part, RunContext, Task, TaskData
from bench.run.probe.intervals import interval, link_interval


@dataclass
class Scored:
    """Results of a cell.

    answers : a row per test item (or track) with track_id, truth and prediction
    """

    metrics: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    chance: dict[str, float] = field(default_factory=dict)
    validation: dict[str, float] = field(default_factory=dict)
    tested: int = 0
    trained: int = 0
    answers: pl.DataFrame = field(default_factory=pl.DataFrame)
    seconds: float = 0.0
    chosen: dict[str, Any] | None = None
    searched: list[dict[str, Any]] | None = None
    warnings: list[str] = field(default_factory=list)


def rounds(data: TaskData) -> list[NDArray[np.str_]]:
    """Return one array with the part of each item (N,), or one array per fold."""
    if "part" in data.items.columns:
        return [data.items["part"].to_numpy().astype(str)]
    fold = data.items["fold"].to_numpy()
    every = np.unique(fold)
    following = dict(zip(every.tolist(), np.roll(every, -1).tolist(), strict=True))
    return [
        np.where(fold == one, "test", np.where(fold == following[one], "valid", "train")).astype(str)
        for one in every.tolist()
    ]


def score(
    task: Task,
    data: TaskData,
    vectors: NDArray[np.float32],
    present: NDArray[np.bool_],
    entry: ProbeEntry,
    *,
    treat: str,
    fraction: float,
    seed: int,
    run: RunContext,
    texts: NDArray[np.float32] | None = None,
) -> Scored:
    """Fit a probe on the vectors (N, D) or (N, layers, D) of training items, and evaluate it on the test items.

    A zero-shot probe learns nothing: it compares the vectors with `texts` (L, D), the vectors of the labels.
    Treatments are fitted on the training items used. With several folds, predictions are pooled, so that each
    item has one, and validation and cost are means over folds.

    Raises
    ------
    BenchError
        When a part has no item with a vector.

    """
    started = time.monotonic()
    out = Scored()
    answers: list[_Answers] = []
    constant: list[NDArray[np.float64]] = []
    checks: list[float] = []
    notes: dict[str, None] = {}
    for parts in rounds(data):
        use: dict[Part, NDArray[np.int64]] = {name: np.flatnonzero((parts == name) & present) for name in PARTS}
        if lacking := [name for name in PARTS if not len(use[name])]:
            raise BenchError(f"{task.name}: no {' and no '.join(lacking)} item has a vector.")
        if fraction < 1:
            use["train"] = fewer(task, data, use, fraction, seed)
        fit = np.zeros(len(parts), np.bool_)
        fit[use["train"]] = True
        seen = treated(vectors, treat, fit, seed)
        found = probe(_asked(task, data, seen, use, texts), entry, seed=seed, run=run)
        answers.append(_together(data, use["test"], found.prediction))
        constant.append(_constant(task, data.truth[use["train"]], answers[-1].prediction.shape))
        checks.append(found.validation)
        out.trained += len(use["train"]) if entry.prompt is None else 0
        out.chosen, out.searched = found.settings, found.searched
        notes.update(dict.fromkeys(found.notes))
    rows = np.concatenate([each.rows for each in answers])
    prediction = np.concatenate([each.prediction for each in answers])
    truth = data.truth[rows]
    out.metrics = task.evaluate(truth, prediction, data.names)
    ignorant = task.evaluate(truth, np.concatenate(constant), ())
    out.chance = {name: ignorant[name] for name in ignorant if name != "undefined"}
    out.intervals = interval(task, truth, prediction, _groups(data)[rows], seed)
    out.validation = {task.primary: float(np.mean(checks))}
    out.trained //= len(answers)
    out.tested = len(rows)
    out.answers = _table(data, rows, truth, prediction)
    out.seconds = time.monotonic() - started
    if absent := int((~present).sum()):
        out.warnings.append(f"{absent} of {len(present)} items have no vector; they are neither learnt nor tested")
    out.warnings += notes
    return out


def linked(
    task: Task, data: TaskData, vectors: NDArray[np.float32], present: NDArray[np.bool_], *, treat: str, seed: int
) -> Scored:
    """Evaluate by the similarity of vectors (N, D) which items are linked, without pairs of missing vectors.

    There is no training, so treatments are fitted on all items with vectors.
    """
    started = time.monotonic()
    truth = data.truth[present[data.truth[:, 0]] & present[data.truth[:, 1]]]
    links = int((truth[:, 0] != truth[:, 1]).sum())
    if not links:
        raise BenchError(f"{task.name}: no pair of items has vectors.")
    seen = treated(vectors, treat, present, seed)
    out = Scored(metrics=task.evaluate(truth, seen), tested=links)
    out.intervals = link_interval(truth, seen, seed)
    # With equal scores for all pairs, precision is the share of linked pairs.
    out.chance = task.evaluate(truth, np.ones((len(vectors), 1), np.float32))
    out.answers = pl.DataFrame({"track_id": data.items["track_id"], "has_vector": present})
    out.seconds = time.monotonic() - started
    if absent := int((~present).sum()):
        out.warnings.append(f"{absent} of {len(present)} items have no vector; their pairs are not asked")
    return out


def treated(vectors: NDArray[np.float32], treat: str, fit: NDArray[np.bool_], seed: int) -> NDArray[np.float32]:
    """Apply treatments to vectors (N, D), or separately to each layer of vectors (N, layers, D)."""
    steps = treatments.parse(treat)
    if not steps:
        return vectors
    if vectors.ndim == 2:
        return treatments.apply(vectors, steps, fit=fit, seed=seed)
    layers = [treatments.apply(layer, steps, fit=fit, seed=seed) for layer in np.moveaxis(vectors, 1, 0)]
    return np.stack(layers, axis=1)


def fewer(
    task: Task, data: TaskData, use: Mapping[Part, NDArray[np.int64]], fraction: float, seed: int
) -> NDArray[np.int64]:
    """Return a subset of the training rows: stratified by class, whole tracks, and the same for all vectors."""
    # Use row numbers as vectors, so that the subset shows which rows were kept.
    numbered = np.arange(len(data.truth), dtype=np.float32)[:, None]
    return subsample(_asked(task, data, numbered, use), fraction, seed=seed).x["train"][:, 0].astype(np.int64)


@dataclass(frozen=True)
class _Answers:
    """Rows (n,) of the predicted items, and the predictions (n, ...)."""

    rows: NDArray[np.int64]
    prediction: NDArray[Any]


def _asked(
    task: Task,
    data: TaskData,
    vectors: NDArray[np.float32],
    use: Mapping[Part, NDArray[np.int64]],
    texts: NDArray[np.float32] | None = None,
) -> ProbeData:
    """Convert the data of a round into the form that probes use."""
    tracks = data.items["track"].to_numpy() if "track" in data.items.columns else None
    return ProbeData(
        kind=task.kind,  # type: ignore[arg-type]  # links are never probed
        x={part: np.ascontiguousarray(vectors[rows]) for part, rows in use.items()},
        y={part: data.truth[rows] for part, rows in use.items()},
        names=list(data.names),
        groups=None if tracks is None else {part: tracks[rows].tolist() for part, rows in use.items()},
        texts=texts,
    )


def _together(data: TaskData, rows: NDArray[np.int64], prediction: NDArray[Any]) -> _Answers:
    """Match predictions with items, or with tracks in sorted order, each represented by its first clip."""
    if "track" in data.items.columns:
        rows = rows[np.unique(_tracks(data)[rows], return_index=True)[1]]
    if len(prediction) != len(rows):
        raise BenchError(f"the probe gave {len(prediction)} answers for {len(rows)} questions.")
    return _Answers(rows, np.asarray(prediction))


def _tracks(data: TaskData) -> NDArray[np.int64]:
    return _codes(data, ("track",))


def _groups(data: TaskData) -> NDArray[np.int64]:
    return _codes(data, ("group", "track"))


def _codes(data: TaskData, columns: tuple[str, ...]) -> NDArray[np.int64]:
    """Return codes (N,) of the items' values in the first of the columns that exists; else a code per item."""
    name = next((column for column in columns if column in data.items.columns), "track_id")
    return data.items[name].rank("dense").cast(pl.Int64).to_numpy()


def _constant(task: Task, train: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return constant predictions (n, ...) that are best for the training labels: the baseline without audio."""
    row: NDArray[np.float64]
    if task.kind == "tags":
        row = np.zeros(shape[1])
    elif task.kind == "classes":
        row = np.bincount(train, minlength=shape[1]).astype(np.float64)
    elif task.kind == "keys":
        row = np.array([key_points(train, np.full_like(train, key)).sum() for key in range(24)])
    else:
        row = np.asarray(train, np.float64).mean(axis=0)
    return np.broadcast_to(row, shape)


def _table(data: TaskData, rows: NDArray[np.int64], truth: NDArray[Any], prediction: NDArray[Any]) -> pl.DataFrame:
    """Return track_id, truth and prediction (lists for several values), a row per prediction."""
    name = "track" if "track" in data.items.columns else "track_id"
    flat = prediction.astype(np.float32)
    return pl.DataFrame(
        {
            "track_id": data.items[name].gather(rows),
            "truth": pl.Series(truth.tolist()),
            "prediction": pl.Series(flat, dtype=pl.Array(pl.Float32, flat.shape[1])),
        }
    )
