"""What the data sets of this package share: their folder, the files in it, and what is kept of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from bench.errors import BenchError
from bench.files.atomic import digest
from bench.files.hash_index import HashIndex
from bench.listening import parquet_cache
from bench.protocols import Dataset

PACKED = ("", ".bz2", ".gz", ".xz", ".zst")
"""What may follow the name of a text file."""

AUDIO = (".mp3", ".flac", ".wav", ".ogg", ".opus", ".m4a")


class FolderDataset(Dataset):
    """A data set in a folder that the user names with ``--root``.

    Subclasses say what the folder lacks (`missing`) and what it is read from (`sources`). What is large is
    converted or hashed once, and kept below the cache.
    """

    default_split: str = "global_temporal"
    default_k: int = 50

    def __init__(self, settings: Any = None) -> None:
        """Keep the settings; look at nothing."""
        super().__init__(settings)
        self._cache: Path | None = None

    def prepare(self, root: Path | None, cache: Path) -> Path:
        """Check that the folder holds what is needed, and return it.

        Raises
        ------
        BenchError
            No folder is given, it is none, or files are missing: it says which, and where they were looked for.

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

    def missing(self, root: Path) -> list[str]:
        """Return the names of files that are needed and absent."""
        raise NotImplementedError

    def sources(self, root: Path) -> list[Path]:
        """Return the files that listening data and metadata are read from."""
        raise NotImplementedError

    def fingerprint(self, root: Path) -> dict[str, Any]:
        """Name, settings and sha256 of the files; each is read once and remembered by size and time."""
        files = {str(path.relative_to(root)): self.sha256(path) for path in self.sources(root)}
        return {"name": self.name, "settings": dict(vars(self.settings)), "files": files}

    def folder(self, key: Any) -> Path:
        """Return the folder of the cache for what depends on `key` (plain JSON values) alone."""
        return self._below("datasets") / f"{type(self).name}-{digest(key)[:16]}"

    def sha256(self, path: Path) -> str:
        """sha256 of a file, remembered by its path, size and time of change."""
        return HashIndex(self._below("hashes.sqlite")).sha256(path)

    def _below(self, name: str) -> Path:
        if self._cache is None:
            raise BenchError(f"the data set {self.name} was not prepared: call prepare(root, cache) first.")
        return self._cache / name


class LogDataset(FolderDataset):
    """A folder whose log is text: it is turned into Parquet on first use."""

    def log(self, root: Path) -> parquet_cache.Log:
        """Return where the log is, and which of its columns are which."""
        raise NotImplementedError

    def listens(self, root: Path) -> pl.LazyFrame:
        """user, item (str), time (datetime, UTC), in the order of the file."""
        folder = self.converted(root)
        parquet_cache.converted(self.log(root), folder)
        return parquet_cache.scan(folder)

    def converted(self, root: Path) -> Path:
        """Return the folder of the converted log, made or not."""
        log = self.log(root)
        return self.folder({"log": self.sha256(log.path), **log.key()})

    def notes(self, root: Path) -> list[str]:
        """Return what was left out when the log was converted."""
        counts = parquet_cache.noted(self.converted(root)) or {}
        kinds = {"blank": "blank lines", "without_item": "plays without the id of an item"}
        left = [f"{counts[name]:,} {what}" for name, what in kinds.items() if counts.get(name)]
        return [f"{self.log(root).path.name}: left out {', '.join(left)}"] if left else []


def find(root: Path, names: Sequence[str]) -> Path | None:
    """Return the first of `names` that is in `root` or one folder below; `root` itself comes first.

    Raises
    ------
    BenchError
        Two subfolders hold it, or the folder cannot be read.

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
    """Return each name as it is and with the endings of compressed files."""
    return [name + ending for name in names for ending in PACKED]


def audio_in(folder: Path) -> pl.DataFrame:
    """Return a catalogue of the files of one folder; a track's id is its file name without extension.

    Raises
    ------
    BenchError
        Two files have one id, or there is no audio.

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
    if (twice := rows.filter(pl.col("track_id").is_duplicated())).height:
        raise BenchError(f"{twice['path'][0]} and {twice['path'][1]} are one track by their names. Keep one of them.")
    none = pl.lit(None, dtype=pl.Float64)
    return rows.with_columns(offset=none, duration=none)
