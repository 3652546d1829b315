"""``bench similar``: the tracks whose vectors are nearest to a track or to a text, by cosine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from bench.errors import BenchError, did_you_mean
from bench.items.item_table import Tables
from bench.norms import l2
from bench.protocols import Extractor
from bench.run.embed import Collection
from bench.run.text_vectors import text_vectors


@dataclass(frozen=True)
class Near:
    """A track of the answer: its id, artist and title (empty where unknown), and its cosine to the query."""

    track_id: str
    artist: str
    title: str
    cosine: float


def check(collection: Collection, track: str | None, text: str | None) -> None:
    """Check what is asked, before vectors are computed for it.

    Raises
    ------
    BenchError
        When neither is given, the track is unknown, or the extractor has no vector of the text in this layer.

    """
    if track is None and text is None:
        raise BenchError("give a track, or --text WORDS.")
    if track is not None:
        found(track, _paths(collection))
    if text is not None:
        for one in collection.entries[0].components:
            if isinstance(one.plugin, Extractor) and one.plugin.pooling != one.plugin.poolings[0]:
                raise BenchError(f"{one.spec}: words have no vectors of another pooling. Leave out pooling=.")
        text_vectors(collection.entries[0], [text])


def similar(collection: Collection, track: str | None, text: str | None, k: int) -> list[Near]:
    """Return the `k` tracks with the highest cosine to a track, to a text, or to the mean of both.

    The vectors must be there (`Collection.fill`). The track itself is left out.

    Raises
    ------
    BenchError
        As `check` does, or when the track has no vector.

    """
    check(collection, track, text)
    (entry,) = collection.entries
    paths = _paths(collection)
    ids = list(paths)
    vectors, present = Tables(collection.environment.cache, collection.audio.row_of).joined(entry, ids)
    queries = []
    row = None if track is None else ids.index(found(track, paths))
    if row is not None:
        if not present[row]:
            raise BenchError(f"{entry}: {ids[row]!r} has no vector.")
        queries.append(vectors[row])
    if text is not None:
        queries.append(text_vectors(entry, [text])[0])
    query = l2(l2(np.stack(queries)).mean(axis=0, keepdims=True))[0]
    cosine = l2(vectors) @ query
    allowed = present.copy()
    if row is not None:
        allowed[row] = False
    order = [at for at in np.argsort(-cosine, kind="stable").tolist() if allowed[at]][:k]
    about = _names(collection)
    return [Near(ids[at], *about.get(ids[at], ("", "")), float(cosine[at])) for at in order]


def _paths(collection: Collection) -> dict[str, str]:
    """Return the file of each track, sorted by track id."""
    return dict(collection.audio.rows.sort("track_id").select("track_id", "path").iter_rows())


def found(track: str, paths: Mapping[str, str]) -> str:
    """Return the id of a track that is given by id, path, file name, or file name without extension.

    Raises
    ------
    BenchError
        When there is none, or several files have the name.

    """
    if track in paths:
        return track
    same = [one for one, path in paths.items() if track in (path, PurePath(path).name, PurePath(path).stem)]
    if len(same) > 1:
        raise BenchError(f"{len(same)} tracks have the file name {track!r}, such as {', '.join(same[:3])}: give an id.")
    if not same:
        near = did_you_mean(track, paths)
        raise BenchError(f"there is no track {track!r}.{near if near.startswith(' Did') else ''}")
    return same[0]


def _names(collection: Collection) -> dict[str, tuple[str, str]]:
    """Return artist and title by track id, as far as the data have them."""
    meta = collection.meta
    if meta is None:
        return {}
    columns = [meta[name].to_list() if name in meta.columns else [""] * len(meta) for name in ("artist", "title")]
    return {one: (artist or "", title or "") for one, artist, title in zip(meta["track_id"], *columns, strict=True)}
