"""EmoMusic: arousal and valence of 45 s clips.

Conventions: both values are scaled to mean 0 and standard deviation 1 over the 619 clips of the development set;
r2 is the mean of the r2 of arousal and the r2 of valence. The evaluation set of MediaEval 2013 (125 clips) is the
test part. A clip of the development set is for validation if the SHA-1 of its artist's name (lower-case ASCII
letters, single spaces) modulo 10 is 8 or 9; the others are for training (504 / 115).

References: Soleymani et al., 1000 songs for emotional analysis of music (2013); Castellon et al. (ISMIR 2021), split.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import polars as pl

from bench.errors import BenchError
from bench.protocols import Dataset, TaskData
from bench.tasks import annotation_files
from bench.tasks.base import FolderTask

VALUES = ("arousal", "valence")


class EmoMusic(FolderTask):
    """Arousal and valence of 744 clips."""

    name = "emomusic"
    kind = "values"
    primary = "r2"
    convention = "r2 is the mean of r2:arousal and r2:valence; values scaled by the development set"
    collection = "emomusic"
    license = "annotations: CC BY-NC-SA by common report; audio: Free Music Archive, per track"
    source = "Soleymani et al., 2013; cvml.unige.ch/databases/emoMusic"
    layout = "annotations/static_annotations.csv, annotations/songs_info.csv and clips_45seconds/<song_id>.mp3"
    files = (
        "annotations/static_annotations.csv|static_annotations.csv",
        "annotations/songs_info.csv|songs_info.csv",
    )

    def read(self, root: Path, dataset: Dataset | None = None) -> TaskData:
        """Read both tables; a song without values is an error, because the released tables have none."""
        marks, opened = annotation_files.table(
            annotation_files.first(root, self.files[0]), ["song_id", "mean_arousal", "mean_valence"]
        )
        annotation_files.unique(marks, opened, "song_id")
        marks = annotation_files.numbers(marks, opened, ["mean_arousal", "mean_valence"])
        info, about = annotation_files.table(
            annotation_files.first(root, self.files[1]), ["song_id", "Artist", "Mediaeval 2013 set"]
        )
        annotation_files.unique(info, about, "song_id")
        strange = ~info["Mediaeval 2013 set"].is_in(["development", "evaluation"])
        if strange.any():
            row = int(strange.arg_true()[0])
            raise BenchError(
                f"{about.place(row)}: the set is {info['Mediaeval 2013 set'][row]!r}; expected development or "
                "evaluation."
            )
        frame = info.join(marks, on="song_id", how="left", maintain_order="left")
        if (bare := frame.filter(pl.col("mean_arousal").is_null())).height:
            raise BenchError(f"{opened.path} has no values for song {bare['song_id'][0]!r} of {about.path}.")
        test = frame["Mediaeval 2013 set"] == "evaluation"
        artists = [_normalized(name or "") for name in frame["Artist"].to_list()]
        held = pl.Series([_hash(name) >= 8 for name in artists])
        part = pl.select(pl.when(test).then(pl.lit("test")).when(held).then(pl.lit("valid")).otherwise(pl.lit("train")))
        truth = frame.select("mean_arousal", "mean_valence").to_numpy()
        known = truth[~test.to_numpy()]
        spread = known.std(axis=0) if len(known) else np.zeros(2)
        if not (spread > 0).all():
            raise BenchError(f"{opened.path}: the values of the development set do not vary.")
        folder = annotation_files.first(root, "clips_45seconds|audio|clips")
        items = pl.DataFrame({"track_id": frame["song_id"], "part": part.to_series()}).with_columns(
            path=pl.Series(
                annotation_files.audio_paths(folder, frame["song_id"].to_list(), (".mp3", ".wav")), dtype=pl.String
            ),
            offset=annotation_files.NONE,
            duration=annotation_files.NONE,
            artist=frame["Artist"],
        )
        expected = {"train": 504, "valid": 115, "test": 125}
        return TaskData(items, (truth - known.mean(axis=0)) / spread, VALUES, expected)


def _normalized(name: str) -> str:
    letters = "".join(c for c in name.lower() if c.isascii() and (c.isalpha() or c.isspace()))
    return " ".join(letters.split())


def _hash(name: str) -> int:
    return int(hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest(), 16) % 10
