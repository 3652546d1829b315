"""What tasks share: how an answer is validated and scored, and the folder of one that has its own.

Conventions: an answer is a score for each tag or class, or a value; ties are worth what chance makes of
them; a tag without positives or without negatives in the test has no AUC, so it is left out and counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.errors import BenchError
from bench.metrics.keys import key_scores
from bench.metrics.labels import class_scores, tag_scores, value_scores
from bench.protocols import Task

KEY_CONVENTION = (
    "24 keys; weighted: same 1, fifth above .5, relative .3, parallel .2 (mir_eval, MIREX since 2017); "
    "weighted_either_fifth: a fifth below counts .5, too"
)


class LabelTask(Task):
    """A task of tags, classes, keys or values: `evaluate` knows what each kind is scored by."""

    def validate(self, truth: Any, prediction: Any) -> None:
        """Refuse answers that do not fit the questions.

        Raises
        ------
        BenchError
            Numbers of rows or columns differ, there is nothing to score, or a value is not finite.

        """
        if not len(truth):
            raise BenchError(f"{self.name}: there is nothing to score.")
        prediction = np.asarray(prediction)
        if prediction.ndim != 2 or len(prediction) != len(truth):
            raise BenchError(f"{self.name}: a prediction of shape {prediction.shape} for {len(truth)} items.")
        if self.kind in ("tags", "values") and prediction.shape != np.shape(truth):
            raise BenchError(f"{self.name}: a prediction of shape {prediction.shape} for a truth {np.shape(truth)}.")
        if self.kind in ("classes", "keys") and not 0 <= int(np.min(truth)) <= int(np.max(truth)) < prediction.shape[1]:
            raise BenchError(f"{self.name}: {prediction.shape[1]} classes are scored, the truth has others.")
        if len(broken := np.flatnonzero(~np.isfinite(prediction).all(axis=1))):
            raise BenchError(f"{self.name}: the prediction of row {broken[0]} is not finite.")

    def evaluate(self, truth: Any, prediction: Any, names: Sequence[str] = ()) -> dict[str, float]:
        """Score answers by the metrics of the task's kind."""
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
    """A task in a folder that the user names with ``--root``: annotations, and audio as it was released."""

    files: ClassVar[Sequence[str]] = ()
    """What must be there; alternatives are joined by a bar."""

    def prepare(self, root: Path | None) -> Path:
        """Check that the folder holds the annotations.

        Raises
        ------
        BenchError
            No folder is given, it is none, or files are missing: it says which.

        """
        if root is None:
            raise BenchError(f"{self.name} needs --root DIR. The folder must hold: {self.layout}.")
        root = root.absolute()
        if not root.is_dir():
            raise BenchError(f"--root {root} is not a folder. {self.name} expects there: {self.layout}.")
        lacking = [name for name in self.needed() if not any((root / one).exists() for one in name.split("|"))]
        if lacking:
            raise BenchError(f"{self.name}: {root} holds no {', no '.join(lacking)}. Expected: {self.layout}.")
        return root

    def needed(self) -> Sequence[str]:
        """Return the names of files that must be there; settings may narrow them."""
        return self.files


def left_out(counts: Mapping[str, int]) -> list[str]:
    """Return one note of what was left out, by reason; none if nothing was."""
    found = [f"{count:,} {why}" for why, count in counts.items() if count]
    return ["left out: " + ", ".join(found)] if found else []
