"""Datasets: tracks and who listened to them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bench.protocols.common import Plugin

if TYPE_CHECKING:
    import polars as pl


class Dataset(Plugin, ABC):
    """Tracks and listening. `root` is what `prepare` returned: the user's folder, or what the dataset built."""

    REQUIRED: ClassVar[Mapping[str, str]] = {
        **Plugin.REQUIRED,
        "default_split": '"global_temporal"',
        "default_k": "50",
    }
    license: str = ""
    source: str = ""
    layout: str = ""
    """What the folder must hold, for ``bench ls datasets``."""
    builtin: bool = False
    """Made by the project itself: its results stay off leaderboards of real data."""
    timed: bool = True
    """Whether plays have times; a log without them gives all plays one time, and is not split by time."""
    default_split: str
    default_k: int
    hold_out: float = 0.1
    """Share of the artists whose recordings are held out (`bench.holdout`) from training of our own models."""

    @abstractmethod
    def prepare(self, root: Path | None, cache: Path) -> Path:
        """Return the folder that holds the data; a built-in set, which is given no root, builds it there once.

        Raises
        ------
        BenchError
            When files are absent, naming them and the layout.

        """

    @abstractmethod
    def listens(self, root: Path) -> pl.LazyFrame:
        """User, item (text, or integers that stand for their text), time (datetime, UTC), one row a play, streamed.

        A log without times may have a fourth column, count: the row then stands for so many plays (1 or more).
        """

    @abstractmethod
    def fingerprint(self, root: Path) -> dict[str, Any]:
        """What identifies the listening data and its metadata: names and sha256."""

    def catalog(self, root: Path) -> pl.DataFrame | None:
        """track_id, path (str), offset, duration (f64, s, or null), one row a track; None: no audio."""
        return None

    def meta(self, root: Path) -> pl.DataFrame | None:
        """track_id and any of artist, album, title, description, tags, genre, key, part; None: nothing is known.

        `part` (train, valid, test) fixes the parts of tasks about these tracks.
        """
        return None

    def labels(self, root: Path, task: str) -> pl.DataFrame | None:
        """track_id and the labels of an MIR task, or None when this set has none."""
        return None

    def places(self, root: Path, first: int, last: int) -> Sequence[str]:
        """Return where some plays from second `first` to `last` stand, "FILE, line N"; empty: that is not known."""
        return ()

    def caveats(self, root: Path) -> list[str]:
        """Return what readers of the results must know: it is printed in plans, kept in records, shown by reports."""
        return []

    def notes(self, root: Path) -> list[str]:
        """Return what was left out of the log and what the folder lacks; called after `listens` was read."""
        return []
