"""Read released annotations and find audio files: columns of tables, lines of lists, files by stem."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from bench.audio.catalog import EXTENSIONS
from bench.errors import BenchError
from bench.listening.columns import listed
from bench.listening.text_table import Table, open_table

LISTS = Path(__file__).parent / "lists"
"""Folder of the short lists that come with this package, and their licence."""
NONE = pl.lit(None, dtype=pl.Float64)
"""The offset and the duration of a clip that is a complete file."""


def first(root: Path, names: str) -> Path:
    """Return the first path of ``A|B|C`` that exists; if none exists, return A."""
    paths = [root / name for name in names.split("|")]
    return next((path for path in paths if path.exists()), paths[0])


def table(path: Path, columns: Sequence[str]) -> tuple[pl.DataFrame, Table]:
    """Read columns of a table as text, without surrounding spaces; return them and the table, which locates rows.

    Raises
    ------
    BenchError
        If the file cannot be read, or lacks a column.

    """
    opened = open_table(path)
    names = {name.strip(): name for name in opened.schema}
    if missing := [name for name in columns if name not in names]:
        raise BenchError(
            f"{path}, line 1: there is no column {', no column '.join(map(repr, missing))}. "
            f"The header is {listed(opened.schema)}."
        )
    wanted = [pl.col(names[name]).cast(pl.String).str.strip_chars().alias(name) for name in columns]
    return opened.read().select(wanted), opened


def numbers(frame: pl.DataFrame, opened: Table, columns: Sequence[str]) -> pl.DataFrame:
    """Turn text columns into float64.

    Raises
    ------
    BenchError
        If a value is not a finite number; the message names file, line and column.

    """
    for name in columns:
        found = frame[name].cast(pl.Float64, strict=False)
        wrong = found.is_null() | ~found.is_finite().fill_null(False)
        if wrong.any():
            row = int(wrong.arg_true()[0])
            raise BenchError(f"{opened.place(row)}: {name} is {frame[name][row]!r}; expected a number.")
        frame = frame.with_columns(found.alias(name))
    return frame


def unique(frame: pl.DataFrame, opened: Table, column: str) -> None:
    """Raise `BenchError` if a value of the column is empty or occurs twice."""
    absent = frame[column].is_null() | (frame[column] == "")
    wrong = absent | ~frame[column].is_first_distinct()
    if wrong.any():
        row = int(wrong.arg_true()[0])
        what = f"repeats {frame[column][row]!r}" if not absent[row] else "is empty"
        raise BenchError(f"{opened.place(row)}: {column} {what}; expected each item once.")


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number (from 1) and the text of each line that is not blank.

    Raises
    ------
    BenchError
        If the file cannot be read, or is not UTF-8.

    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"cannot read {path}: {error}. It must be text in UTF-8.") from error
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def audio_by_stem(folder: Path) -> dict[str, str]:
    """Return the path of every audio file in a folder and its subfolders, by stem; the first path wins."""
    found: dict[str, str] = {}
    for place, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(names):
            stem, ending = os.path.splitext(name)
            if ending.lower() in EXTENSIONS and not name.startswith("."):
                found.setdefault(stem, os.path.join(place, name))
    return found


def audio_paths(folder: Path, stems: Sequence[str], endings: Sequence[str] = (".wav", ".mp3")) -> list[str]:
    """Return a path for each stem (``rock/rock.00001``): the file that exists, or else the first of `endings`."""
    known: dict[Path, Mapping[str, str]] = {}
    out = []
    for stem in stems:
        path = folder / stem
        if path.parent not in known:
            try:
                known[path.parent] = {os.path.splitext(n)[0]: n for n in sorted(os.listdir(path.parent), reverse=True)}
            except OSError:
                known[path.parent] = {}
        out.append(str(path.parent / known[path.parent].get(path.name, path.name + endings[0])))
    return out
