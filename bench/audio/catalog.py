"""The catalogue of tracks, read from a folder of audio files or from a list of ids and paths."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bench.errors import BenchError
from bench.listening.text_table import open_table

_NAMES = """
wav wave bwf rf64 w64 flac ogg oga opus mp3 mp2 mpga aif aiff aifc au snd caf
m4a m4b mp4 aac wma webm mka alac ape wv mpc tta ac3 3gp amr
"""
EXTENSIONS = frozenset(f".{name}" for name in _NAMES.split())
"""Extensions of audio files in a folder, in lower case. The decoder decides whether it can read them."""
NO_EXTENSION = "(no extension)"
NOT_UTF8 = "(name is not UTF-8)"
UNREADABLE = "(folder cannot be read)"
"""Keys of `Catalog.skipped` that are not extensions."""

SCHEMA = {"track_id": pl.String, "path": pl.String, "offset": pl.Float64, "duration": pl.Float64}


@dataclass(frozen=True, eq=False)
class Catalog:
    """The tracks of a collection.

    rows : track_id (str, unique), path (str, absolute), offset and duration (float64, seconds; null: from the
        start, to the end), sorted by track_id
    skipped : number of other files in the folder, by extension
    source : the folder or the list
    """

    rows: pl.DataFrame
    skipped: dict[str, int]
    source: str


def read(path: Path) -> Catalog:
    """Return the catalogue of the folder or list `path`.

    Raises
    ------
    BenchError
        If `path` does not exist or has no tracks; see also `folder` and `listed`.

    """
    path = Path(path).expanduser()
    if path.is_dir():
        return folder(path)
    if not path.exists():
        raise BenchError(f"{path} does not exist. Give a folder of audio files, or a CSV, TSV or Parquet list.")
    return listed(path)


def folder(root: Path) -> Catalog:
    """Return the audio files in `root` and its subfolders, without hidden files and folders.

    The id of a track is its path relative to `root`, with forward slashes and without extension; if ids would be
    equal, they include the extension. Symbolic links to folders are followed, and each folder is visited once: under
    its real path if that is inside `root`, otherwise under the link. A broken link stays in the catalogue; its
    extraction fails as missing.

    Raises
    ------
    BenchError
        If `root` cannot be read or has no audio file.

    """
    root = Path(os.path.abspath(Path(root).expanduser()))
    found, skipped = _walk(root)
    if not found:
        others = f" Files with other extensions: {sum(skipped.values())}." if skipped else ""
        raise BenchError(f"no audio files in {root}.{others} Known extensions: {' '.join(sorted(EXTENSIONS))}.")
    rows = pl.DataFrame({"file": found}, schema={"file": pl.String}).with_columns(
        track_id=pl.col("file").str.replace(r"\.[^./]*$", "")
    )
    # An id with its extension can be equal to another id ("a.mp3.wav" without extension, and "a.mp3"), hence the
    # loop. Each pass gives at least one more file its full name, and full names are unique.
    while (clash := rows["track_id"].is_duplicated()).any():
        rows = rows.with_columns(track_id=pl.when(clash).then(pl.col("file")).otherwise(pl.col("track_id")))
    rows = rows.select(
        pl.col("track_id"),
        path=pl.lit(f"{root}{os.sep}".replace(os.sep * 2, os.sep)) + pl.col("file").str.replace_all("/", os.sep),
        offset=pl.lit(None, dtype=pl.Float64),
        duration=pl.lit(None, dtype=pl.Float64),
    )
    return Catalog(rows.sort("track_id"), dict(sorted(skipped.items())), str(root))


def _walk(root: Path) -> tuple[list[str], Counter[str]]:
    """Return the audio files in `root` (relative paths, forward slashes), and the numbers of other files."""
    found: list[str] = []
    skipped: Counter[str] = Counter()
    visited: set[tuple[int, int]] = set()
    # Visit links last, so that a folder inside root is named by its real path.
    pending, links = [(str(root), "")], list[tuple[str, str]]()
    while pending or links:
        if not pending:
            links.sort(reverse=True)
            pending.append(links.pop())
        place, below = pending.pop()
        try:
            status = os.stat(place)
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            with os.scandir(place) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            if below == "":
                raise BenchError(f"cannot read folder {root}: {error.strerror or error}") from error
            skipped[UNREADABLE] += 1
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                (links if entry.is_symlink() else pending).append((entry.path, f"{below}{entry.name}/"))
                continue
            _, dot, suffix = entry.name.rpartition(".")
            extension = (dot + suffix).lower() if dot else ""
            if extension not in EXTENSIONS:
                skipped[_printable(extension)] += 1
            elif not _is_utf8(f"{root}{below}{entry.name}"):
                skipped[NOT_UTF8] += 1
            elif entry.is_symlink() or entry.is_file():
                found.append(f"{below}{entry.name}")
    return found, skipped


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder; a link that leads to itself, or through a folder that cannot be read, is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_utf8(name: str) -> bool:
    """Whether `name` can be encoded as UTF-8; Python represents other bytes by lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _printable(extension: str) -> str:
    return extension.encode(errors="replace").decode() or NO_EXTENSION


def listed(path: Path) -> Catalog:
    """Return the tracks of a CSV, TSV or Parquet file, which `bench.listening.text_table.open_table` reads.

    Columns: track_id (or id), path, and optionally offset and duration in seconds. Lines without any value are
    skipped. Relative paths are relative to the folder of the list; ``~`` is the home folder. A file that does not
    exist is not an error here: its extraction fails.

    Raises
    ------
    BenchError
        If a column is missing, an id is empty or repeated, a path is empty, or an offset or duration is not a
        number or is negative. Row numbers start at 1 after the header.

    """
    path = Path(path).expanduser()
    table = _table(path)
    if "track_id" not in table.columns and "id" in table.columns:
        table = table.rename({"id": "track_id"})
    if missing := [name for name in ("track_id", "path") if name not in table.columns]:
        raise BenchError(
            f"{path} has no column {' and no column '.join(missing)}. "
            f"Found: {', '.join(table.columns) or 'none'}. "
            "Expected: track_id (or id), path, and optionally offset and duration (seconds)."
        )
    table = table.with_row_index("row", 1).filter(~pl.all_horizontal(pl.exclude("row").is_null()))
    if not len(table):
        raise BenchError(f"{path} lists no tracks.")
    table = table.select(
        "row",
        pl.col("track_id", "path").cast(pl.String),
        *_seconds(table, "offset"),
        *_seconds(table, "duration"),
    )
    for name in ("track_id", "path"):
        _refuse(path, table, pl.col(name).fill_null("") == "", f"has an empty {name}", name)
    _refuse(path, table, ~pl.col("track_id").is_first_distinct(), "repeats the track_id", "track_id")
    for name, least in (("offset", "zero or more"), ("duration", "more than zero")):
        value = pl.col(f"{name}_number")
        low = value < 0 if name == "offset" else value <= 0
        wrong = (value.is_null() | value.is_infinite() | low) & pl.col(name).is_not_null()
        _refuse(path, table, wrong, f"needs {name} in seconds, {least}, or nothing; found", name)
    rows = table.select(
        "track_id",
        _absolute(table, Path(os.path.abspath(path)).parent),
        offset=pl.col("offset_number"),
        duration=pl.col("duration_number"),
    )
    return Catalog(rows.sort("track_id"), {}, str(path))


def _table(path: Path) -> pl.DataFrame:
    """Read a list without type inference, so that ids such as 007 do not change."""
    try:
        return open_table(path).read()
    except BenchError as error:
        raise BenchError(f"cannot read the list: {error}") from error


def _seconds(table: pl.DataFrame, name: str) -> tuple[pl.Expr, pl.Expr]:
    """Return the columns `name` (text, null if empty) and `name`_number (float64, null if not a number)."""
    if name not in table.columns:
        return pl.lit(None, dtype=pl.String).alias(name), pl.lit(None, dtype=pl.Float64).alias(f"{name}_number")
    given = pl.col(name).cast(pl.String).str.strip_chars()
    # pandas writes missing numbers as NaN.
    given = pl.when(given.str.to_lowercase().is_in(["", "nan"])).then(None).otherwise(given)
    return given.alias(name), given.cast(pl.Float64, strict=False).alias(f"{name}_number")


def _refuse(path: Path, table: pl.DataFrame, wrong: pl.Expr, complaint: str, column: str) -> None:
    """Raise `BenchError` if `wrong` is true for a row; the message names the first such row and their number."""
    bad = table.filter(wrong)
    if len(bad):
        more = f" ({len(bad)} such rows)" if len(bad) > 1 else ""
        row, track, value = bad.select("row", "track_id", pl.col(column).alias("value")).row(0)
        raise BenchError(f"{path}, row {row} (track_id {track!r}) {complaint}: {value!r}{more}")


def _absolute(table: pl.DataFrame, base: Path) -> pl.Expr:
    """Return the paths of `table` as absolute paths; relative ones are relative to `base`."""
    home = pl.col("path").str.extract(r"^(~[^/\\]*)", 1)
    users = table.select(home.alias("home"))["home"].drop_nulls().unique().to_list()
    known = {user: os.path.expanduser(user) for user in users}
    rest = pl.col("path").str.replace(r"^~[^/\\]*", "")
    expanded = pl.when(home.is_null()).then(pl.col("path")).otherwise(home.replace(known) + rest)
    rooted = expanded.str.contains(r"^([A-Za-z]:)?[/\\]" if os.name == "nt" else "^/")
    below = pl.lit(f"{base}{os.sep}".replace(os.sep * 2, os.sep))
    return pl.when(rooted).then(expanded).otherwise(below + expanded).alias("path")
