"""MIR tasks: audio with a truth, an official split, and how answers are scored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bench.protocols.common import Plugin

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from bench.protocols.dataset import Dataset
    from bench.protocols.recordings import HoldOut

TaskKind = Literal["tags", "classes", "keys", "values", "links"]


@dataclass(frozen=True, eq=False)
class TaskData:
    """What an MIR task asks of which audio, read once from its annotations.

    items : track_id (unique), path, offset, duration (f64, s, or null; a task of a dataset leaves out these
        three: its catalogue has them), and `part` (train, valid, test), or `fold` (int: each fold is the test
        once, the next one validation, and the answers are scored together); where known also `artist`;
        `track`, if the items are clips whose answers together are that of a track; and `group`, rows that
        the bootstrap draws together (clips of a song)
    truth : a row an item: tags (N, L) bool, classes and keys (N,) int64 (keys: 0-11 major from C, 12-23
        minor), values (N, V) float64; for links the pairs that are joined (E, 3) int64: two item rows, and
        which set of rows they belong to; a row paired with itself only belongs to the set
    names : of the L tags, the classes, or the V values
    expected : the sizes of the official parts, where there are any
    notes : what was left out, in words for the plan and the record
    disjoint : columns of `items` of which no value may stand in two parts
    """

    items: pl.DataFrame
    truth: NDArray[Any]
    names: Sequence[str]
    expected: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
    disjoint: Sequence[str] = ()


class Task(Plugin, ABC):
    """One MIR task: audio with a truth and an official split, and how answers are scored.

    A task reads annotations and names files; the harness hashes, embeds and trains probes.
    """

    REQUIRED: ClassVar[Mapping[str, str]] = {**Plugin.REQUIRED, "kind": '"tags"', "primary": '"roc_auc"'}
    kind: TaskKind
    of: Literal["folder", "data"] = "folder"
    """Asked of a folder of its own (``--root``), or of the tracks of a dataset (``--data``)."""
    primary: str
    """The metric that probes are chosen by on validation, and tables are led by."""
    convention: str = ""
    """What a reader of its numbers must know: stands in the record and under tables."""
    collection: str = ""
    """Whose recordings it tests on: an extractor trained on them is refused. Empty: the dataset's."""
    license: str = ""
    source: str = ""
    annotated: bool = False
    """Whether its annotations come with the package: without extractors of audio it needs no folder."""
    layout: str = ""
    """What the folder must hold, for ``bench ls tasks``."""
    hold_out: HoldOut | None = None
    """The held-out recordings of the dataset; the harness sets it before `read`, for tasks `of` data. Only they are
    tested on: models of ours may have been trained on all others."""

    @abstractmethod
    def prepare(self, root: Path | None) -> Path:
        """Return the folder with the annotations; raise BenchError naming what is absent and the layout."""

    @abstractmethod
    def read(self, root: Path, dataset: Dataset | None = None) -> TaskData:
        """Read items, truth and split; `dataset` (prepared, in `root`) for a task `of` data.

        A file that is not as expected is a BenchError with file and line. Audio that is absent is none:
        the harness lists and counts it.
        """

    @abstractmethod
    def evaluate(self, truth: Any, prediction: Any, names: Sequence[str] = ()) -> dict[str, float]:
        """Metrics by name, after validating both arguments; what is undefined is left out, never NaN.

        `prediction` is a score for each tag (n, L) or class (n, C), or values (n, V), or for links the
        vectors (n, D) of the rows that `truth` pairs.
        """

    def example(self, folder: Path) -> Path | None:
        """Write a small made-up copy of the data into `folder` and return it; None (the default): there is none.

        ``bench check`` runs on it.
        """
        return None

    @property
    def ceiling_name(self) -> str | None:
        """What tables call `ceiling`; None (the default) where there is none or it cannot be computed here."""
        return None

    def ceiling(self, data: TaskData, *, seed: int) -> NDArray[np.float32]:
        """Return vectors (N, D) that know the truth, a bound for those of extractors; asked with `ceiling_name`."""
        raise NotImplementedError
