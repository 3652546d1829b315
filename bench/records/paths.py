"""Paths of the files beside a record."""

from __future__ import annotations

from pathlib import Path


def users_path(record_path: Path) -> Path:
    """Return the path of a record's per-user file."""
    return record_path.with_suffix(".users.parquet")


def ranks_path(record_path: Path) -> Path:
    """Return the path of the ranks of a record's held-out items."""
    return record_path.with_suffix(".ranks.parquet")


def rows_path(record_path: Path, kind: str) -> Path:
    """Return the path of a record's rows: a probe's predictions for every test item, else values of every user."""
    return record_path.with_suffix(".items.parquet") if kind == "probe" else users_path(record_path)
