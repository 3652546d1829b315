"""Last.fm 2K (HetRec 2011): how often listeners played artists, without times and without audio."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from bench.datasets.base import FolderDataset, find
from bench.errors import BenchError

FILES: Mapping[str, tuple[str, ...]] = {
    "user_artists.dat": ("userID", "artistID", "weight"),
    "artists.dat": ("id", "name", "url", "pictureURL"),
    "tags.dat": ("tagID", "tagValue"),
    "user_taggedartists.dat": ("userID", "artistID", "tagID", "day", "month", "year"),
}
"""The files that are read, and their columns; those about tags may be absent."""

PUBLISHED: Mapping[str, tuple[int, str]] = {
    "user_artists.dat": (1_296_455, "001400dc3c7d2667fca6e4ea6dc6acc31a9dd28ad5cd0f74cea988c019934d3b"),
    "artists.dat": (1_925_879, "c173881362c6b28551368fecb3c0be5a6a30a6cd859e1f5775413dfe46d48648"),
    "tags.dat": (234_468, "e95175f259be4c0c47644ae23d66131cd6d5767142a1405000e79f5584691d70"),
    "user_taggedartists.dat": (4_366_696, "d31fe938fcfeed6f0059f37a36b156f63674d073fc2553e5cc9dc1595e365bc7"),
}
"""Size in bytes and sha256 of the files in hetrec2011-lastfm-2k.zip (version 1.0, May 2011)."""

MOST = 10**9
"""Maximum of a count, so that counts of one pair can be added in 32 bits; the largest published one is 352,698."""

REMEDY = "Compare the file with its source, or get it again."


class LastFM2K(FolderDataset):
    """Artist level, no times, no audio: 69 million plays of 17,632 artists by 1,892 listeners, as 92,834 counts.

    An item is an artist. Splits that need times are refused; `cold_random` holds out random artists. Labels:
    catalog-tags, from what listeners wrote. Compare vectors of artists with ``--extractor precomputed:path=FILE``,
    whose ids are the numbers in ``artists.dat``.
    """

    name: str = "lastfm-2k"
    license: str = "non-commercial use; cite Last.fm and HetRec 2011"
    source: str = "Cantador et al., HetRec 2011; grouplens.org/datasets/hetrec-2011 (hetrec2011-lastfm-2k.zip)"
    layout: str = "user_artists.dat, artists.dat, and where you have them tags.dat, user_taggedartists.dat"
    default_split: str = "cold_random"
    default_k: int = 10
    timed: bool = False

    def missing(self, root: Path) -> list[str]:
        """Return which of the log and the table of artists are absent."""
        return [name for name in ("user_artists.dat", "artists.dat") if not find(root, (name,))]

    def sources(self, root: Path) -> list[Path]:
        """Return the log and the tables that are there."""
        return [path for name in FILES if (path := find(root, (name,)))]

    def caveats(self, root: Path) -> list[str]:
        """Say what an item is and that times are unknown, and which files differ from the published ones."""
        return [
            "an item is an artist, not a track: do not compare these numbers with those of tracks",
            "the log has counts and no times: these numbers do not say how well the future is predicted, and a model "
            "of sequences reads the artists of a listener in the order of their ids",
            *(text for path in self.sources(root) if (text := self._differs(path))),
        ]

    def notes(self, root: Path) -> list[str]:
        """Say whether tags are unknown."""
        absent = [name for name in FILES if not find(root, (name,))]
        return [f"no {', no '.join(absent)}: tags are unknown"] if absent else []

    def listens(self, root: Path) -> pl.LazyFrame:
        """Return user, item (integers), count, and time, which is 1970-01-01 for all rows."""
        path = self._path(root, "user_artists.dat")
        rows = _read(path)
        if (bad := (~rows["weight"].is_between(1, MOST)).arg_true()).len():
            found = rows["weight"][bad[0]]
            raise BenchError(f"{path}, line {bad[0] + 2}: the weight is {found}; expected 1 to {MOST}. {REMEDY}")
        time = pl.lit(0, pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        return rows.lazy().select(user="userID", item="artistID", time=time, count="weight")

    def meta(self, root: Path) -> pl.DataFrame:
        """Return track_id (the artist's number), artist and title (both the artist's name), and tags if known."""
        names = _read(self._path(root, "artists.dat"))
        found = names.select(pl.col("id").cast(pl.String).alias("track_id"), artist="name", title="name")
        tags = self._tags(root)
        return found.sort("track_id") if tags is None else found.join(tags, on="track_id", how="left").sort("track_id")

    def labels(self, root: Path, task: str) -> pl.DataFrame | None:
        """Return track_id and label, the list of an artist's tags, for catalog-tags; None for other tasks.

        Artists without a name are left out: somebody tagged them, but nobody played them.
        """
        known = self.meta(root) if task == "catalog-tags" else pl.DataFrame()
        if "tags" not in known.columns:
            return None
        return known.filter(pl.col("tags").is_not_null()).select("track_id", label="tags")

    def _tags(self, root: Path) -> pl.DataFrame | None:
        """Return track_id and tags: those that most listeners gave come first, then in alphabetical order."""
        names, given = find(root, ("tags.dat",)), find(root, ("user_taggedartists.dat",))
        if names is None or given is None:
            return None
        pairs = _read(given).join(_read(names), on="tagID").group_by("artistID", "tagValue").len()
        pairs = pairs.sort("artistID", "len", "tagValue", descending=[False, True, False])
        pairs = pairs.select(pl.col("artistID").cast(pl.String).alias("track_id"), "tagValue")
        return pairs.group_by("track_id", maintain_order=True).agg(tags="tagValue")

    def _differs(self, path: Path) -> str | None:
        """Say how a file differs from the published one."""
        size, sha256 = PUBLISHED[path.name]
        found = path.stat().st_size, self.sha256(path)
        if found == (size, sha256):
            return None
        return (
            f"{path.name} is not the published file: {found[0]:,} bytes, sha256 {found[1][:12]}; the published one has "
            f"{size:,} bytes, sha256 {sha256[:12]}"
        )

    @staticmethod
    def _path(root: Path, name: str) -> Path:
        path = find(root, (name,))
        assert path is not None
        return path


def _read(path: Path) -> pl.DataFrame:
    """Read a table: names and tags are text, all other columns integers.

    ``artists.dat`` is UTF-8 and ``tags.dat`` Latin-1; copies in UTF-8 throughout exist. Latin-1 text with letters
    beyond ASCII is not valid UTF-8, so UTF-8 is tried first. Quotes are ordinary characters.

    Raises
    ------
    BenchError
        The header differs, a line has another number of values, or a number cannot be read.

    """
    columns = FILES[path.name]
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    # Not splitlines: a name may hold a character that Unicode calls a line break.
    lines = pl.Series(text.rstrip("\r\n").split("\n")).str.strip_suffix("\r")
    if lines[0].split("\t") != list(columns):
        raise BenchError(f"{path}, line 1: {lines[0]!r}; expected the columns {', '.join(columns)}. {REMEDY}")
    rows = lines.slice(1)
    values = rows.str.count_matches("\t", literal=True) + 1
    if (bad := (values != len(columns)).arg_true()).len():
        raise BenchError(f"{path}, line {bad[0] + 2}: {values[bad[0]]} values; expected {len(columns)}. {REMEDY}")
    frame = rows.str.split_exact("\t", len(columns) - 1).struct.rename_fields(list(columns)).struct.unnest()
    texts = ("name", "url", "pictureURL", "tagValue")
    numbers: dict[str, Any] = {name: frame[name].cast(pl.Int64, strict=False) for name in columns if name not in texts}
    for name, number in numbers.items():
        if (bad := number.is_null().arg_true()).len():
            found = frame[name][bad[0]]
            raise BenchError(f"{path}, line {bad[0] + 2}: the {name} is {found!r}; expected a whole number. {REMEDY}")
    return frame.with_columns(**numbers)
