"""Last.fm 1K: listening histories with MusicBrainz ids, without audio."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import polars as pl

from bench.datasets.base import LogDataset, find, packed
from bench.listening import parquet_cache

NAMES = ("userid", "timestamp", "artid", "artname", "traid", "traname")
"""The log has no header line."""


class LastFM1K(LogDataset):
    """19.2 million plays by 992 listeners; an item is a MusicBrainz recording. No audio.

    Plays of tracks without a MusicBrainz id are left out and counted. According to its description the data ends
    on 2009-05-05, and so does the default split: a few plays have later dates, some of them years later.
    """

    name: str = "lastfm-1k"
    license: str = "non-commercial use with attribution to Last.fm; redistribution is not granted"
    source: str = "Celma, Music Recommendation and Discovery, 2010; Last.fm dataset 1K users"
    default_split: str = "global_temporal:end=2009-05-06"
    layout: str = "userid-timestamp-artid-artname-traid-traname.tsv (no header line; plain or compressed)"
    names: ClassVar[list[str]] = packed("userid-timestamp-artid-artname-traid-traname.tsv")

    def missing(self, root: Path) -> list[str]:
        """Return the name of the log if it is absent."""
        return [] if find(root, self.names) else [self.names[0]]

    def log(self, root: Path) -> parquet_cache.Log:
        """Return the log; artist and title of a track are taken from its first line."""
        path = find(root, self.names)
        assert path is not None
        return parquet_cache.Log(
            path,
            {"user": "userid", "item": "traid", "time": "timestamp"},
            names=NAMES,
            about={"artist": "artname", "title": "traname"},
            drop_without_item=True,
        )

    def sources(self, root: Path) -> list[Path]:
        """Return the log, the only file."""
        return [self.log(root).path]

    def meta(self, root: Path) -> pl.DataFrame:
        """Return artist and title of every track."""
        return pl.read_parquet(self.convert(root) / parquet_cache.TRACKS).sort("track_id")
