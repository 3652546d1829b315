"""``bench similar``: the tracks whose vectors are nearest to a track or to words, by cosine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from bench.entries import ExtractorEntry
from bench.errors import BenchError, did_you_mean
from bench.items.item_table import Tables
from bench.norms import l2
from bench.protocols import Extractor, WordVectors
from bench.run.embed import Collection

LONGEST = 3
"""Most words of a phrase that are looked up as one label."""


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
        When neither is given, the track is unknown, or the extractor has no vectors of these words.

    """
    if track is None and text is None:
        raise BenchError("give a track, or --text WORDS.")
    if track is not None:
        found(track, _paths(collection))
    if text is not None:
        for one in collection.entries[0].components:
            if isinstance(one.plugin, Extractor) and one.plugin.pooling != one.plugin.poolings[0]:
                raise BenchError(f"{one.spec}: words have no vectors of another pooling. Leave out pooling=.")
        vector_of(text, collection.entries[0])


def similar(collection: Collection, track: str | None, text: str | None, k: int) -> list[Near]:
    """Return the `k` tracks with the highest cosine to a track, to words, or to the mean of both.

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
        queries.append(vector_of(text, entry))
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


def vector_of(text: str, entry: ExtractorEntry) -> NDArray[np.float32]:
    """Return the mean (D,) of the vectors of the words in `text`; the longest known phrases are taken first.

    Raises
    ------
    BenchError
        When a word is unknown; the message has similar words. Or when the extractor has no vectors of words.

    """
    plugin = entry.components[0].plugin
    if len(entry.components) > 1 or not isinstance(plugin, WordVectors):
        raise BenchError(f"{entry} has no vectors of words: --text needs one extractor that was trained with labels.")
    words, rows = plugin.words()
    place = {word.casefold(): at for at, word in enumerate(words)}
    chosen, asked = list[int](), text.casefold().split()
    while asked:
        phrases = (" ".join(asked[:length]) for length in range(min(LONGEST, len(asked)), 0, -1))
        phrase = next((one for one in phrases if one in place), None)
        if phrase is None:
            near = did_you_mean(asked[0], place)
            known = near if near.startswith(" Did") else f" It knows {len(words)} words, such as {_some(words)}."
            raise BenchError(f"{entry} does not know the word {asked[0]!r}.{known}")
        chosen.append(place[phrase])
        del asked[: phrase.count(" ") + 1]
    if not chosen:
        raise BenchError("--text has no words.")
    return np.asarray(l2(rows[chosen]).mean(axis=0), np.float32)


def _some(words: Sequence[str]) -> str:
    return ", ".join(repr(word) for word in words[:5])


def _names(collection: Collection) -> dict[str, tuple[str, str]]:
    """Return artist and title by track id, as far as the data have them."""
    meta = collection.meta
    if meta is None:
        return {}
    columns = [meta[name].to_list() if name in meta.columns else [""] * len(meta) for name in ("artist", "title")]
    return {one: (artist or "", title or "") for one, artist, title in zip(meta["track_id"], *columns, strict=True)}
