"""Frames and arrays become files in the cache, named by their content, so that records can name and hash them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.files.atomic import digest, file_sha256
from bench.run.embed import write_vectors
from bench.store.exported import Exported, write_about

if TYPE_CHECKING:
    import pandas as pd

Frame: TypeAlias = "pl.DataFrame | pl.LazyFrame | pd.DataFrame"
"""A table of polars or pandas."""


def as_polars(frame: Any) -> pl.DataFrame:
    """Return a frame of polars or pandas as one of polars; raise BenchError for anything else."""
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if isinstance(frame, pl.DataFrame):
        return frame
    if type(frame).__module__.partition(".")[0] == "pandas":
        made: pl.DataFrame = pl.from_pandas(frame)
        return made
    raise BenchError(f"{type(frame).__name__} is neither a path nor a frame of polars or pandas.")


def listens_file(frame: Frame, cache: Path) -> Path:
    """Write a listening log to the cache and return its path.

    Parameters
    ----------
    frame
        The plays (N, columns), with the user, item and time of each.
    cache
        The cache folder.

    Raises
    ------
    BenchError
        If it has no row, or is no frame.

    """
    table = as_polars(frame)
    if table.is_empty():
        raise BenchError("the listening log has no row.")
    return _kept(cache, "listens.parquet", table.write_parquet)


def tracks_file(tracks: Sequence[str | Path] | Frame, cache: Path) -> Path:
    """Write a list of audio files to the cache and return its path.

    Parameters
    ----------
    tracks
        Paths of files, whose names without extension become the ids; or a frame with columns track_id and path.
    cache
        The cache folder.

    Raises
    ------
    BenchError
        If two files have the same name without extension.

    """
    if isinstance(tracks, list | tuple):
        files = [Path(path).expanduser().resolve() for path in tracks]
        table = pl.DataFrame({"track_id": [file.stem for file in files], "path": list(map(str, files))})
    else:
        table = as_polars(tracks)
        if "path" in table.columns:  # relative ones start from the current folder: the list lies elsewhere
            found = [path and str(Path(path).expanduser().resolve()) for path in table["path"].cast(pl.String)]
            table = table.with_columns(path=pl.Series(found, dtype=pl.String))
    if isinstance(tracks, list | tuple) and (twice := table.filter(table["track_id"].is_duplicated())).height:
        both = " and ".join(twice.filter(track_id=twice["track_id"][0])["path"].head(2))
        raise BenchError(f"{both} have the same name. Give a table with columns track_id and path.")
    return _kept(cache, "tracks.parquet", table.write_parquet)


def vectors_file(
    ids: Sequence[Any], vectors: NDArray[Any], cache: Path, name: str, about: Exported | None = None
) -> Path:
    """Write vectors to the cache as ``NAME.npy`` with ids, for the extractor `precomputed`, and return the path.

    Parameters
    ----------
    ids
        The ids of the N items.
    vectors
        Array (N, D) of numbers.
    cache
        The cache folder.
    name
        The name in tables.
    about
        What is known of the vectors of an extractor, for checks of leaks; None for vectors from elsewhere.

    Raises
    ------
    BenchError
        If the shapes do not fit, or an id occurs twice or has a line break.

    """
    found = np.asarray(vectors)
    if found.ndim != 2 or not np.issubdtype(found.dtype, np.number) or np.iscomplexobj(found):
        raise BenchError(f"vectors must be numbers of shape (items, dimensions), not {found.dtype} {found.shape}.")
    names = [str(each) for each in ids]
    if len(names) != len(found):
        raise BenchError(f"there are {len(found)} vectors but {len(names)} ids.")
    if len(set(names)) != len(names):
        seen = pl.Series(names)
        raise BenchError(f"id {seen.filter(seen.is_duplicated())[0]!r} occurs more than once; keep one row per id.")
    if not name or set(name) & set("/\\:,+=()\n") or name.startswith("."):
        raise BenchError(f"name={name!r}: a name has none of / \\ : , + = ( ).")

    def write(path: Path) -> None:
        write_vectors(path, names, found.astype(np.float32))
        if about is not None:
            write_about(path, about)

    return _kept(cache, f"{name}.npy", write)


def _kept(cache: Path, name: str, write: Callable[[Path], object]) -> Path:
    """Write the file `name`, and what is written beside it, into a folder named by the content of all; return it."""
    home = cache / "frames"
    home.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=home, prefix=".") as made:
        write(Path(made) / name)
        files = sorted(Path(made).iterdir())
        folder = home / digest([[each.name, file_sha256(each)] for each in files])[:24]
        folder.mkdir(exist_ok=True)
        for each in files:
            if not (folder / each.name).exists():
                each.replace(folder / each.name)
    return folder / name
