"""Last.fm 1K: listening histories with MusicBrainz ids and names, without audio."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import polars as pl

from bench.datasets.base import LogDataset, find, packed
from bench.listening import parquet_cache

NAMES = ("userid", "timestamp", "artid", "artname", "traid", "traname")
"""The log has no header line."""


@dataclass(frozen=True)
class LastFM1KSettings:
    """What an item is.

    items : mbid, a MusicBrainz recording; or names, all plays with the same names of artist and track, in lower
        case: the item's id is ``artist||track``
    """

    items: Literal["mbid", "names"] = "mbid"


class LastFM1K(LogDataset):
    """19.2 million plays by 992 listeners; an item is a MusicBrainz recording, or a name. No audio.

    Plays of tracks without an id are left out and counted: with ``items=mbid`` those without a MusicBrainz id, with
    ``items=names`` those without a name. Names are the ids of the audio vectors that Kandagatla et al. (arXiv
    2606.00125) publish for this log. According to its description the data ends on 2009-05-05, and so does the
    default split: a few plays have later dates, some of them years later.
    """

    Settings: ClassVar[type[Any]] = LastFM1KSettings
    later: ClassVar[dict[str, Any]] = {"items": "mbid"}
    name: str = "lastfm-1k"
    license: str = "non-commercial use with attribution to Last.fm; redistribution is not granted"
    source: str = "Celma, Music Recommendation and Discovery, 2010; Last.fm dataset 1K users, Zenodo 6090214"
    default_split: str = "global_temporal:end=2009-05-06"
    layout: str = "userid-timestamp-artid-artname-traid-traname.tsv (no header line; plain or compressed)"
    names: ClassVar[list[str]] = packed("userid-timestamp-artid-artname-traid-traname.tsv")

    def __init__(self, settings: LastFM1KSettings | None = None) -> None:
        """Store the settings; the log by names has its own name."""
        super().__init__(settings)
        self.name = "lastfm-1k" if self.settings.items == "mbid" else "lastfm-1k-names"

    def missing(self, root: Path) -> list[str]:
        """Return the name of the log if it is absent."""
        return [] if find(root, self.names) else [self.names[0]]

    def log(self, root: Path) -> parquet_cache.Log:
        """Return the log; artist and title of a track are taken from its first line."""
        path = find(root, self.names)
        assert path is not None
        by_name = self.settings.items == "names"
        return parquet_cache.Log(
            path,
            {"user": "userid", "item": "name" if by_name else "traid", "time": "timestamp"},
            names=NAMES,
            made={"name": ("artname", "traname")} if by_name else {},
            about={"artist": "artname", "title": "traname"},
            drop_without_item=True,
        )

    def sources(self, root: Path) -> list[Path]:
        """Return the log, the only file."""
        return [self.log(root).path]

    def meta(self, root: Path) -> pl.DataFrame:
        """Return artist and title of every track."""
        return pl.read_parquet(self.convert(root) / parquet_cache.TRACKS).sort("track_id")
