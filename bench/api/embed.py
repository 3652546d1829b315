"""``bench.embed``: the vectors of a collection of audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, Unpack

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.api.frames import Frame, tracks_file, vectors_file
from bench.api.progress import ui
from bench.api.work import Work, absolute, environment_of
from bench.errors import BenchError
from bench.protocols import Lane
from bench.registry import names
from bench.run.embed import Collection, write_vectors
from bench.run.inputs import open_data
from bench.run.options import Data, Environment
from bench.specs import Spec, parse_sum
from bench.store.exported import Exported, write_about

Vectors: TypeAlias = "str | Embeddings | Sequence[str | Embeddings]"
"""Specs of extractors, or vectors, one or several of either."""

Source: TypeAlias = "str | Path | Sequence[str | Path] | Frame"
"""A folder or list of audio, paths of audio files, a catalogue, or the name of a data set."""


@dataclass(frozen=True, eq=False)
class Embeddings:
    """The vectors of some items.

    ids : the ids of the N items, in the order of the rows
    vectors : array (N, D), float32
    name : the extractor that made them, or a name of your own for tables
    about : licence and training data of the extractor, which its vectors take along; None for vectors of your own
    """

    ids: list[str]
    vectors: NDArray[np.float32] = field(repr=False)
    name: str = "vectors"
    about: Exported | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    def __str__(self) -> str:
        return f"{self.name}: {len(self)} items x {self.vectors.shape[1]}"

    def to_polars(self) -> pl.DataFrame:
        """Return a frame of track_id and vector (an array of D numbers), a row per item."""
        vector = pl.Series("vector", self.vectors, dtype=pl.Array(pl.Float32, self.vectors.shape[1]))
        return pl.DataFrame({"track_id": self.ids}).with_columns(vector)

    def save(self, path: str | Path) -> None:
        """Write the vectors to a file that ``precomputed:path=FILE`` reads.

        Parameters
        ----------
        path
            A name that ends in .npy (the ids go to a file beside it), .parquet or .tsv.

        Raises
        ------
        BenchError
            For another ending, or a folder that cannot be written.

        """
        write_vectors(Path(path), self.ids, self.vectors)
        if self.about is not None:
            write_about(Path(path), self.about)


def embed(
    source: Source,
    extractor: str,
    *,
    layer: str | int | None = None,
    pooling: str | None = None,
    root: str | Path | None = None,
    lane: Lane = "corrected",
    **work: Unpack[Work],
) -> Embeddings:
    """Compute the vectors of a collection of audio; stored vectors are not computed again.

    Parameters
    ----------
    source
        A folder of audio files, or a list (CSV, TSV, Parquet) with columns track_id and path; paths of audio files,
        whose names without extension become the ids; a frame with columns track_id, path and, if wanted, offset and
        duration in seconds; or the name of a data set that brings audio, such as ``"demo"``.
    extractor
        One spec of ``bench ls extractors``, such as ``"musicnn"``; ``"mfcc+musicnn"`` joins two.
    layer
        The layer to take; None for the extractor's default.
    pooling
        How the windows of a track become one vector: mean, mean_std, max or first; None for the default.
    root
        The folder of the data set.
    lane
        ``corrected``, or ``published`` for what the papers did.
    **work
        Cache, device and the like: see `bench.api.work.Work`.

    Returns
    -------
    Embeddings
        Ids and vectors (N, D) of the tracks that have a vector, sorted by id. Tracks that cannot be embedded are left
        out and named.

    Raises
    ------
    BenchError
        For an unknown extractor or layer, missing weights, a source without audio, and if no track has a vector.

    Examples
    --------
    >>> found = bench.embed("music/", "musicnn", layer="penultimate")  # doctest: +SKIP
    >>> found.vectors.shape  # doctest: +SKIP
    (600, 753)

    """
    environment, output = environment_of(work), ui(quiet=work.get("quiet", False))
    view = {"layer": None if layer is None else str(layer), "pooling": pooling}
    specs = parse_sum(extractor)
    for key, value in view.items():
        if value is not None:
            specs = [spec.without(key).with_default(key, value) for spec in specs]
    text = "+".join(map(str, specs))
    collection = Collection(_data(source, root, environment), [text], lane, environment, output)
    if len(collection.entries) != 1:
        raise BenchError(f"{text} stands for {len(collection.entries)} tables: name one layer.")
    if not collection.extraction:
        raise BenchError(f"{text}: these do not use audio, so there is nothing to extract.")
    collection.plan()
    if collection.fill():
        for line in collection.summary():
            output.log(line)
    return Embeddings(*collection.vectors(), name="-".join(collection.entries[0].names), about=collection.about)


def catalog(data: str = "demo", *, root: str | Path | None = None, **work: Unpack[Work]) -> pl.DataFrame:
    """Return where the audio of a data set lies.

    Parameters
    ----------
    data
        A data set of ``bench ls datasets`` that brings audio.
    root
        Its folder.
    **work
        Options: see `bench.api.work.Work`.

    Returns
    -------
    polars.DataFrame
        A row per track, with track_id, path, and offset and duration in seconds, where a track is a part of a file.

    Raises
    ------
    BenchError
        For an unknown data set or folder, and for one without audio.

    """
    opened = open_data(Data(data=data, root=absolute(root)), environment_of(work))
    if opened.catalog is None:
        raise BenchError("there is no audio: give --audio DIR|LIST, or a dataset that brings some.")
    return opened.catalog


def _data(source: Source, root: str | Path | None, environment: Environment) -> Data:
    """Return the data that a source names."""
    if isinstance(source, str) and source.partition(":")[0] in names("datasets") and not Path(source).exists():
        return Data(data=source, root=absolute(root))
    if isinstance(source, str | Path):
        return Data(audio=absolute(source))
    return Data(audio=str(tracks_file(source, environment.cache)))


def specs_of(given: Vectors, environment: Environment) -> tuple[str, ...]:
    """Return the specs of extractors; vectors become files in the cache.

    Raises
    ------
    BenchError
        If ids and vectors do not fit together.

    """
    every = [given] if isinstance(given, str | Embeddings) else given
    return tuple(each if isinstance(each, str) else _precomputed(each, environment) for each in every)


def _precomputed(given: Embeddings, environment: Environment) -> str:
    file = vectors_file(given.ids, given.vectors, environment.cache, given.name, given.about)
    return str(Spec("precomputed", {"path": str(file)}))
