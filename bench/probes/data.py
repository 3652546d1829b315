"""The input and the output of a probe; the input is checked before the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

Kind = Literal["tags", "classes", "keys", "values"]
Part = Literal["train", "valid", "test"]
KINDS: tuple[Kind, ...] = ("tags", "classes", "keys", "values")
PARTS: tuple[Part, ...] = ("train", "valid", "test")


@dataclass(frozen=True, eq=False)
class ProbeData:
    """Vectors and labels of one task, with the rows in the order of the task.

    kind : the kind of the labels
    x : vectors (n, D) float32 of each part, or (n, layers, D) for a learned mixture of layers
    y : labels of each part: tags (n, L) bool; classes (n,) 0..C-1; keys (n,) 0..23; values (n, V) float
    names : names of the tags, classes or values (for keys: `bench.metrics.key_score.NAMES`)
    groups : the track of each clip (n,) of each part, for tasks scored by track; valid and test are required
    texts : unit vectors (L, D) of the names, for the probe that compares vectors with texts
    """

    kind: Kind
    x: Mapping[Part, NDArray[np.float32]]
    y: Mapping[Part, NDArray[Any]]
    names: Sequence[str]
    groups: Mapping[Part, Sequence[str]] | None = None
    texts: NDArray[np.float32] | None = None

    def tracks(self, part: Part) -> tuple[list[str], NDArray[np.int64]] | None:
        """Return the sorted track names of a part, and the index of each clip's track; None without groups."""
        if self.groups is None:
            return None
        names, of = np.unique(np.asarray(self.groups[part]), return_inverse=True)
        return [str(name) for name in names], of.astype(np.int64)

    def truth(self, part: Part) -> NDArray[Any]:
        """Return the labels of a prediction's rows, which are tracks if there are groups, otherwise clips."""
        tracks = self.tracks(part)
        if tracks is None:
            return np.asarray(self.y[part])
        return np.asarray(self.y[part])[np.unique(tracks[1], return_index=True)[1]]

    def check(self) -> list[str]:
        """Check the vectors and labels; return a note on labels that are absent from train or constant in it.

        Raises
        ------
        BenchError
            If the vectors of a part are absent, not finite, of different widths or all equal; if labels have the
            wrong kind, shape or range; or if the clips of a track have different labels.

        """
        if self.kind not in KINDS:
            raise BenchError(f"probe: there are no labels of kind {self.kind!r}. Known: {', '.join(KINDS)}.")
        for part in PARTS:
            if part not in self.x or part not in self.y or not len(self.x[part]):
                raise BenchError(f"probe: the {part} part is empty. Check the task's split and the table's coverage.")
            _check_vectors(part, self.x[part], self.x["train"].shape[1:])
            _check_labels(self, part)
        train = self.x["train"]
        if not np.ptp(train, axis=0).any():
            raise BenchError(
                f"probe: all {len(train)} training vectors are equal, so a probe cannot learn from them. "
                "Check the extractor's table."
            )
        return _absent(self)


@dataclass(frozen=True, eq=False)
class Outcome:
    """The test prediction of a fitted probe, and how the probe was chosen.

    prediction : scores of test tags (n, L) or classes and keys (n, C), or values (n, V); n counts clips,
        or tracks (sorted by name) where the data has groups: the rows of ``data.truth("test")``
    validation : the primary metric of the kind on the validation part (see `Objective.primary`)
    settings : settings of the chosen probe; ``clips`` is the rule that joins the clips of a track
    seconds : wall-clock time of the search
    searched : settings and validation value of every candidate
    notes : sentences for the record, such as classes that are absent from training
    """

    prediction: NDArray[np.float32]
    validation: float
    settings: dict[str, Any]
    seconds: float
    searched: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)


def _check_vectors(part: Part, x: NDArray[np.float32], shape: tuple[int, ...]) -> None:
    if x.ndim not in (2, 3) or x.shape[1:] != shape:
        raise BenchError(f"probe: the {part} vectors have shape {x.shape}, the train vectors (n, {shape}).")
    bad = ~np.isfinite(x).reshape(len(x), -1).all(axis=1)
    if bad.any():
        raise BenchError(
            f"probe: {int(bad.sum())} of {len(x)} {part} vectors hold NaN or infinity, the first in row "
            f"{int(bad.argmax())}. Extract them again, or leave these tracks out."
        )


def _check_labels(data: ProbeData, part: Part) -> None:
    x, y = data.x[part], np.asarray(data.y[part])
    wide = data.kind in ("tags", "values")
    if y.shape != ((len(x), len(data.names)) if wide else (len(x),)):
        raise BenchError(
            f"probe: {len(x)} {part} vectors and {len(data.names)} names do not match labels of shape {y.shape}."
        )
    if data.kind == "tags" and y.dtype != np.bool_:
        raise BenchError(f"probe: tags must be bool, the {part} labels are {y.dtype}.")
    if data.kind == "values" and not np.isfinite(y).all():
        raise BenchError(f"probe: {int((~np.isfinite(y)).sum())} {part} values are not finite. Leave these tracks out.")
    if data.kind in ("classes", "keys"):
        most = 24 if data.kind == "keys" else len(data.names)
        if not np.issubdtype(y.dtype, np.integer) or y.min() < 0 or y.max() >= most:
            raise BenchError(f"probe: the {part} {data.kind} must be whole numbers 0..{most - 1}.")
    if part != "train" and wide and not np.ptp(y.astype(np.float64), axis=0).any():
        raise BenchError(
            f"probe: the {data.kind} of the {len(y)} {part} rows do not vary, so no metric is defined. "
            "Check the task's split."
        )
    if data.groups is not None and part in data.groups:
        tracks = data.tracks(part)
        assert tracks is not None
        if len(tracks[1]) != len(y):
            raise BenchError(f"probe: {len(tracks[1])} track names for {len(y)} {part} clips.")
        different = (data.truth(part)[tracks[1]] != y).reshape(len(y), -1).any(axis=1)
        if different.any():
            name = tracks[0][int(tracks[1][different.argmax()])]
            raise BenchError(f"probe: the {part} clips of track {name!r} have different labels.")
    elif data.groups is not None and part != "train":
        raise BenchError(f"probe: the {part} part needs the track of each clip, because the task is scored by track.")


def _absent(data: ProbeData) -> list[str]:
    """Return one note with the labels that are absent from train (values: constant in it); [] if there are none."""
    y = np.asarray(data.y["train"])
    if data.kind == "values":
        flat = np.ptp(y, axis=0) == 0
        if flat.all():
            raise BenchError("probe: no value varies in train, so a probe cannot learn it.")
        named, what = [name for name, same in zip(data.names, flat, strict=True) if same], "never vary in train"
    elif data.kind == "tags":
        count = y.sum(axis=0)
        if not ((count > 0) & (count < len(y))).any():
            raise BenchError("probe: every tag is on all training tracks or on none, so a probe cannot learn it.")
        named, what = [name for name, n in zip(data.names, count, strict=True) if n == 0], "are absent from train"
    else:
        seen = np.bincount(y, minlength=24 if data.kind == "keys" else len(data.names)) > 0
        if seen.sum() < 2:
            raise BenchError("probe: all training tracks are of one class, so a probe cannot learn.")
        named, what = [name for name, there in zip(data.names, seen, strict=True) if not there], "are absent from train"
    return [f"{len(named)} of {len(data.names)} {data.kind} {what}: {', '.join(named)}"] if named else []
