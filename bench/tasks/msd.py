"""Million Song Dataset: the 50 most frequent Last.fm tags.

Conventions: macro means over 50 tags; 201,680 / 11,774 / 28,435 tracks (Lee et al.: the split of Choi et
al., only songs longer than 29.1 s). The parts share artists, so recognising an artist helps. The bootstrap
resamples tracks.

The lists are released as pickled text. The reader scans the opcodes and never executes the pickle. Plain text
with one id on each line works, too.

References: Bertin-Mahieux et al. (ISMIR 2011); Choi et al. (ISMIR 2016); Lee et al. (IEEE SPL 2017).
"""

from __future__ import annotations

import pickletools
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from bench.errors import BenchError
from bench.protocols import PARTS, Dataset, TaskData
from bench.tasks import annotation_files
from bench.tasks.base import FolderTask, left_out

SIZES: Final = (201_680, 11_774, 28_435)
TRACK: Final = re.compile(r"TR[A-Z]{5}[0-9A-F]{11}")
QUERY: Final = (
    "SELECT tids.tid, tags.tag FROM tid_tag JOIN tids ON tid_tag.tid = tids.ROWID "
    "JOIN tags ON tid_tag.tag = tags.ROWID WHERE tags.tag IN ({})"
)
TAGLIST: Final = "50tagList.txt|MSD_split__50tagList.txt|MSD_split/50tagList.txt"
TRAIN: Final = "filtered_list_train.cP|filtered_list_train.txt|MSD_split/filtered_list_train.cP"
TEST: Final = "filtered_list_test.cP|filtered_list_test.txt|msd_test_list.txt|MSD_split/filtered_list_test.cP"


class MSD50(FolderTask):
    """50 tags of 241,889 songs."""

    name = "msd50"
    kind = "tags"
    primary = "roc_auc"
    convention = "macro means over 50 Last.fm tags; artists are shared between the parts"
    collection = "msd"
    license = "tags: research, non-commercial (Last.fm); lists: MIT (Jongpil Lee); audio: from 7digital, not released"
    source = "github.com/jongpillee/music_dataset_split; millionsongdataset.com/lastfm"
    layout = (
        "filtered_list_train.cP, filtered_list_test.cP and 50tagList.txt of music_dataset_split, lastfm_tags.db "
        "of the Last.fm dataset, and audio/**/<track id>.mp3"
    )
    files = (TAGLIST, TRAIN, TEST, "lastfm_tags.db")

    def read(self, root: Path, dataset: Dataset | None = None) -> TaskData:
        """Read the lists of tracks, and their tags from the database."""
        names = [line for _, line in annotation_files.lines(annotation_files.first(root, TAGLIST))]
        train, test = (tracks(annotation_files.first(root, one)) for one in (TRAIN, TEST))
        # The released training list ends with the validation tracks.
        cut = SIZES[0] if len(train) == sum(SIZES[:2]) else round(len(train) * SIZES[0] / sum(SIZES[:2]))
        ids = [*train, *test]
        part = np.repeat(PARTS, [cut, len(train) - cut, len(test)])
        if len(set(ids)) != len(ids):
            twice = pl.Series(ids).filter(pl.Series(ids).is_duplicated())[0]
            raise BenchError(f"{root}: the track {twice} is listed twice.")
        truth = _tagged(annotation_files.first(root, "lastfm_tags.db"), ids, names)
        known = annotation_files.audio_by_stem(annotation_files.first(root, "audio|mp3|."))
        items = pl.DataFrame({"track_id": ids, "part": part}).with_columns(
            path=pl.Series([known.get(one, str(root / "audio" / f"{one}.mp3")) for one in ids], dtype=pl.String),
            offset=annotation_files.NONE,
            duration=annotation_files.NONE,
        )
        bare = ~truth.any(axis=1)
        notes = left_out({"tracks without a top-50 tag in lastfm_tags.db": int(bare.sum())})
        use = pl.Series(~bare)
        return TaskData(items.filter(use), truth[~bare], names, dict(zip(PARTS, SIZES, strict=True)), notes)


def tracks(path: Path) -> list[str]:
    """Return the track ids in a text file or in a pickle of strings, which is never executed.

    Raises
    ------
    BenchError
        If the file cannot be read, or an entry is not a track id.

    """
    try:
        content = path.read_bytes()
        if content[:1] in b"T":
            found = content.decode("ascii").split()
        else:
            texts = [
                argument
                for opcode, argument, _ in pickletools.genops(content)
                if "UNICODE" in opcode.name or "STRING" in opcode.name
            ]
            found = [text.decode("ascii") if isinstance(text, bytes) else str(text) for text in texts]
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise BenchError(f"cannot read {path}: {error}. Expected a list of track ids, as lines or pickled.") from error
    for number, one in enumerate(found, 1):
        if not TRACK.fullmatch(one):
            raise BenchError(f"{path}, entry {number}: {one[:40]!r} is no track id such as TRAADIN128F931D672.")
    return found


def _tagged(path: Path, ids: Sequence[str], names: Sequence[str]) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Return the labels (tracks, tags)."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            pairs = connection.execute(QUERY.format(",".join("?" * len(names))), list(names)).fetchall()
    except sqlite3.Error as error:
        raise BenchError(
            f"{path}: {error}. Expected lastfm_tags.db of the Last.fm dataset (tables tids, tags, tid_tag)."
        ) from error
    row = {one: at for at, one in enumerate(ids)}
    column = {name: at for at, name in enumerate(names)}
    found = [(row[track], column[tag]) for track, tag in pairs if track in row]
    truth = np.zeros((len(ids), len(names)), np.bool_)
    if found:
        rows, columns = np.asarray(found).T
        truth[rows, columns] = True
    return truth
