"""GTZAN: ten genres of 30 s clips.

Conventions: `gtzan` is the fault-filtered split (443 / 197 / 290), without repeated, mislabelled and distorted
clips; no artist is in two parts. `gtzan-10fold` is ten random folds of all clips, stratified by genre with a seeded
shuffle; each fold is the test part once, and the next fold is for validation. Folds share artists and repeated
recordings, so the accuracy is about ten points higher and cannot be compared with `gtzan`. Accuracy over clips.

References: Tzanetakis and Cook (2002); Sturm, The GTZAN dataset (2013); Kereliuk, Sturm and Larsen (2015), the
lists of the fault-filtered split.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import polars as pl

from bench.errors import BenchError
from bench.protocols import PARTS, Dataset, TaskData
from bench.tasks import annotation_files
from bench.tasks.base import FolderTask

GENRES: Final = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
FOLDERS: Final = "genres|genres_original|Data/genres_original|."
ENDINGS: Final = (".wav", ".au", ".mp3")


class GTZAN(FolderTask):
    """Ten genres, fault-filtered split without shared artists."""

    name = "gtzan"
    kind = "classes"
    primary = "accuracy"
    convention = "accuracy on the fault-filtered, artist-disjoint split"
    collection = "gtzan"
    license = "none stated; lists: MIT (Jongpil Lee)"
    source = "Tzanetakis and Cook, 2002; split: Kereliuk, Sturm and Larsen, 2015"
    layout = "genres/<genre>/<genre>.000NN.wav or .au (or genres_original/, or the genre folders themselves)"
    files = ("genres|genres_original|Data/genres_original|blues",)
    annotated = True
    expected: ClassVar[dict[str, int]] = {"train": 443, "valid": 197, "test": 290}

    def read(self, root: Path, dataset: Dataset | None = None) -> TaskData:
        """Read the split lists, which come with this package."""
        lists = {part: annotation_files.lines(annotation_files.LISTS / f"gtzan_{part}.txt") for part in PARTS}
        rows = [(line.removesuffix(".wav"), part) for part, found in lists.items() for _, line in found]
        return _data(root, [stem for stem, _ in rows], {"part": [part for _, part in rows]}, self.expected)


@dataclass(frozen=True)
class FoldSettings:
    """The number of folds, and the seed that assigns clips to them."""

    folds: int = 10
    shuffle: int = 0

    def __post_init__(self) -> None:
        """Check that there are folds for training, validation and test."""
        if self.folds < 3:
            raise ValueError(f"folds={self.folds} must be at least 3: training, validation, test")


class GTZANFolds(FolderTask):
    """Ten genres, ten random folds of all 1,000 clips."""

    Settings: ClassVar[type[Any]] = FoldSettings
    name = "gtzan-10fold"
    kind = "classes"
    primary = "accuracy"
    convention = "accuracy over ten random folds: artists and repetitions are shared; not comparable with gtzan"
    collection = GTZAN.collection
    license = GTZAN.license
    source = "Tzanetakis and Cook, 2002"
    layout = GTZAN.layout
    files = GTZAN.files
    annotated = True

    def read(self, root: Path, dataset: Dataset | None = None) -> TaskData:
        """Assign the 100 clips of each genre to folds."""
        rng = np.random.default_rng(self.settings.shuffle)
        stems = [f"{genre}/{genre}.{number:05d}" for genre in GENRES for number in range(100)]
        fold = np.concatenate([rng.permutation(np.arange(100) % self.settings.folds) for _ in GENRES])
        official = {str(k): int((fold == k).sum()) for k in range(self.settings.folds)}
        return _data(root, stems, {"fold": fold.tolist()}, official)


def _data(root: Path, stems: list[str], split: dict[str, list[Any]], expected: dict[str, int]) -> TaskData:
    folder = next((root / name for name in FOLDERS.split("|") if (root / name / "blues").is_dir()), root)
    if folder == root and root.is_dir() and not (root / "blues").is_dir():
        raise BenchError(f"{root} has no folder blues with clips (looked in {FOLDERS.replace('|', ', ')}).")
    items = pl.DataFrame({"track_id": [stem.rpartition("/")[2] for stem in stems]} | split).with_columns(
        path=pl.Series(annotation_files.audio_paths(folder, stems, ENDINGS), dtype=pl.String),
        offset=annotation_files.NONE,
        duration=annotation_files.NONE,
    )
    truth = np.array([GENRES.index(stem.partition("/")[0]) for stem in stems], np.int64)
    return TaskData(items, truth, GENRES, expected)
