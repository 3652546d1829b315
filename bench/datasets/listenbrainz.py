"""ListenBrainz: public listening histories as Parquet dumps, without audio."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from bench.datasets.base import FolderDataset, find
from bench.datasets.parquet_log import cached_json, check_log, open_parquet, plays
from bench.files.atomic import whole

COLUMNS = {"user": "user_id", "item": "recording_mbid", "time": "listened_at"}
NAMES = {"artist": "artist_name", "album": "release_name", "title": "recording_name"}
_NUMBERED = re.compile(r"\d+\.parquet")


class ListenBrainz(FolderDataset):
    """Public listening histories in Parquet dumps; an item is a MusicBrainz recording. No audio.

    The folder may contain full and incremental dumps, whose listens do not overlap. Listens that are not
    matched to a MusicBrainz recording are left out and counted.
    """

    name: str = "listenbrainz"
    license: str = "CC0-1.0"
    source: str = "MetaBrainz; https://listenbrainz.org/data (Spark dumps)"
    layout: str = (
        "0.parquet, 1.parquet, ... there or in folders one below (a dump each), and where you have them "
        "recording_artist.parquet, recording_tag.parquet, recording_genre.parquet"
    )

    def missing(self, root: Path) -> list[str]:
        """Return the names of a dump's files if there is no dump."""
        return [] if self._dumps(root) else ["0.parquet, 1.parquet, ..."]

    def sources(self, root: Path) -> list[Path]:
        """Return the dumps and the tables of recordings."""
        tables = [find(root, (f"recording_{kind}.parquet",)) for kind in ("artist", "tag", "genre")]
        return [*self._dumps(root), *(path for path in tables if path)]

    def listens(self, root: Path) -> pl.LazyFrame:
        """Return user (a number as text), item (recording MBID), time (datetime, UTC)."""
        self._counts(root)
        return pl.concat([plays(open_parquet(path, COLUMNS.values()), COLUMNS) for path in self._dumps(root)])

    def notes(self, root: Path) -> list[str]:
        """Return how many listens have no recording."""
        counts = self._counts(root)
        note = f"left out {counts['without_item']:,} of {counts['plays']:,} listens without a recording MBID"
        return [note] if counts["without_item"] else []

    def meta(self, root: Path) -> pl.DataFrame:
        """Return artist, album, title, tags (most frequent first) and genre (the most frequent) of all recordings.

        Names come from the listens, in the alphabetically first of several spellings. Artists come from
        MusicBrainz if ``recording_artist.parquet`` exists.
        """
        path = self.folder({"files": self.fingerprint(root)["files"], "what": "meta", "format": 1}) / "meta.parquet"
        if not path.is_file():
            with whole(path) as temporary:
                self._read_meta(root).write_parquet(temporary)
        return pl.read_parquet(path)

    def labels(self, root: Path, task: str) -> pl.DataFrame | None:
        """Return track_id and label: the most frequent genre, or the list of tags, most frequent first."""
        frame = {"catalog-genre": _genres, "catalog-tags": _tags}.get(task, lambda _: None)(root)
        return None if frame is None else frame.rename({frame.columns[1]: "label"}).sort("track_id")

    def _read_meta(self, root: Path) -> pl.DataFrame:
        frames = [open_parquet(path, (*COLUMNS.values(), *NAMES.values())).frame for path in self._dumps(root)]
        named = pl.concat([frame.select(COLUMNS["item"], *NAMES.values()) for frame in frames])
        known = named.filter(pl.col(COLUMNS["item"]).fill_null("") != "").group_by(track_id=COLUMNS["item"])
        # The minimum takes less memory than the most frequent spelling, and does not depend on the order of rows.
        found = known.agg(**{field: pl.col(name).min() for field, name in NAMES.items()}).collect(engine="streaming")
        if (artists := _artists(root)) is not None:
            found = found.join(artists, on="track_id", how="left")
            found = found.with_columns(artist=pl.coalesce("credit", "artist")).drop("credit")
        for more in (_tags(root), _genres(root)):
            found = found if more is None else found.join(more, on="track_id", how="left")
        return found.sort("track_id")

    def _dumps(self, root: Path) -> list[Path]:
        """Numbered Parquet files in the folder and its subfolders, sorted by folder and number."""
        folders = [root, *sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))]
        files = [p for folder in folders for p in folder.iterdir() if _NUMBERED.fullmatch(p.name)]
        return sorted(files, key=lambda p: (p.parent != root, p.parent.name, int(p.stem)))

    def _counts(self, root: Path) -> dict[str, Any]:
        """Count the listens and check every row, once per version of the files."""

        def count() -> dict[str, int]:
            total: Counter[str] = Counter()
            for path in self._dumps(root):
                total.update(check_log(open_parquet(path, COLUMNS.values()), COLUMNS, item_may_be_missing=True))
            return dict(total)

        files = [self.sha256(path) for path in self._dumps(root)]
        return cached_json(self.folder({"files": files, "what": "counts", "format": 1}) / "counts.json", count)


def _names(root: Path, kind: str) -> pl.LazyFrame | None:
    """Return track_id and name (a tag or genre), the most frequent first, then alphabetically."""
    path = find(root, (f"recording_{kind}.parquet",))
    if path is None:
        return None
    frame = open_parquet(path, ("recording_mbid", kind, f"{kind}_count")).frame.filter(pl.col(kind).is_not_null())
    rows = frame.sort("recording_mbid", f"{kind}_count", kind, descending=[False, True, False])
    return rows.select(track_id="recording_mbid", name=kind)


def _tags(root: Path) -> pl.DataFrame | None:
    rows = _names(root, "tag")
    return None if rows is None else rows.group_by("track_id", maintain_order=True).agg(tags="name").collect()


def _genres(root: Path) -> pl.DataFrame | None:
    rows = _names(root, "genre")
    return (
        None
        if rows is None
        else rows.unique("track_id", keep="first", maintain_order=True).select("track_id", genre="name").collect()
    )


def _artists(root: Path) -> pl.DataFrame | None:
    """Return track_id and credit, the artist name in MusicBrainz."""
    path = find(root, ("recording_artist.parquet",))
    if path is None:
        return None
    rows = open_parquet(path, ("recording_mbid", "artists")).frame.select(track_id="recording_mbid", artists="artists")
    part = pl.element().struct.field("artist_credit_name") + pl.element().struct.field("join_phrase").fill_null("")
    credit = pl.col("artists").list.eval(part).list.join("")
    return rows.select("track_id", credit=credit).unique("track_id", keep="first", maintain_order=True).collect()
