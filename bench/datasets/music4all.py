"""Music4All and Music4All-Onion: two logs for the same catalogue of 109,269 excerpts of 30 s.

The .csv files of Music4All are separated by tabs; those of Onion are .tsv.bz2. Both logs use the audio and the
tables of tracks of Music4All.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import polars as pl

from bench.datasets.base import LogDataset, audio_in, find, packed
from bench.errors import BenchError
from bench.listening import parquet_cache
from bench.listening.metadata import read_meta
from bench.listening.text_table import open_table

TONICS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
TABLES = {"information": "artists, titles", "tags": "tags", "genres": "genres"}


class Music4All(LogDataset):
    """5.1 million plays, with audio, tags, genres and keys of 109,269 tracks."""

    name: str = "music4all"
    license: str = "on request from its authors, research only; treat lists of ids as private"
    source: str = "Santana et al., IWSSIP 2020; https://sites.google.com/view/contact4music4all"
    layout: str = (
        "listening_history.csv (user, song, timestamp), and where you have them id_information.csv, id_tags.csv, "
        "id_genres.csv, id_metadata.csv, audios/<id>.mp3"
    )
    names: ClassVar[Sequence[str]] = packed("listening_history.csv", "listening_history.tsv")
    columns: ClassVar[dict[str, str]] = {"user": "user", "item": "song", "time": "timestamp"}

    def missing(self, root: Path) -> list[str]:
        """Return the name of the log if it is absent; all other files are optional."""
        return [] if find(root, self.names) else [self.names[0]]

    def log(self, root: Path) -> parquet_cache.Log:
        """Return the log and its columns."""
        path = find(root, self.names)
        assert path is not None
        return parquet_cache.Log(path, self.columns)

    def sources(self, root: Path) -> list[Path]:
        """Return the log and the tables of tracks."""
        tables = [_table(root, kind) for kind in (*TABLES, "metadata")]
        return [self.log(root).path, *(path for path in tables if path)]

    def notes(self, root: Path) -> list[str]:
        """Return what was left out of the log, and what is unknown because a table is absent."""
        absent = [f"no id_{kind}.csv: {what} are unknown" for kind, what in TABLES.items() if not _table(root, kind)]
        return [*super().notes(root), *absent]

    def catalog(self, root: Path) -> pl.DataFrame | None:
        """Return the files in ``audios/``, or None if there is no such folder."""
        folder = find(root, ("audios", "audio"))
        return None if folder is None else audio_in(folder)

    def meta(self, root: Path) -> pl.DataFrame | None:
        """Return artist, title, album, tags (list) and genre (all genres, separated by commas), as far as known."""
        frames = [read_meta(path) for kind in TABLES if (path := _table(root, kind))]
        if not frames:
            return None
        joined = frames[0]
        for frame in frames[1:]:
            joined = joined.join(frame, on="track_id", how="full", coalesce=True)
        return joined.sort("track_id")

    def labels(self, root: Path, task: str) -> pl.DataFrame | None:
        """Return track_id and label: the first genre, the list of tags, or the key ("F# minor"); see `keys`."""
        kind = {"catalog-genre": "genres", "catalog-tags": "tags", "catalog-key": "metadata"}.get(task)
        path = kind and _table(root, kind)
        if not path:
            return None
        if kind == "metadata":
            return keys(path)
        column = pl.col("genre").str.split(",").list.first().str.strip_chars() if kind == "genres" else pl.col("tags")
        found = read_meta(path).select("track_id", label=column)
        labelled = pl.col("label") != "" if kind == "genres" else pl.col("label").list.len() > 0
        return found.filter(labelled).sort("track_id")


class Music4AllOnion(Music4All):
    """253 million plays of 56,512 tracks of Music4All by 119,140 listeners, with precomputed features.

    The features (``id_*.tsv.bz2``) are read by ``--extractor precomputed:path=FILE``.
    """

    name: str = "music4all-onion"
    license: str = "CC BY-NC-SA 4.0 by common report (see the record); audio and tables as music4all"
    source: str = "Moscati et al., CIKM 2022; Zenodo 6609677 (v1), 15394646 (v2)"
    layout: str = (
        "userid_trackid_timestamp.tsv.bz2 (user_id, track_id, timestamp; plain or compressed), and where you have them "
        "Music4All's id_information.csv, id_tags.csv, id_genres.csv, id_metadata.csv, audios/<id>.mp3"
    )
    default_split: str = "recsys2024"
    names: ClassVar[Sequence[str]] = packed("userid_trackid_timestamp.tsv")
    columns: ClassVar[dict[str, str]] = {"user": "user_id", "item": "track_id", "time": "timestamp"}


def keys(path: Path) -> pl.DataFrame:
    """Read track_id and label from ``id_metadata``: `key` is in semitones above C (-1: none), `mode` 1 is major.

    Raises
    ------
    BenchError
        A column is missing, or a value is out of range; the message names file, line, value and expected range.

    """
    table = open_table(path)
    if missing := [name for name in ("id", "key", "mode") if name not in table.schema]:
        raise BenchError(f"{path}: no column {', '.join(missing)}; its columns are {', '.join(table.schema)}.")
    number = {name: pl.col(name).cast(pl.Float64, strict=False) for name in ("key", "mode")}
    rows = table.read().select(pl.col("id", "key", "mode").name.prefix("raw_"), **number)
    for name, low, high in (("key", -1, len(TONICS) - 1), ("mode", 0, 1)):
        value, raw = rows[name], rows[f"raw_{name}"]
        valid = (value >= low) & (value <= high) & (value == value.floor())
        if (bad := (raw.is_not_null() & ~valid.fill_null(False)).arg_true()).len():
            raise BenchError(
                f"{table.place(bad[0])}: the {name} is {raw[bad[0]]!r}; expected a whole number from {low} to {high}."
            )
    known = rows.filter((pl.col("key") >= 0) & pl.col("mode").is_not_null())
    tonic = pl.lit(pl.Series(TONICS)).gather(pl.col("key").cast(pl.Int64))
    mode = pl.when(pl.col("mode") == 1).then(pl.lit("major")).otherwise(pl.lit("minor"))
    return known.select(track_id="raw_id", label=tonic + " " + mode).sort("track_id")


def _table(root: Path, kind: str) -> Path | None:
    """Find a table of tracks; names with ``_mmsr`` belong to a smaller edition used for teaching."""
    return find(root, packed(f"id_{kind}.csv", f"id_{kind}.tsv", f"id_{kind}_mmsr.csv", f"id_{kind}_mmsr.tsv"))
