"""MagnaTagATune: tags of 30 s clips.

Conventions: the 50 most frequent tags; near-synonyms stay separate tags. Folders 0 to b are for training, c for
validation, d to f for the test, so no album is in two parts. Three clips with empty files are left out.
`magnatagatune` includes the clips that have none of the 50 tags (18,706 / 1,825 / 5,329),
`magnatagatune-filtered` leaves them out (15,244 / 1,529 / 4,332): results of the two cannot be compared. Metrics are
macro means. The bootstrap resamples songs, because the test part may hold several clips of a song.

References: Law et al., Evaluation of algorithms using games: the case of music tagging (ISMIR 2009);
Castellon et al. (ISMIR 2021) for the first variant, Lee et al. (SMC 2017) for the other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from bench.errors import BenchError
from bench.protocols import Dataset, TaskData
from bench.tasks import annotation_files
from bench.tasks.base import FolderTask, left_out

TAGS: Final = tuple(line for _, line in annotation_files.lines(annotation_files.LISTS / "magnatagatune_top50.txt"))
EMPTY: Final = ("35644", "55753", "57881")
"""Ids of clips whose released files are empty."""
PART: Final = dict.fromkeys("0123456789ab", "train") | {"c": "valid"} | dict.fromkeys("def", "test")


class MagnaTagATune(FolderTask):
    """50 tags of 25,860 clips, including clips without any of the tags."""

    name = "magnatagatune"
    kind = "tags"
    primary = "roc_auc"
    convention = "macro means over 50 tags; 12:1:3 folders; clips without a top-50 tag kept"
    collection = "magnatagatune"
    license = "annotations: CC BY-NC-SA 3.0 by common report; audio: Magnatune, non-commercial research"
    source = "Law et al., ISMIR 2009; mirg.city.ac.uk/codeapps/the-magnatagatune-dataset"
    layout = "annotations_final.csv, clip_info_final.csv (for songs and artists), and the folders 0 to f of MP3 files"
    files = ("annotations_final.csv",)
    expected: dict[str, int] = {"train": 18_706, "valid": 1_825, "test": 5_329}  # noqa: RUF012
    untagged = True

    def read(self, root: Path, dataset: Dataset | None = None) -> TaskData:
        """Read the annotations: tab-separated, one column of 0 and 1 for each tag."""
        frame, opened = annotation_files.table(root / "annotations_final.csv", ["clip_id", *TAGS, "mp3_path"])
        annotation_files.unique(frame, opened, "clip_id")
        values = frame.select(TAGS)
        strange = ~values.select(pl.all_horizontal(pl.all().is_in(["0", "1"]))).to_series()
        if strange.any():
            row = int(strange.arg_true()[0])
            tag = next(name for name in TAGS if values[name][row] not in ("0", "1"))
            raise BenchError(f"{opened.place(row)}: the tag {tag!r} is {values[tag][row]!r}; expected 0 or 1.")
        truth = values.cast(pl.Int8).to_numpy() == 1
        folder = frame["mp3_path"].fill_null("").str.split("/").list.first()
        strange = ~folder.is_in([*PART, ""])
        if strange.any():
            row = int(strange.arg_true()[0])
            raise BenchError(f"{opened.place(row)}: mp3_path is {frame['mp3_path'][row]!r}; expected <0-f>/NAME.mp3.")
        gone = {
            "clips without a file": (folder == "").to_numpy(),
            "clips whose released file is empty": frame["clip_id"].is_in(EMPTY).to_numpy(),
        }
        if not self.untagged:
            gone["clips without a top-50 tag"] = ~truth.any(axis=1)
        use = ~np.logical_or.reduce(list(gone.values()))
        base = str(annotation_files.first(root, "0|mp3/0|audio/0").parent)
        items = frame.select(
            track_id="clip_id",
            path=pl.lit(base + "/") + pl.col("mp3_path"),
            offset=annotation_files.NONE,
            duration=annotation_files.NONE,
            part=folder.replace(PART),
            group=pl.col("mp3_path").str.replace(r"-\d+-\d+\.mp3$", ""),
        )
        if (root / "clip_info_final.csv").exists():
            info, _ = annotation_files.table(root / "clip_info_final.csv", ["clip_id", "artist"])
            info = info.unique("clip_id", keep="first").rename({"clip_id": "track_id"})
            items = items.join(info, on="track_id", how="left", maintain_order="left")
        notes = left_out({why: int(rows.sum()) for why, rows in gone.items()})
        return TaskData(items.filter(pl.Series(use)), truth[use], TAGS, self.expected, notes)


class MagnaTagATuneFiltered(MagnaTagATune):
    """50 tags of the 21,105 clips that have at least one of them."""

    name = "magnatagatune-filtered"
    convention = "macro means over 50 tags; 12:1:3 folders; clips without a top-50 tag dropped"
    expected: dict[str, int] = {"train": 15_244, "valid": 1_529, "test": 4_332}  # noqa: RUF012
    untagged = False
