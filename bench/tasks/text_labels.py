"""Text labels: predict the words in the metadata of a track.

Conventions: the labels are the lower-case words of title, description, tags and genre, and sequences of two and
three words within a field. A label needs at least `least` training tracks, `least` test tracks and one validation
track; of these labels, the `top` most frequent ones in training are used. Unweighted mean of ROC-AUC. The parts are
those of `bench.tasks.catalog_labels`. Huang et al. train the network on 100,000 such labels; here a probe learns them
from frozen vectors.

Reference: Huang et al. (ICASSP 2020), section 4.2: labels with ten test occurrences, about 2,000.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl

from bench.errors import BenchError
from bench.listening.phrases import phrases
from bench.protocols import Dataset, TaskData
from bench.tasks.catalog_labels import CatalogueTask, SplitSettings

FIELDS = ("title", "description", "tags", "genre")


@dataclass(frozen=True)
class TextSettings(SplitSettings):
    """The settings of the split, the maximum length of a sequence in words, and the maximum number of labels."""

    least: int = 10
    words: int = 3
    top: int = 2000

    def __post_init__(self) -> None:
        """Check that both limits are positive."""
        super().__post_init__()
        if min(self.words, self.top) < 1:
            raise ValueError("words and top must be at least 1")


class TextLabels(CatalogueTask):
    """Words and phrases in the titles, descriptions, tags and genres of the recommended tracks."""

    Settings: ClassVar[type[Any]] = TextSettings
    name = "text-labels"
    kind = "tags"
    primary = "roc_auc"
    convention = "unweighted mean over words and phrases with enough test tracks; tested on held-out artists"

    def read(self, root: Path, dataset: Dataset | None = None) -> TaskData:
        """Read the metadata, and build the labels from its words.

        Raises
        ------
        BenchError
            If the dataset has no text, or no label is frequent enough.

        """
        meta = None if dataset is None else dataset.meta(root)
        fields = [] if meta is None else [name for name in FIELDS if name in meta.columns]
        if meta is None or not fields:
            raise BenchError(f"{self.name} needs a dataset with {', '.join(FIELDS)}: give --data, or --meta.")
        if "artist" not in meta.columns:
            meta = meta.with_columns(artist=pl.lit(None, dtype=pl.String))
        meta = meta.unique("track_id", keep="first").sort("track_id")
        fixed = ["part"] if "part" in meta.columns else []
        frame = self.split(meta.select("track_id", "artist", *fixed, *fields))
        pairs = pl.concat([phrases(frame, name, self.settings.words) for name in fields]).unique()
        pairs = pairs.join(frame.select("part").with_row_index("row"), on="row")
        counts = pairs.group_by("label").agg(
            *(pl.col("part").eq(part).sum().alias(part) for part in ("train", "valid", "test"))
        )
        enough = (pl.min_horizontal("train", "test") >= self.settings.least) & (pl.col("valid") > 0)
        # A label of every test track has no negatives.
        enough &= pl.col("test") < frame.filter(pl.col("part") == "test").height
        counts = counts.filter(enough).sort(["train", "label"], descending=[True, False]).head(self.settings.top)
        names = counts["label"].to_list()
        if not names:
            raise BenchError(f"{self.name}: no word has {self.settings.least} tracks in both training and test.")
        truth = np.zeros((frame.height, len(names)), np.bool_)
        chosen = pairs.join(counts.select("label").with_row_index("column"), on="label")
        truth[chosen["row"].to_numpy(), chosen["column"].to_numpy()] = True
        return self.data(frame, truth, names, {})
