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
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

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
    path : Parquet file beside the weights with the column track_id, or a text file with one id a line
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

    @classmethod
    def listed(cls, path: Path, *, data: str) -> Heard:
        """Return the description of a list that a user has, such as the published training split of an encoder.

        Raises
        ------
        BenchError
            When the file cannot be read, or has no ids.

        """
        try:
            found = _read(path)
        except (OSError, ValueError) as error:
            raise BenchError(f"{path}: no list of track ids can be read ({error}).") from error
        if not found:
            raise BenchError(f"{path} has no track ids. Give a text file with one a line, or Parquet with track_id.")
        return cls(data, None, (), ids_sha256(set(found)), path)

    @cached_property
    def ids(self) -> frozenset[str]:
        """Ids of the recordings.

        Raises
        ------
        BenchError
            When the file is missing, is no list of tracks, or holds other ids than those the model was trained on.

        """
        try:
            found = set(_read(self.path))
        except (OSError, ValueError) as error:
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

    def has(self, tracks: pl.Series) -> NDArray[np.bool_]:
        """Return which of N tracks are among the recordings, by equal ids."""
        import numpy as np

        return np.fromiter((one in self.ids for one in tracks.to_list()), np.bool_, len(tracks))


def _read(path: Path) -> list[str]:
    """Return the ids in a file; raise OSError or ValueError if it is no list of ids."""
    import polars as pl

    if path.suffix != ".parquet":
        return [line.strip() for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    try:
        return pl.read_parquet(path, columns=["track_id"])["track_id"].cast(pl.String).drop_nulls().to_list()
    except pl.exceptions.PolarsError as error:
        raise ValueError(error) from error


def ids_sha256(ids: Iterable[str]) -> str:
    """Return the sha256 (hex) of track ids, whatever their order."""
    sha = hashlib.sha256()
    for one in sorted(ids):
        text = one.encode()
        sha.update(f"{len(text)}:".encode() + text)
    return sha.hexdigest()
