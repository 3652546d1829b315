"""Read metadata of tracks, such as artist, album and title, from tables with various column names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from bench.errors import BenchError
from bench.listening.columns import listed, normalize
from bench.listening.text_table import open_table

IDS = (
    *("track_id", "trackid", "item_id", "itemid", "item", "id", "song_id", "songid", "recording_mbid"),
    *("track", "song"),
)
"""Names of the id column; the first one present is used."""

FIELDS: Mapping[str, tuple[str, ...]] = {
    "artist": ("artist", "artist_name", "artistname", "artname", "artists"),
    "album": ("album", "album_name", "release", "release_name"),
    "title": ("title", "track_name", "trackname", "traname", "song", "song_name", "recording_name", "name"),
    "description": ("description", "desc"),
    "tags": ("tags", "tag"),
    "genre": ("genre", "genres"),
    "key": ("key", "musical_key"),
    "part": ("part",),
}


def read_meta(path: Path) -> pl.DataFrame:
    """Read metadata: track_id (str) and any of artist, album, title, description, tags, genre, key, part.

    The file is CSV, TSV or Parquet, compressed or not. All columns are str (null if unknown), except `tags`, a
    list of str, separated by commas in a text file. Columns are found by name, including common alternatives
    such as artist_name or song. The result has one row per track; equal rows are merged.

    Raises
    ------
    BenchError
        The file cannot be read, has no id column or none of the other columns, a row has no id, or two
        different rows have the same id.

    """
    table = open_table(path, prose=True)
    names = {normalize(name): name for name in reversed(table.schema)}
    key = next((names[name] for name in IDS if name in names), None)
    header = f"the header is {listed(table.schema)}"
    if key is None:
        raise BenchError(f"{path}: no column holds track ids; {header}. Name one of them track_id.")
    chosen = {"track_id": key}
    for field, aliases in FIELDS.items():
        if found := next((names[name] for name in aliases if names.get(name, key) != key), None):
            chosen[field] = found
    if len(chosen) == 1:
        raise BenchError(f"{path}: none of {', '.join(FIELDS)} is there; {header}.")
    expressions = [_text(field, name, table.schema[name]) for field, name in chosen.items()]
    meta = table.read().select(expressions)
    empty = meta.select(pl.all_horizontal(pl.all().is_null())).to_series() if table.separator else None
    missing = meta["track_id"].is_null() | (meta["track_id"] == "")
    if (bad := (missing & ~empty if empty is not None else missing).arg_true()).len():
        raise BenchError(f"{table.place(bad[0])}: no track id (column {key!r}). Remove such rows.")
    meta = meta.filter(~missing).unique(maintain_order=True)
    if (duplicated := meta["track_id"].is_duplicated()).any():
        track = meta.filter(duplicated)["track_id"][0]
        raise BenchError(f"{path}: two different rows for the track {track!r} (column {key!r}). Keep one.")
    return meta


def _text(field: str, name: str, dtype: pl.DataType) -> pl.Expr:
    """Return the column as text, or for tags as a list of text."""
    column = pl.col(name)
    if isinstance(dtype, pl.List):
        items = column.cast(pl.List(pl.String))
        return (items if field == "tags" else items.list.join(", ")).alias(field)
    text = column.cast(pl.String)
    if field != "tags":
        return text.alias(field)
    parts = text.str.split(",").list.eval(pl.element().str.strip_chars())
    return parts.list.eval(pl.element().filter(pl.element() != "")).alias(field)
