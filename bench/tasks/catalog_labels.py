"""Tags, genres and keys of the tracks that are recommended.

These tasks use the music of the recommendation data. Together with the tasks on other collections they separate
the effect of another task from the effect of other music.

Conventions: the held-out tracks (`bench.holdout`) are for test; of the others, 15 % are for validation and the rest for
training. All tracks of an artist are in the same part; a track whose artist is unknown is a group by itself. A column
part of the metadata (train, valid, test) fixes the parts instead. A label needs at least `least` training tracks, one
validation track and one test track. Tags: the `top` most frequent ones; a track with other tags only stays, with
no positive label. Genres: the first one named for a track; validation takes its share of every genre; tracks of
rarer genres are left out. Keys: 24, major and minor.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.holdout import part_names
from bench.metrics.key_score import NAMES
from bench.protocols import PARTS, Dataset, TaskData
from bench.tasks import artist_split, key_names
from bench.tasks.base import KEY_CONVENTION, LabelTask, left_out

_COLUMNS = {"catalog-genre": "genre", "catalog-tags": "tags", "catalog-key": "key"}


@dataclass(frozen=True)
class SplitSettings:
    """Share of the validation part in the tracks that are not held out, and how many training tracks a label needs."""

    valid: float = 0.15
    least: int = 5

    def __post_init__(self) -> None:
        """Check the share and the minimum number of tracks."""
        if not 0 < self.valid < 1:
            raise ValueError(f"valid={self.valid:g} must be between 0 and 1")
        if self.least < 1:
            raise ValueError(f"least={self.least} must be at least 1")


@dataclass(frozen=True)
class TagSettings(SplitSettings):
    """The settings of the split, and the number of tags."""

    top: int = 50


class CatalogueTask(LabelTask):
    """A task on the labels of a dataset: from its `labels` or, if that returns None, from its `meta`."""

    Settings: ClassVar[type[Any]] = SplitSettings
    version = "2"
    of = "data"
    license = "the dataset's"
    source = "the dataset that --data names"
    layout = "none of its own"

    def prepare(self, root: Path | None) -> Path:
        """Return `root`; the task needs no files besides the dataset."""
        return root or Path()

    def labelled(self, root: Path, dataset: Dataset | None) -> tuple[pl.DataFrame, int]:
        """Return track_id, label (never null) and artist (or null), sorted by id, and the number of unlabelled tracks.

        Raises
        ------
        BenchError
            If the dataset has no such labels.

        """
        if dataset is None:
            raise BenchError(f"{self.name} needs a dataset: give --data NAME, or --listens with --meta.")
        column = _COLUMNS[self.name]
        meta = dataset.meta(root)
        found = dataset.labels(root, self.name)
        if found is None and meta is not None and column in meta.columns:
            found = meta.select("track_id", label=column)
        if found is None:
            raise BenchError(f"{self.name}: {dataset.name} has no {column} of its tracks. Give --meta with one.")
        every = len(found)
        found = found.unique("track_id", keep="first").drop_nulls("label").sort("track_id")
        if not found.height:
            raise BenchError(f"{self.name}: no track of {dataset.name} has a {column}.")
        known = [] if meta is None else [name for name in ("artist", "part") if name in meta.columns]
        if meta is not None and known:
            about = meta.select("track_id", *known).unique("track_id", keep="first")
            found = found.join(about, on="track_id", how="left", maintain_order="left")
        if "artist" not in known:
            found = found.with_columns(artist=pl.lit(None, dtype=pl.String))
        return found, every - found.height

    def split(self, found: pl.DataFrame, strata: str | None = None) -> pl.DataFrame:
        """Add the columns part and group: the test part is held out, validation a share of the other tracks.

        With `strata`, validation takes its share of each value of that column. Parts that the metadata fix stay as
        they are.

        Raises
        ------
        BenchError
            Without a hold-out, if a part would be empty, or for a part that is none of train, valid and test.

        """
        if self.hold_out is None:
            raise BenchError(f"{self.name} needs the hold-out of its dataset.")
        ids = found["track_id"]
        known = ids.to_frame().join(self.hold_out.tracks, on="track_id", how="left", maintain_order="left")
        found = found.with_columns(group=known["group"].fill_null(ids))
        if "part" in found.columns:
            return self._fixed(found)
        part = artist_split.around_held_out(
            known["held"].fill_null(False).to_list(),
            found["group"].to_list(),
            valid=self.settings.valid,
            strata=found[strata].to_list() if strata else None,
        )
        return found.with_columns(part=pl.Series(part, dtype=pl.String))

    def _fixed(self, found: pl.DataFrame) -> pl.DataFrame:
        part = part_names(found["part"])
        if (wrong := ~part.is_in(PARTS).fill_null(False)).any():
            first = found.filter(wrong).row(0, named=True)
            raise BenchError(
                f"{self.name}: the track {first['track_id']!r} has the part {first['part'] or ''!r}; expected train, "
                "valid or test. Rename a column part that says something else."
            )
        return found.with_columns(part=part)

    def data(self, items: pl.DataFrame, truth: NDArray[Any], names: list[str], counts: dict[str, int]) -> TaskData:
        """Return the `TaskData` of `items` (n rows), with a note for each non-zero count and for unknown artists."""
        notes = left_out(counts)
        if unknown := items["artist"].null_count():
            notes.append(f"the artist of {unknown:,} tracks is unknown: several parts may share an artist")
        items = items.select("track_id", "part", "artist", "group")
        return TaskData(items, truth, names, notes=notes, disjoint=("artist",))


class CatalogTags(CatalogueTask):
    """The most frequent tags of the recommended tracks."""

    Settings: ClassVar[type[Any]] = TagSettings
    name = "catalog-tags"
    kind = "tags"
    primary = "roc_auc"
    convention = "macro means over the catalogue's most frequent tags; tested on held-out artists"

    def read(self, root: Path, dataset: Dataset | None = None) -> TaskData:
        """Read tags (a list, or text separated by commas); the most frequent tag in training is the first column."""
        found, without = self.labelled(root, dataset)
        if found.schema["label"] == pl.String:
            words = pl.col("label").str.split(",").list.eval(pl.element().str.strip_chars())
            found = found.with_columns(label=words)
        found = self.split(found)
        pairs = found.select("track_id", "part", "label").with_row_index("row").explode("label")
        pairs = pairs.filter(pl.col("label") != "").unique(["row", "label"])
        frequency = pairs.filter(pl.col("part") == "train").group_by("label").len()
        names = frequency.sort(["len", "label"], descending=[True, False])["label"].head(self.settings.top).to_list()
        truth = np.zeros((found.height, len(names)), np.bool_)
        chosen = pairs.join(pl.DataFrame({"label": names}).with_row_index("column"), on="label")
        truth[chosen["row"].to_numpy(), chosen["column"].to_numpy()] = True
        good = artist_split.frequent(found["part"].to_list(), truth, self.settings.least)
        if not good.any():
            raise BenchError(f"{self.name}: no tag has {self.settings.least} training tracks and one in each part.")
        names = [name for name, well in zip(names, good.tolist(), strict=True) if well]
        counts = {"tracks without tags": without, "rare tags": int((~good).sum())}
        return self.data(found, truth[:, good], names, counts)


class CatalogGenre(CatalogueTask):
    """The genre of the recommended tracks."""

    name = "catalog-genre"
    kind = "classes"
    primary = "accuracy"
    convention = "one genre a track, the first named; tested on held-out artists"

    def read(self, root: Path, dataset: Dataset | None = None) -> TaskData:
        """Read the first genre of each track; tracks of rare genres are left out."""
        found, without = self.labelled(root, dataset)
        first = pl.col("label").str.split(",").list.first().str.strip_chars()
        found = self.split(found.with_columns(label=first).filter(pl.col("label") != ""), "label")
        names = found["label"].unique().sort()
        columns = found["label"].to_numpy()[:, None] == names.to_numpy()[None, :]
        good = artist_split.frequent(found["part"].to_list(), columns, self.settings.least)
        if good.sum() < 2:
            raise BenchError(f"{self.name}: fewer than two genres have {self.settings.least} training tracks.")
        genres = names.filter(pl.Series(good)).to_list()
        every = found.height
        found = found.filter(pl.col("label").is_in(genres))
        truth = np.searchsorted(np.asarray(genres), found["label"].to_numpy().astype(str)).astype(np.int64)
        counts = {"tracks without a genre": without, "tracks of rare genres": every - found.height}
        return self.data(found, truth, genres, counts)


class CatalogKey(CatalogueTask):
    """The key of the recommended tracks."""

    name = "catalog-key"
    kind = "keys"
    primary = "weighted"
    convention = f"{KEY_CONVENTION}; tested on held-out artists"

    def read(self, root: Path, dataset: Dataset | None = None) -> TaskData:
        """Read keys such as ``C# minor``; tracks whose label is not exactly one key are left out."""
        found, without = self.labelled(root, dataset)
        numbers = pl.Series([key_names.number(text) for text in found["label"].to_list()], dtype=pl.Int64)
        found = found.with_columns(number=numbers)
        every = found.height
        found = self.split(found.drop_nulls("number"))
        truth = found["number"].to_numpy().astype(np.int64)
        counts = {"tracks without a key": without, "tracks with no or several keys": every - found.height}
        return self.data(found, truth, list(NAMES), counts)
