"""Tracks with labels and no listening log: what probes of labels need, and nothing more."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl

from bench.errors import BenchError
from bench.files.atomic import file_sha256
from bench.listening.metadata import read_meta
from bench.protocols import Dataset


class LabelDataset(Dataset):
    """The tracks of ``--meta FILE`` alone; recommenders cannot use it."""

    source = "given on the command line"
    layout = "one CSV, TSV or Parquet file with track_id and labels; a column part (train, valid, test) fixes the split"
    default_split = "global_temporal"
    default_k = 50

    def __init__(self, path: Path) -> None:
        """Store the path; the file is not read."""
        super().__init__()
        self.path = path
        self.name = re.sub(r"[^\w.-]+", "-", path.name.partition(".")[0]) or "labels"

    def prepare(self, root: Path | None, cache: Path) -> Path:
        """Return the folder of the file.

        Raises
        ------
        BenchError
            When there is no such file.

        """
        if not self.path.is_file():
            raise BenchError(f"--meta {self.path}: there is no such file.")
        return self.path.parent

    def listens(self, root: Path) -> pl.LazyFrame:
        """Refuse, because there is no log."""
        raise BenchError(f"{self.path} holds labels and no listening. Give a log with --listens.")

    def meta(self, root: Path) -> pl.DataFrame:
        """Return the labels; see `bench.listening.metadata.read_meta`."""
        return read_meta(self.path)

    def fingerprint(self, root: Path) -> dict[str, Any]:
        """Return the sha256 of the file."""
        return {"meta": file_sha256(self.path)}
