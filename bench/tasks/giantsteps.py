"""GiantSteps: the key of electronic dance music.

Conventions: training and validation use the tracks of MTG-keys with a single key of confidence 2; the test part is
the 604 tracks of GiantSteps-key. An artist is for validation if the SHA-1 of the lower-case name modulo 116 is 100
or more, or if a track credits the artist together with a validation artist (this rule is applied twice). All other
artists are for training (923 / 236 tracks). A track is cut into clips of 30 s, and a shorter rest is dropped; a
rule chosen on validation joins the predictions of the clips, and the score is over tracks. Weighted score: same
key 1, fifth above .5, relative .3, parallel .2, as mir_eval and MIREX since 2017. A second score also counts a
fifth below as .5.

References: Knees et al., Two data sets for tempo estimation and key detection in EDM (ISMIR 2015); Faraldo,
Tonality estimation in EDM (2018); Korzeniowski and Widmer (2018); Castellon et al. (ISMIR 2021), split.
"""

from __future__ import annotations

import hashlib
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl

from bench.audio.decode import probe
from bench.errors import BenchError, TrackError
from bench.metrics.key_score import NAMES
from bench.protocols import Dataset, TaskData
from bench.tasks import annotation_files, key_names
from bench.tasks.base import KEY_CONVENTION, FolderTask, left_out

TEST, TRAIN = "giantsteps-key-dataset|key|test", "giantsteps-mtg-key-dataset|mtg-key|train"


@dataclass(frozen=True)
class ClipSettings:
    """The length of the clips in seconds."""

    seconds: float = 30.0

    def __post_init__(self) -> None:
        """Check that the length is positive and finite."""
        if not (self.seconds > 0 and math.isfinite(self.seconds)):
            raise ValueError(f"seconds={self.seconds:g} must be positive")


class GiantSteps(FolderTask):
    """24 keys of dance tracks: trained on MTG-keys, tested on GiantSteps."""

    Settings: ClassVar[type[Any]] = ClipSettings
    name = "giantsteps"
    kind = "keys"
    primary = "weighted"
    convention = f"score over tracks, from 30 s clips; {KEY_CONVENTION}"
    collection = "giantsteps"
    license = "none stated in the repositories; CC BY-SA 4.0 for the GiantSteps+ edition"
    source = "github.com/GiantSteps/giantsteps-key-dataset and giantsteps-mtg-key-dataset"
    layout = (
        "giantsteps-key-dataset/ and giantsteps-mtg-key-dataset/ as their repositories are (annotations/), "
        "with audio/<id>.LOFI.mp3 in each"
    )
    files = (TEST, TRAIN)

    def read(self, root: Path, dataset: Dataset | None = None) -> TaskData:
        """Read both repositories, and the duration of each audio file."""
        test = _test(annotation_files.first(root, TEST) / "annotations" / "key")
        train, counts = _train(annotation_files.first(root, TRAIN) / "annotations")
        tracks = pl.concat([train, test], how="diagonal")
        if (twice := tracks.filter(pl.col("track").is_duplicated())).height:
            raise BenchError(f"{root}: track {twice['track'][0]!r} is in both the training and the test set.")
        paths: dict[str, str] = {}
        for names, frame in ((TEST, test), (TRAIN, train)):
            folder = annotation_files.first(root, names)
            base = folder / "audio" if (folder / "audio").is_dir() else folder
            stems = [f"{track}.LOFI" for track in frame["track"].to_list()]
            found = annotation_files.audio_paths(base, stems, (".mp3", ".wav", ".ogg", ".flac"))
            paths.update(zip(frame["track"].to_list(), found, strict=True))
        tracks = tracks.with_columns(path=pl.col("track").replace_strict(paths, return_dtype=pl.String))
        return self._clips(tracks, counts)

    def _clips(self, tracks: pl.DataFrame, counts: dict[str, int]) -> TaskData:
        """Cut each track into clips; an absent or unreadable file gets one clip, which fails in the extraction."""
        seconds = self.settings.seconds
        with ThreadPoolExecutor(8) as pool:
            lengths = list(pool.map(_seconds, tracks["path"].to_list()))
        short = sum(length is not None and length < seconds for length in lengths)
        clips = [max(1, int((length or 0.0) // seconds)) for length in lengths]
        items = tracks.with_columns(clip=pl.Series([list(range(n)) for n in clips], dtype=pl.List(pl.Int64)))
        items = items.explode("clip").with_columns(
            track_id=pl.format("{}-{}", "track", "clip"),
            offset=pl.col("clip") * pl.lit(seconds),
            duration=pl.lit(seconds),
        )
        truth = items["key"].to_numpy().astype(np.int64)
        notes = left_out(counts) + ([f"{short} tracks are shorter than one clip"] if short else [])
        items = items.select("track_id", "path", "offset", "duration", "part", "artist", "track")
        return TaskData(items, truth, NAMES, {"train": 923, "valid": 236, "test": 604}, notes, ())


def _test(folder: Path) -> pl.DataFrame:
    """Return track, part and key of the test tracks; each has one file with text such as ``C minor``."""
    paths = sorted(folder.glob("*.LOFI.key")) if folder.is_dir() else []
    if not paths:
        raise BenchError(f"{folder} has no <id>.LOFI.key files: they are the labels of the test.")
    found = []
    for path in paths:
        text = path.read_text(encoding="utf-8").strip()
        if (number := key_names.number(text)) is None:
            raise BenchError(f"{path}, line 1: {text!r} is no key; expected for example 'C minor'.")
        found.append((path.name.removesuffix(".LOFI.key"), "test", number))
    return pl.DataFrame(found, schema={"track": pl.String, "part": pl.String, "key": pl.Int64}, orient="row")


def _train(folder: Path) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return track, part, key and artist for training and validation, and how many tracks were left out and why."""
    frame, opened = annotation_files.table(folder / "annotations.txt", ["ID", "MANUAL KEY", "C"])
    annotation_files.unique(frame, opened, "ID")
    strange = ~frame["C"].is_in(["0", "1", "2"])
    if strange.any():
        row = int(strange.arg_true()[0])
        raise BenchError(f"{opened.place(row)}: the confidence C is {frame['C'][row]!r}; expected 0, 1 or 2.")
    about, _ = annotation_files.table(folder / "beatport_metadata.txt", ["ID", "ARTIST"])
    part = split_artists(about["ARTIST"].fill_null("").to_list())
    about = about.with_columns(part=pl.Series(part, dtype=pl.String)).unique("ID", keep="first")
    frame = frame.join(about, on="ID", how="left", maintain_order="left")
    number = pl.Series([key_names.number(text or "") for text in frame["MANUAL KEY"].to_list()], dtype=pl.Int64)
    frame = frame.with_columns(key=number)
    sure = frame.filter(pl.col("C") == "2")
    plain = sure.drop_nulls("key")
    if unknown := plain.filter(pl.col("part").is_null()).height:
        raise BenchError(
            f"{folder / 'beatport_metadata.txt'} lacks {unknown} of the tracks in annotations.txt: "
            "their artists decide the split."
        )
    counts = {
        "training tracks of low confidence": frame.height - sure.height,
        "without a single plain key": sure.height - plain.height,
    }
    return plain.select(track="ID", part="part", key="key", artist="ARTIST"), counts


def split_artists(credited: list[str]) -> list[str]:
    """Return train or valid for each credit (names separated by commas); see the conventions of this module."""
    names = [[name.strip() for name in credit.strip().split(",")] for credit in credited]
    valid = {name for several in names for name in several if _hash(name) >= 100}
    for _ in range(2):
        for several in names:
            if valid.intersection(several):
                valid.update(several)
    return ["valid" if valid.intersection(several) else "train" for several in names]


def _hash(name: str) -> int:
    return int(hashlib.sha1(name.lower().encode(), usedforsecurity=False).hexdigest(), 16) % 116


def _seconds(path: str) -> float | None:
    try:
        return probe(path).seconds
    except TrackError:
        return None
