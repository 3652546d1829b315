"""An MIR task as somebody outside the project would write it: a folder of clips with one label each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from bench.errors import BenchError
from bench.protocols import Dataset, TaskData
from bench.tasks import annotation_files
from bench.tasks.artist_split import by_artist
from bench.tasks.base import FolderTask


@dataclass(frozen=True)
class OwnLabelsSettings:
    """Shares of the clips that validate and test."""

    valid: float = 0.2
    test: float = 0.2

    def __post_init__(self) -> None:
        """Refuse shares that leave a part empty."""
        if min(self.valid, self.test) <= 0 or self.valid + self.test >= 1:
            raise ValueError(f"valid={self.valid} and test={self.test} must be positive and leave a training part")


class OwnLabels(FolderTask):
    """One label for each clip of your own folder."""

    Settings = OwnLabelsSettings
    name = "own-labels"
    kind = "classes"
    primary = "accuracy"
    convention = "accuracy over clips; all clips of an artist are in one part"
    license = "as your own data"
    source = "your own folder"
    layout = "labels.csv with the columns file, label and artist, and the audio files that it names"
    files = ("labels.csv",)

    def read(self, root: Path, dataset: Dataset | None = None) -> TaskData:
        """Read the table; each label's artists are divided into training, validation and test by themselves."""
        frame, table = annotation_files.table(root / "labels.csv", ["file", "label", "artist"])
        annotation_files.unique(frame, table, "file")
        unlabelled = (frame["label"].fill_null("") == "").arg_true()
        if len(unlabelled):
            raise BenchError(f"{table.place(int(unlabelled[0]))}: there is no label.")
        names, labels = frame["file"].to_list(), frame["label"].to_list()
        classes = sorted(set(labels))
        parts, artists = by_artist(
            names, frame["artist"].to_list(), valid=self.settings.valid, test=self.settings.test, strata=labels
        )
        items = pl.DataFrame(
            {"track_id": names, "part": parts, "artist": artists, "path": [str(root / name) for name in names]}
        ).with_columns(offset=annotation_files.NONE, duration=annotation_files.NONE)
        truth = np.array([classes.index(label) for label in labels], np.int64)
        return TaskData(items, truth, classes, disjoint=("artist",))

    def example(self, folder: Path) -> Path:
        """Write 36 tones of one second: low, middle or high, by twelve artists."""
        import soundfile

        rate, rng = 16_000, np.random.default_rng(0)
        folder.mkdir(parents=True, exist_ok=True)
        lines = ["file,label,artist"]
        for row in range(36):
            label, pitch = (("low", 110), ("middle", 440), ("high", 1760))[row % 3]
            wave = np.sin(2 * np.pi * pitch * rng.uniform(0.95, 1.05) * np.arange(rate) / rate)
            soundfile.write(folder / f"{row:02d}.wav", 0.3 * wave + 0.01 * rng.standard_normal(rate), rate)
            lines.append(f"{row:02d}.wav,{label},artist {row % 12}")
        (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return folder
