"""Base classes of the data sets in this package: they check the folder, find files and cache results."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from bench.errors import BenchError
from bench.files.atomic import digest
from bench.files.hash_index import HashIndex
from bench.listening import parquet_cache
from bench.listening.places import places
from bench.protocols import Dataset

PACKED = ("", ".bz2", ".gz", ".xz", ".zst")
"""Suffixes of text files: plain or compressed."""

AUDIO = (".mp3", ".flac", ".wav", ".ogg", ".opus", ".m4a")


class FolderDataset(Dataset):
    """Base class for data sets in the folder given by ``--root``.

    Subclasses implement `missing`, `sources` and `listens`. Large files are converted or hashed once; the
    results are stored in the cache.
    """

    default_split: str = "global_temporal"
    default_k: int = 50
    later: ClassVar[Mapping[str, Any]] = {}
    """Settings added after the first version, with the values that reproduce it: they leave fingerprints unchanged."""

    def __init__(self, settings: Any = None) -> None:
        """Store the settings; no file is read."""
        super().__init__(settings)
        self._cache: Path | None = None

    def prepare(self, root: Path | None, cache: Path) -> Path:
        """Check that the folder contains the required files, and return its absolute path.

        Raises
        ------
        BenchError
            No folder is given, it does not exist, or files are missing; the message names them.

        """
        if root is None:
            raise BenchError(f"the data set {self.name} needs --root DIR. The folder must hold: {self.layout}.")
        root = root.absolute()
        if not root.is_dir():
            raise BenchError(f"--root {root} is not a folder. {self.name} expects there: {self.layout}.")
        self._cache = cache.absolute()
        if missing := self.missing(root):
            raise BenchError(
                f"{self.name}: {root} and its subfolders hold no {', no '.join(missing)}. Expected: {self.layout}."
            )
        return root

    @abstractmethod
    def missing(self, root: Path) -> list[str]:
        """Return the names of required files that are absent."""

    @abstractmethod
    def sources(self, root: Path) -> list[Path]:
        """Return the files that listening data and metadata are read from."""

    def fingerprint(self, root: Path) -> dict[str, Any]:
        """Return name, settings and sha256 of the files; unchanged files are hashed only once."""
        files = {path.relative_to(root).as_posix(): self.sha256(path) for path in self.sources(root)}
        chosen = vars(self.settings).items()
        settings = {name: value for name, value in chosen if name not in self.later or value != self.later[name]}
        return {"name": self.name, "settings": settings, "files": files}

    def folder(self, key: Any) -> Path:
        """Return the cache folder for results that depend only on `key` (plain JSON values) and the data set's code."""
        return self._below("datasets") / f"{type(self).name}-{digest({'version': self.version, 'key': key})[:16]}"

    def sha256(self, path: Path) -> str:
        """Return the sha256 of a file, cached by its path, size and modification time."""
        return HashIndex(self._below("hashes.sqlite")).sha256(path)

    def _below(self, name: str) -> Path:
        if self._cache is None:
            raise BenchError(f"the data set {self.name} was not prepared: call prepare(root, cache) first.")
        return self._cache / name


class LogDataset(FolderDataset):
    """Base class for data sets whose log is text; it is converted to Parquet on first use."""

    @abstractmethod
    def log(self, root: Path) -> parquet_cache.Log:
        """Return the path of the log and its columns."""

    def listens(self, root: Path) -> pl.LazyFrame:
        """Return user, item (str), time (datetime, UTC), in the order of the file."""
        return parquet_cache.scan(self.convert(root))

    def places(self, root: Path, first: int, last: int) -> list[str]:
        """Return the lines of some plays from second `first` to `last`."""
        log = self.log(root)
        return places(log.open(), log.columns, first, last)

    def convert(self, root: Path) -> Path:
        """Convert the log, unless that has been done before, and return the folder of the converted log."""
        folder = self.converted_folder(root)
        parquet_cache.convert(self.log(root), folder)
        return folder

    def converted_folder(self, root: Path) -> Path:
        """Return the folder of the converted log, which may not exist yet."""
        log = self.log(root)
        return self.folder({"log": self.sha256(log.path), **log.key()})

    def notes(self, root: Path) -> list[str]:
        """Return what was left out when the log was converted."""
        counts = parquet_cache.read_counts(self.converted_folder(root)) or {}
        kinds = {"blank": "blank lines", "without_item": "plays without the id of an item"}
        left_out = [f"{counts[name]:,} {what}" for name, what in kinds.items() if counts.get(name)]
        return [f"{self.log(root).path.name}: left out {', '.join(left_out)}"] if left_out else []


def find(root: Path, names: Sequence[str]) -> Path | None:
    """Return the path of the first of `names` that exists in `root` or, if not there, in one of its subfolders.

    Raises
    ------
    BenchError
        Two subfolders contain it, or the folder cannot be read.

    """
    try:
        below = sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise BenchError(f"cannot read the folder {root}: {error.strerror}. Choose another one with --root.") from error
    for name in names:
        if (root / name).exists():
            return root / name
        if len(found := [root / folder / name for folder in below if (root / folder / name).exists()]) > 1:
            raise BenchError(f"{root}: {name} is there twice ({found[0]}, {found[1]}). Keep one of them.")
        if found:
            return found[0]
    return None


def packed(*names: str) -> list[str]:
    """Return each name, unchanged and with the suffixes of compressed files."""
    return [name + ending for name in names for ending in PACKED]


def audio_in(folder: Path) -> pl.DataFrame:
    """Return a catalogue of the audio files in a folder; a track's id is its file name without extension.

    Raises
    ------
    BenchError
        Two files have the same id, or there is no audio.

    """
    names = [entry.name for entry in os.scandir(folder) if not entry.name.startswith(".")]
    stems = [os.path.splitext(name) for name in names]
    rows = pl.DataFrame(
        {"track_id": [stem for stem, end in stems if end.lower() in AUDIO]}
        | {"path": [str(folder / (stem + end)) for stem, end in stems if end.lower() in AUDIO]},
        schema={"track_id": pl.String, "path": pl.String},
    ).sort("track_id", "path")
    if not rows.height:
        raise BenchError(f"{folder} holds no audio ({', '.join(AUDIO)}). Remove the folder, or fill it.")
    if (same := rows.filter(pl.col("track_id").is_duplicated())).height:
        raise BenchError(f"{same['path'][0]} and {same['path'][1]} have the same track id. Remove one of them.")
    null = pl.lit(None, dtype=pl.Float64)
    return rows.with_columns(offset=null, duration=null)
