"""Free Music Archive: the top genre of 30 s clips.

Conventions: the official splits of the subsets small (8 genres, balanced, 6,400 / 800 / 800) and medium (16
genres, unbalanced, 19,922 / 2,505 / 2,573, including small); accuracy over clips. No artist is in two parts.

Reference: Defferrard et al., FMA: a dataset for music analysis (ISMIR 2017).
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl

from bench.errors import BenchError
from bench.listening.quotes import QuoteError, cut
from bench.protocols import Dataset, TaskData
from bench.tasks import annotation_files
from bench.tasks.base import FolderTask

PART = {"training": "train", "validation": "valid", "test": "test"}
WANTED = {
    ("set", "split"): "split",
    ("set", "subset"): "subset",
    ("track", "genre_top"): "genre",
    ("artist", "id"): "artist",
}


class _FMA(FolderTask):
    """Base of the tasks on the subsets."""

    kind = "classes"
    primary = "accuracy"
    collection = "fma"
    license = "metadata: CC BY 4.0; audio: Creative Commons, per track"
    source = "github.com/mdeff/fma"
    files = ("fma_metadata/tracks.csv|tracks.csv",)
    subsets: ClassVar[tuple[str, ...]]
    sizes: ClassVar[tuple[int, int, int]]

    def read(self, root: Path, dataset: Dataset | None = None) -> TaskData:
        """Read tracks.csv: two header rows, a row with the name of the index, then one row for each track."""
        path = annotation_files.first(root, self.files[0])
        frame = _tracks(path).filter(pl.col("subset").is_in(self.subsets))
        bare = frame["genre"].is_null() | (frame["genre"] == "")
        wrong = bare | ~frame["split"].is_in(list(PART))
        if wrong.any():
            row = frame.row(int(wrong.arg_true()[0]), named=True)
            raise BenchError(
                f"{path}, track {row['track_id']}: split {row['split']!r}, top genre {row['genre']!r}; "
                f"expected {', '.join(PART)} and a genre."
            )
        if not frame.height:
            raise BenchError(f"{path} has no track of the subset {' or '.join(self.subsets)}.")
        names = sorted(frame["genre"].unique().to_list())
        truth = np.searchsorted(np.asarray(names), frame["genre"].to_numpy().astype(str)).astype(np.int64)
        number = pl.col("track_id").str.zfill(6)
        base = str(
            annotation_files.first(
                root, "|".join([*(f"fma_{one}" for one in (self.subsets[-1], "large", "full")), "."])
            )
        )
        items = frame.select(
            "track_id",
            path=pl.lit(base + "/") + number.str.slice(0, 3) + "/" + number + ".mp3",
            offset=annotation_files.NONE,
            duration=annotation_files.NONE,
            part=pl.col("split").replace(PART),
            artist="artist",
        )
        expected = dict(zip(("train", "valid", "test"), self.sizes, strict=True))
        return TaskData(items, truth, names, expected, (), ("artist",))


class FMASmall(_FMA):
    """8,000 clips of eight balanced genres."""

    name = "fma-small"
    convention = "accuracy over 8 balanced genres, official split"
    layout = "fma_metadata/tracks.csv and fma_small/000/000002.mp3 and so on"
    subsets = ("small",)
    sizes = (6_400, 800, 800)


class FMAMedium(_FMA):
    """25,000 clips of sixteen unbalanced genres."""

    name = "fma-medium"
    convention = "accuracy over 16 unbalanced genres, official split"
    layout = "fma_metadata/tracks.csv and fma_medium/000/000002.mp3 and so on"
    subsets = ("small", "medium")
    sizes = (19_922, 2_505, 2_573)


def _tracks(path: Path) -> pl.DataFrame:
    """Return the column track_id and those of `WANTED`, as text."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            top, below = next(rows, []), next(rows, [])
        columns = {at: WANTED[pair] for at, pair in enumerate(zip(top, below, strict=False)) if pair in WANTED}
        if missing := set(WANTED.values()) - set(columns.values()):
            known = {name: "/".join(pair) for pair, name in WANTED.items()}
            lacking = ", ".join(sorted(known[name] for name in missing))
            raise BenchError(f"{path}, lines 1 and 2: there is no column {lacking}.")
        rows_below = cut(path.read_bytes().split(b"\n", 3)[-1], ",", final=True)
        frame = pl.read_csv(io.BytesIO(rows_below.text), has_header=False, infer_schema=False)
        if frame.height != rows_below.rows:
            raise BenchError(f"{path} has {rows_below.rows} tracks, but the parser read {frame.height}.")
        frame = frame[:, [0, *sorted(columns)]]
    except (OSError, UnicodeDecodeError, csv.Error, pl.exceptions.PolarsError, QuoteError) as error:
        raise BenchError(f"cannot read {path}: {error}. It must be tracks.csv of the FMA as released.") from error
    frame.columns = ["track_id", *(columns[at] for at in sorted(columns))]
    wrong = ~frame["track_id"].fill_null("").str.contains(r"^\d+$")
    if wrong.any():
        row = int(wrong.arg_true()[0])
        raise BenchError(f"{path}, track {row + 1} (below 3 header lines): the id is {frame['track_id'][row]!r}.")
    return frame
