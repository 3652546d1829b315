"""Which recordings a data set holds out, and which ones a model of ours was trained on: both by track id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.errors import BenchError

if TYPE_CHECKING:
    import polars as pl

Signal = Literal["tags", "text", "listens"]


@dataclass(frozen=True, eq=False)
class HoldOut:
    """The recordings that no training of ours uses, and that tasks about a data set's tracks test on.

    tracks : track_id (unique, sorted), group (str: tracks that are held out together), held (bool)
    sha256 : hash of the three columns
    path : Parquet file with the three columns
    """

    tracks: pl.DataFrame
    sha256: str
    path: Path

    @cached_property
    def held(self) -> frozenset[str]:
        """Ids of the held-out recordings."""
        return frozenset(self.tracks.filter("held")["track_id"].to_list())

    @cached_property
    def groups(self) -> Mapping[str, str]:
        """Mapping from track id to the name of its group."""
        return dict(self.tracks.select("track_id", "group").iter_rows())


@dataclass(frozen=True)
class Heard:
    """The recordings and signals of one data set that a model was trained on.

    data : name of the data set
    cutoff : ISO time (UTC); plays at or after it were not used. None: plays of all times may have been used
    signals : what it learned from beside audio
    sha256 : hash of the sorted track ids
    path : Parquet file beside the weights with the column track_id
    """

    data: str
    cutoff: str | None
    signals: Sequence[Signal]
    sha256: str
    path: Path

    @classmethod
    def write(
        cls, path: Path, ids: Iterable[str], *, data: str, cutoff: str | None, signals: Iterable[Signal]
    ) -> Heard:
        """Write the track ids to `path`, sorted and without duplicates, and return their description."""
        import polars as pl

        from bench.files.atomic import whole

        found = sorted(set(ids))
        with whole(path) as temporary:
            pl.DataFrame({"track_id": found}, schema={"track_id": pl.String}).write_parquet(temporary)
        return cls(data, cutoff, tuple(sorted(set(signals))), ids_sha256(found), path)

    @cached_property
    def ids(self) -> frozenset[str]:
        """Ids of the recordings.

        Raises
        ------
        BenchError
            When the file is missing, is no list of tracks, or holds other ids than those the model was trained on.

        """
        import polars as pl

        try:
            found = pl.read_parquet(self.path, columns=["track_id"])["track_id"].cast(pl.String).to_list()
        except (OSError, pl.exceptions.PolarsError) as error:
            raise BenchError(
                f"{self.path}: the list of tracks that the model was trained on cannot be read ({error}). "
                "Put back the file that was written beside the weights."
            ) from error
        if ids_sha256(found) != self.sha256:
            raise BenchError(
                f"{self.path} is not the list of tracks that the model was trained on: its sha256 is another one. "
                "Put back the file that was written beside the weights."
            )
        return frozenset(found)


def ids_sha256(ids: Iterable[str]) -> str:
    """Return the sha256 (hex) of track ids, whatever their order."""
    sha = hashlib.sha256()
    for one in sorted(ids):
        text = one.encode()
        sha.update(f"{len(text)}:".encode() + text)
    return sha.hexdigest()
