"""MTG-Jamendo: tags of full tracks, in five official splits.

Conventions: macro means over the tags in the split files, in alphabetical order: the 50 most frequent tags, or
all tags of one category (87 genres, 40 instruments, 56 moods and themes). No artist is in two parts. Published
results usually use `split=0`.

Reference: Bogdanov et al., The MTG-Jamendo dataset for automatic music tagging (ICML workshop 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl

from bench.errors import BenchError
from bench.protocols import PARTS, Dataset, TaskData
from bench.tasks import annotation_files
from bench.tasks.base import FolderTask

HEADER = ("TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS")
SUFFIX = {"train": "train", "valid": "validation", "test": "test"}


@dataclass(frozen=True)
class SplitChoice:
    """The number of the official split."""

    split: Literal[0, 1, 2, 3, 4] = 0


class _Jamendo(FolderTask):
    """Base of the tasks on the four subsets."""

    Settings: ClassVar[type[Any]] = SplitChoice
    kind = "tags"
    primary = "roc_auc"
    collection = "jamendo"
    license = "metadata: CC BY-NC-SA 4.0; audio: Creative Commons, per track"
    source = "github.com/MTG/mtg-jamendo-dataset"
    layout = (
        "data/splits/split-0..4/autotagging_*-{train,validation,test}.tsv as in the repository, and "
        "audio/00..99/<id>.mp3 (or <id>.low.mp3)"
    )
    files = ("data/splits|splits",)
    subset: ClassVar[str]
    category: ClassVar[str | None] = None
    sizes: ClassVar[tuple[int, int, int]]

    def read(self, root: Path, dataset: Dataset | None = None) -> TaskData:
        """Read the three files of the split; a row has one field for each tag of its track."""
        folder = annotation_files.first(root, self.files[0]) / f"split-{self.settings.split}"
        rows: list[tuple[str, str, str, str]] = []
        tags: list[Sequence[str]] = []
        for part in PARTS:
            path = folder / f"autotagging_{self.subset}-{SUFFIX[part]}.tsv"
            for number, line in annotation_files.lines(path):
                fields = line.split("\t")
                if number == 1:
                    if tuple(fields) != HEADER:
                        raise BenchError(f"{path}, line 1: {line!r}; expected the header {' '.join(HEADER)}.")
                    continue
                track, artist, _, file, *rest = fields if len(fields) > 5 else [""] * 4
                own = [tag for tag in rest[1:] if self.category is None or tag.startswith(f"{self.category}---")]
                if not track or not file or any("---" not in tag for tag in rest[1:]) or not own:
                    what = f"{self.category or 'category'}---tag"
                    raise BenchError(f"{path}, line {number}: {line[:80]!r}; expected {' '.join(HEADER)} with {what}.")
                rows.append((track, artist, file, part))
                tags.append(own)
        names = sorted({tag for own in tags for tag in own})
        column = {tag: at for at, tag in enumerate(names)}
        truth = np.zeros((len(rows), len(names)), np.bool_)
        at = np.repeat(np.arange(len(rows)), [len(own) for own in tags])
        truth[at, [column[tag] for own in tags for tag in own]] = True
        items = pl.DataFrame(rows, schema=["track_id", "artist", "file", "part"], orient="row")
        base = annotation_files.first(root, "audio|raw_30s/audio|raw_30s/audio-low|audio-low|.")
        stems = [file.removesuffix(".mp3") for file in items["file"].to_list()]
        low = annotation_files.audio_paths(base, [f"{stem}.low" for stem in stems], (".mp3",))
        paths = [
            slim if not Path(full).exists() and Path(slim).exists() else full
            for full, slim in zip(annotation_files.audio_paths(base, stems, (".mp3",)), low, strict=True)
        ]
        items = items.select(
            "track_id",
            path=pl.Series(paths, dtype=pl.String),
            offset=annotation_files.NONE,
            duration=annotation_files.NONE,
            part="part",
            artist="artist",
        )
        expected = dict(zip(PARTS, self.sizes, strict=True)) if self.settings.split == 0 else {}
        return TaskData(items, truth, names, {str(k): v for k, v in expected.items()}, (), ("artist",))


class JamendoTop50(_Jamendo):
    """The 50 most frequent tags of all categories."""

    name = "jamendo-top50"
    convention = "macro means over 50 tags; official split 0 unless split= says otherwise"
    subset = "top50tags"
    sizes = (32_136, 10_888, 11_356)


class JamendoGenre(_Jamendo):
    """87 genres; a track may have several."""

    name = "jamendo-genre"
    convention = "macro means over 87 genres; official split 0 unless split= says otherwise"
    subset = "genre"
    category = "genre"
    sizes = (32_572, 11_043, 11_479)


class JamendoInstrument(_Jamendo):
    """40 instruments; a track may have several."""

    name = "jamendo-instrument"
    convention = "macro means over 40 instruments; official split 0 unless split= says otherwise"
    subset = "instrument"
    category = "instrument"
    sizes = (14_395, 5_466, 5_115)


class JamendoMood(_Jamendo):
    """56 moods and themes; a track may have several."""

    name = "jamendo-mood"
    convention = "macro means over 56 moods and themes; official split 0 unless split= says otherwise"
    subset = "moodtheme"
    category = "mood/theme"
    sizes = (9_949, 3_802, 4_231)
