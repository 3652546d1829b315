"""Base classes of tasks: validation and scoring of predictions, and tasks that read their data from a folder.

Conventions: a prediction is a score for each tag or class, or a value. Tied scores count as their expected value
in random order. A tag without positives or without negatives in the test part has no AUC: it is left out of the
mean, and the number of such tags is reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.errors import BenchError
from bench.metrics.classification import class_scores, tag_scores, value_scores
from bench.metrics.key_score import key_scores
from bench.protocols import Task

KEY_CONVENTION = (
    "24 keys; weighted: same 1, fifth above .5, relative .3, parallel .2 (mir_eval, MIREX since 2017); "
    "weighted_either_fifth: a fifth below counts .5, too"
)


class LabelTask(Task):
    """A task with labels: tags, classes, keys or values. The kind determines the metrics of `evaluate`."""

    def validate(self, truth: Any, prediction: Any) -> None:
        """Check that predictions match the labels.

        Raises
        ------
        BenchError
            If there are no labels, the shapes differ, or a prediction is not finite.

        """
        if not len(truth):
            raise BenchError(f"{self.name}: there is nothing to score.")
        prediction = np.asarray(prediction)
        if prediction.ndim != 2 or len(prediction) != len(truth):
            raise BenchError(f"{self.name}: the prediction has shape {prediction.shape} for {len(truth)} items.")
        if self.kind in ("tags", "values") and prediction.shape != np.shape(truth):
            raise BenchError(f"{self.name}: the prediction has shape {prediction.shape}, the labels {np.shape(truth)}.")
        if self.kind in ("classes", "keys") and not 0 <= int(np.min(truth)) <= int(np.max(truth)) < prediction.shape[1]:
            raise BenchError(f"{self.name}: the prediction has {prediction.shape[1]} classes; the labels have more.")
        if len(broken := np.flatnonzero(~np.isfinite(prediction).all(axis=1))):
            raise BenchError(f"{self.name}: the prediction of row {broken[0]} is not finite.")

    def evaluate(self, truth: Any, prediction: Any, names: Sequence[str] = ()) -> dict[str, float]:
        """Return the metrics of the task's kind, by name, for predictions (n, columns)."""
        self.validate(truth, prediction)
        truth, prediction = np.asarray(truth), np.asarray(prediction)
        if self.kind == "tags":
            return tag_scores(truth, prediction, names)
        if self.kind == "classes":
            return class_scores(truth, prediction, names)
        if self.kind == "values":
            return value_scores(truth, prediction, names)
        found = prediction.argmax(axis=1)
        either = key_scores(truth, found, "either_fifth")["weighted"]
        return key_scores(truth, found) | {"weighted_either_fifth": either}


class FolderTask(LabelTask):
    """A task that reads released annotations and audio from the folder given with ``--root``."""

    files: ClassVar[Sequence[str]] = ()
    """Required files and folders; ``A|B`` means that one of the two suffices."""

    def prepare(self, root: Path | None) -> Path:
        """Check that the folder holds the annotations.

        Raises
        ------
        BenchError
            If no folder is given, it is not a folder, or it lacks required files.

        """
        if root is None:
            raise BenchError(f"{self.name} needs --root DIR. The folder must hold: {self.layout}.")
        root = root.absolute()
        if not root.is_dir():
            raise BenchError(f"--root {root} is not a folder. {self.name} expects there: {self.layout}.")
        lacking = [name for name in self.needed() if not any((root / one).exists() for one in name.split("|"))]
        if lacking:
            raise BenchError(f"{self.name}: {root} has no {', no '.join(lacking)}. Expected: {self.layout}.")
        return root

    def needed(self) -> Sequence[str]:
        """Return the required files; they may depend on the settings."""
        return self.files


def left_out(counts: Mapping[str, int]) -> list[str]:
    """Return one note with the number of items left out for each reason; an empty list if all are 0."""
    found = [f"{count:,} {why}" for why, count in counts.items() if count]
    return ["left out: " + ", ".join(found)] if found else []
