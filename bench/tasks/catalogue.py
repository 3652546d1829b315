"""The recommendation catalogue's own tags, genres and keys: another task on the very music that is recommended.

Beside the tasks on other collections it tells "another task" from "other music".

Conventions: the split is by track, 70 / 15 / 15 %, artists kept together (those unknown: each track by
itself); tags are the `top` most frequent with at least `least` training tracks and one in each other part,
and a track that has none of them stays, as one without tags; a track's genre is the first one named, each
genre is shared out by itself, and those below the same bounds are left out with their tracks; keys are 24,
major and minor.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.metrics.keys import NAMES
from bench.protocols import Dataset, TaskData
from bench.tasks import keys, parts
from bench.tasks.base import KEY_CONVENTION, LabelTask, left_out

_COLUMNS = {"catalog-genre": "genre", "catalog-tags": "tags", "catalog-key": "key"}


@dataclass(frozen=True)
class SplitSettings:
    """Shares of the held-out parts, and how many training tracks a label needs."""

    valid: float = 0.15
    test: float = 0.15
    least: int = 5

    def __post_init__(self) -> None:
        """Refuse shares that leave nothing to train on."""
        if not (0 < self.valid < 1 and 0 < self.test < 1 and self.valid + self.test < 1):
            raise ValueError(f"valid={self.valid:g} and test={self.test:g} must be positive and sum to less than 1")
        if self.least < 1:
            raise ValueError(f"least={self.least} must be at least 1")


@dataclass(frozen=True)
class TagSettings(SplitSettings):
    """Also how many tags are asked for."""

    top: int = 50


class CatalogueTask(LabelTask):
    """Labels of a dataset, through its `labels`, else its `meta`."""

    Settings: ClassVar[type[Any]] = SplitSettings
    of = "data"
    license = "the dataset's"
    source = "the dataset that --data names"
    layout = "none of its own"

    def prepare(self, root: Path | None) -> Path:
        """Nothing is needed beside the dataset."""
        return root or Path()

    def labelled(self, root: Path, dataset: Dataset | None) -> tuple[pl.DataFrame, int]:
        """Return track_id, label (never null), artist (or null), sorted by id; and how many had no label.

        Raises
        ------
        BenchError
            The dataset has no such labels.

        """
        if dataset is None:
            raise BenchError(f"{self.name} is asked of a dataset: give --data NAME, or --listens with --meta.")
        column = _COLUMNS[self.name]
        meta = dataset.meta(root)
        found = dataset.labels(root, self.name)
        if found is None and meta is not None and column in meta.columns:
            found = meta.select("track_id", label=column)
        if found is None:
            raise BenchError(f"{self.name}: {dataset.name} knows no {column} of its tracks. Give --meta with one.")
        every = len(found)
        found = found.unique("track_id", keep="first").drop_nulls("label").sort("track_id")
        if not found.height:
            raise BenchError(f"{self.name}: no track of {dataset.name} has a {column}.")
        if meta is not None and "artist" in meta.columns:
            artists = meta.select("track_id", "artist").unique("track_id", keep="first")
            found = found.join(artists, on="track_id", how="left", maintain_order="left")
        else:
            found = found.with_columns(artist=pl.lit(None, dtype=pl.String))
        return found, every - found.height

    def split(self, found: pl.DataFrame, strata: str | None = None) -> pl.DataFrame:
        """Add part and group; `strata` names the column whose values are shared out one by one."""
        part, group = parts.by_artist(
            found["track_id"].to_list(),
            found["artist"].to_list(),
            valid=self.settings.valid,
            test=self.settings.test,
            strata=found[strata].to_list() if strata else None,
        )
        return found.with_columns(part=pl.Series(part, dtype=pl.String), group=pl.Series(group, dtype=pl.String))

    def data(self, items: pl.DataFrame, truth: NDArray[Any], names: list[str], counts: dict[str, int]) -> TaskData:
        """Put together what `read` returns."""
        notes = left_out(counts)
        if unknown := items["artist"].null_count():
            notes.append(f"the artist of {unknown:,} tracks is unknown: they may share one across parts")
        items = items.select("track_id", "part", "artist", "group")
        return TaskData(items, truth, names, notes=notes, disjoint=("artist",))


class CatalogTags(CatalogueTask):
    """The most frequent tags of the catalogue itself."""

    Settings: ClassVar[type[Any]] = TagSettings
    name = "catalog-tags"
    kind = "tags"
    primary = "roc_auc"
    convention = "macro means over the catalogue's most frequent tags; artists in one part alone"

    def read(self, root: Path, dataset: Dataset | None = None) -> TaskData:
        """Read tags (list or text with commas) into columns, the most frequent in training first."""
        found, without = self.labelled(root, dataset)
        if found.schema["label"] == pl.String:
            words = pl.col("label").str.split(",").list.eval(pl.element().str.strip_chars())
            found = found.with_columns(label=words)
        found = self.split(found)
        pairs = found.select("track_id", "part", "label").with_row_index("row").explode("label")
        pairs = pairs.filter(pl.col("label") != "").unique(["row", "label"])
        counts = pairs.filter(pl.col("part") == "train").group_by("label").len()
        names = counts.sort(["len", "label"], descending=[True, False])["label"].head(self.settings.top).to_list()
        truth = np.zeros((found.height, len(names)), np.bool_)
        chosen = pairs.join(pl.DataFrame({"label": names}).with_row_index("column"), on="label")
        truth[chosen["row"].to_numpy(), chosen["column"].to_numpy()] = True
        good = parts.kept(found["part"].to_list(), truth, self.settings.least)
        if not good.any():
            raise BenchError(f"{self.name}: no tag has {self.settings.least} training tracks and one in each part.")
        kept = [name for name, well in zip(names, good.tolist(), strict=True) if well]
        return self.data(found, truth[:, good], kept, {"tracks without tags": without, "rare tags": int((~good).sum())})


class CatalogGenre(CatalogueTask):
    """The genre of the catalogue's own tracks."""

    name = "catalog-genre"
    kind = "classes"
    primary = "accuracy"
    convention = "one genre a track, the first named; artists in one part alone"

    def read(self, root: Path, dataset: Dataset | None = None) -> TaskData:
        """Read genres; those too rare to be learnt and tested are left out with their tracks."""
        found, without = self.labelled(root, dataset)
        first = pl.col("label").str.split(",").list.first().str.strip_chars()
        found = self.split(found.with_columns(label=first).filter(pl.col("label") != ""), "label")
        names = found["label"].unique().sort()
        columns = found["label"].to_numpy()[:, None] == names.to_numpy()[None, :]
        good = parts.kept(found["part"].to_list(), columns, self.settings.least)
        if good.sum() < 2:
            raise BenchError(f"{self.name}: fewer than two genres have {self.settings.least} training tracks.")
        kept = names.filter(pl.Series(good)).to_list()
        rare = found.height
        found = found.filter(pl.col("label").is_in(kept))
        truth = np.searchsorted(np.asarray(kept), found["label"].to_numpy().astype(str)).astype(np.int64)
        counts = {"tracks without a genre": without, "tracks of rare genres": rare - found.height}
        return self.data(found, truth, kept, counts)


class CatalogKey(CatalogueTask):
    """The key of the catalogue's own tracks."""

    name = "catalog-key"
    kind = "keys"
    primary = "weighted"
    convention = f"{KEY_CONVENTION}; artists in one part alone"

    def read(self, root: Path, dataset: Dataset | None = None) -> TaskData:
        """Read keys such as ``C# minor``; what names no single key is left out."""
        found, without = self.labelled(root, dataset)
        numbers = pl.Series([keys.number(text) for text in found["label"].to_list()], dtype=pl.Int64)
        found = found.with_columns(number=numbers)
        every = found.height
        found = self.split(found.drop_nulls("number"))
        truth = found["number"].to_numpy().astype(np.int64)
        counts = {"tracks without a key": without, "of no single key": every - found.height}
        return self.data(found, truth, list(NAMES), counts)
