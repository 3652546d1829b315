"""The hold-out of recordings: one choice of tracks, for training of our models and for tasks about a data set's tracks.

Groups of tracks are held out, not single ones: all tracks of an artist, and tracks with the same recording, also in
another encoding or cut, belong together. The groups come in the order of the sha256 of seed and name, and the first of
them are held out. So the choice does not depend on the order of the tracks. A column `part` of the metadata replaces
it: the test part is held out.

Source: Huang et al. (ICASSP 2020), section 3.1: a tenth of the recordings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.audio.fingerprint import fingerprints
from bench.audio.pcm_cache import Recording
from bench.audio.row_key import row_keys
from bench.audio.same_recording import same_recordings
from bench.errors import BenchError
from bench.files.atomic import digest, whole
from bench.files.hash_index import HashIndex
from bench.protocols import Dataset, HoldOut

VERSION = 2
"""Raised when the same tracks, share and seed can give another hold-out."""
FEWEST = 20
"""Fewer artists than this are too few for a test."""
_PARTS = {"training": "train", "validation": "valid", "val": "valid", "dev": "valid", "testing": "test"}
"""Other names of the parts."""


def hold_out(
    dataset: Dataset,
    root: Path,
    cache: Path,
    *,
    share: float | None = None,
    seed: int = 0,
    catalog: pl.DataFrame | None = None,
    log: Callable[[str], None] = lambda _line: None,
) -> HoldOut:
    """Choose the held-out recordings of a data set and write the choice below `cache`; equal input gives equal files.

    The tracks are those with audio or metadata or, where a data set has neither, those of its log. Tracks by one
    artist, with the same audio, or with the same recording (`bench.audio.same_recording`) are one group. All of this
    is read from metadata and audio alone, so that the choice is the same whatever was embedded before.

    Parameters
    ----------
    dataset : the data set, prepared in `root`
    share : share of the groups; None: what the data set says (`Dataset.hold_out`), but at least `FEWEST` of them or a
        third
    catalog : rows with audio (track_id, path, offset, duration) in place of the data set's own
    log : told when many recordings must be heard, because `cache` lacks their fingerprints

    Raises
    ------
    BenchError
        When the share is not between 0 and 1, or there are fewer than two groups.

    """
    least = FEWEST if share is None else 1
    share = dataset.hold_out if share is None else share
    if not 0 < share < 1:
        raise BenchError(f"hold-out: the share {share:g} must be between 0 and 1.")
    catalog = dataset.catalog(root) if catalog is None else catalog
    tracks = _tracks(dataset, root, catalog)
    rows = _audio(tracks["track_id"], catalog, cache)
    group = _grouped(tracks, rows["row"], _same(rows, cache, log))
    if "part" in tracks.columns:
        held = (part_names(tracks["part"]) == "test").fill_null(False)
    else:
        held = group.is_in(_first(group.unique().to_list(), share, least, seed, dataset.name))
    frame = tracks.select("track_id").with_columns(group=group, held=held)
    sha256 = digest({name: frame[name].to_list() for name in frame.columns})
    path = cache / "holdouts" / f"{dataset.name}-{sha256[:16]}.parquet"
    if not path.exists():
        with whole(path) as temporary:
            frame.write_parquet(temporary)
    return HoldOut(frame, sha256, path)


def part_names(part: pl.Series) -> pl.Series:
    """Return parts as train, valid and test; other values stay as they are, in lower case."""
    return part.str.strip_chars().str.to_lowercase().replace(_PARTS)


def _tracks(dataset: Dataset, root: Path, catalog: pl.DataFrame | None) -> pl.DataFrame:
    """Return track_id (unique, sorted), artist (null where unknown) and, if the metadata fix it, part."""
    meta = dataset.meta(root)
    known = [] if catalog is None else [catalog.select(pl.col("track_id").cast(pl.String))]
    if meta is not None:
        known.append(meta.select("track_id"))
    if not known:
        log = dataset.listens(root).select(track_id=pl.col("item").cast(pl.String)).unique()
        known.append(log.collect(engine="streaming"))
    tracks = pl.concat(known).unique().sort("track_id")
    if meta is None:
        return tracks.with_columns(artist=pl.lit(None, dtype=pl.String))
    about = meta.unique("track_id", keep="first", maintain_order=True)
    if "artist" not in about.columns:
        about = about.with_columns(artist=pl.lit(None, dtype=pl.String))
    about = about.select("track_id", "artist", *(["part"] if "part" in about.columns else []))
    return tracks.join(about, on="track_id", how="left", maintain_order="left")


def _audio(ids: pl.Series, catalog: pl.DataFrame | None, cache: Path) -> pl.DataFrame:
    """Return row (key of the audio), path, offset and duration (N,); row is null where no audio can be read."""
    if catalog is None:
        catalog = pl.DataFrame(
            schema={"track_id": pl.String, "path": pl.String, "offset": pl.Float64, "duration": pl.Float64}
        )
    rows = catalog.unique("track_id", keep="first", maintain_order=True)
    keys = row_keys(rows, HashIndex.below(cache).hashes(rows["path"].to_list()))
    row = pl.Series([key if isinstance(key, str) else None for key in keys], dtype=pl.String)
    rows = rows.select(pl.col("track_id").cast(pl.String), "path", "offset", "duration").with_columns(row=row)
    return ids.to_frame().join(rows, on="track_id", how="left", maintain_order="left")


def _same(rows: pl.DataFrame, cache: Path, log: Callable[[str], None]) -> NDArray[np.int64]:
    """Return pairs (E, 2) of places in `rows` whose audio is the same recording in two files."""
    first = rows.with_row_index("at").drop_nulls("row").unique("row", keep="first", maintain_order=True)
    files = [Recording(*row) for row in first.select("row", "path", "offset", "duration").iter_rows()]
    pairs = same_recordings(fingerprints(files, cache, log)) if files else np.empty((0, 2), np.int64)
    return np.asarray(first["at"].cast(pl.Int64).to_numpy()[pairs], np.int64)


def _grouped(tracks: pl.DataFrame, audio: pl.Series, same: NDArray[np.int64]) -> pl.Series:
    """Return the name of each track's group: its first artist or, where none is known, its first track id."""
    artist = tracks["artist"].str.strip_chars().replace("", None)
    edges = [_to_first(artist.str.to_lowercase()), _to_first(audio), same]
    label = pl.Series(_components(len(tracks), np.concatenate(edges)))
    named = pl.DataFrame({"label": label, "artist": artist, "track_id": tracks["track_id"]})
    name = pl.coalesce(pl.col("artist").min(), pl.col("track_id").min()).over("label")
    return named.select(group=name)["group"]


def _to_first(values: pl.Series) -> NDArray[np.int64]:
    """Return pairs (E, 2): each row with a value, and the first row with the same value."""
    rows = pl.DataFrame({"value": values}).with_row_index("row").drop_nulls("value")
    return rows.select(pl.col("row").first().over("value").alias("first"), "row").cast(pl.Int64).to_numpy()


def _components(n: int, edges: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return the number of each of `n` rows' connected component (n,)."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(edges), np.bool_)
    label: NDArray[np.int32] = connected_components(coo_matrix((ones, edges.T), shape=(n, n)), directed=False)[1]
    return label


def _first(groups: Sequence[str], share: float, least: int, seed: int, whose: str) -> list[str]:
    """Return a share of the groups, but at least `least` or a third, in the order of the sha256 of seed and name."""
    if len(groups) < 2:
        raise BenchError(
            f"{whose}: all tracks are by one artist or have the same audio, so that none can be held out. Add "
            "tracks of other artists, or a column part (train, valid, test) to the metadata."
        )
    number = max(round(share * len(groups)), min(least, round(len(groups) / 3)), 1)
    return in_order(groups, seed)[: min(number, len(groups) - 1)]


def in_order(groups: Iterable[str], seed: int = 0) -> list[str]:
    """Return groups in the order in which they are held out: that of the sha256 of seed and name."""
    return sorted(groups, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).hexdigest())
