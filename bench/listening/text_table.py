"""Open a table on disk lazily: CSV, TSV or Parquet, plain or compressed."""

from __future__ import annotations

import lzma
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import polars as pl

from bench.errors import BenchError
from bench.listening.text_blocks import parse, parts, stream_rows, unpack

SEPARATORS = ("\t", ",", ";", "|")
"""The separator is the one that occurs most often in the header line, the first of these if several do."""

_MAGIC = {
    b"PAR1": "parquet",
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_HEADER_LIMIT = 1 << 24

Damage = (pl.exceptions.PolarsError, OSError, EOFError, lzma.LZMAError)
"""Errors that reading a broken file can raise."""


@dataclass(frozen=True)
class Table:
    """A table that is open but not read: columns of text files are String, those of Parquet have their types."""

    path: Path
    frame: pl.LazyFrame
    schema: dict[str, pl.DataType]
    separator: str | None
    """None for Parquet."""
    quote: str | None
    first_line: int
    """Line number of the first row in the file (Parquet: 1)."""
    packing: str = ""
    headed: bool = True
    """Whether the file has a header line."""

    def place(self, row: int) -> str:
        """Return the file and line of `row` (from 0), for messages."""
        return f"{self.path}, {'row' if self.separator is None else 'line'} {row + self.first_line}"

    def parts(self) -> Iterator[pl.DataFrame]:
        """Yield the rows of a text table in order, `BLOCK` bytes at a time; memory is bounded."""
        assert self.separator is not None
        return parts(self.path, self.packing, list(self.schema), self.headed, self.separator, self.quote)


def open_table(path: Path, names: Sequence[str] | None = None) -> Table:
    """Open a CSV, TSV or Parquet file; text may be compressed with gzip, bz2, xz or zstd.

    `names` are the column names of a tab-separated file without a header line.

    The format is recognised by the file's first bytes, not by its name. Text must be UTF-8 and begin with a
    header line, which determines the separator (tab, comma, semicolon, bar). Double quotes enclose values,
    except in tab-separated files whose header has none: there they are ordinary characters.

    Raises
    ------
    BenchError
        The file is missing, a folder, empty, neither text nor Parquet, or its header has only one column.

    """
    if path.is_dir():
        raise BenchError(f"{path} is a folder; give one CSV, TSV or Parquet file.")
    try:
        with open(path, "rb") as file:
            start = file.read(8)
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}. Check the file's name.") from error
    if not start:
        raise BenchError(f"{path} is empty; expected a table with a header line.")
    packing = next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), "")
    if packing == "parquet":
        return _open_parquet(path)
    return _open_text(path, packing) if names is None else _open_without_header(path, packing, list(names))


@contextmanager
def lines(path: Path) -> Iterator[IO[bytes]]:
    """Open the decompressed bytes of a text table."""
    with open(path, "rb") as file:
        start = file.read(8)
    packing = next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), "")
    with unpack(path, packing) as stream:
        yield stream


def _open_parquet(path: Path) -> Table:
    frame = pl.scan_parquet(path, glob=False)
    try:
        schema = dict(frame.collect_schema())
    except Damage as error:
        raise BenchError(f"{path} is a damaged Parquet file ({error}). Get it again.") from error
    return Table(path, frame, schema, None, None, 1)


def _open_text(path: Path, packing: str) -> Table:
    blank, header = _header(path, packing)
    if header.lstrip().startswith(("{", "[")):
        raise BenchError(
            f"{path} is JSON, not a table. Convert it: python -c 'import polars; "
            f'polars.read_json("{path.name}").write_csv("{path.stem}.csv")\''
        )
    separator = max(SEPARATORS, key=header.count)
    if separator not in header:
        raise BenchError(
            f"{path}: the header {header!r} has one column only; expected a header line whose names are "
            "separated by tabs, commas, semicolons or bars."
        )
    quote = None if separator == "\t" and '"' not in header else '"'
    names = parse((header + "\n").encode(), separator, quote).columns
    schema: dict[str, pl.DataType] = {name: pl.String() for name in names}
    if packing in ("bz2", "xz"):
        frame = stream_rows(path, packing, names, True, separator, quote)
    else:
        frame = pl.scan_csv(path, separator=separator, quote_char=quote, infer_schema=False, glob=False)
    return Table(path, frame, schema, separator, quote, blank + 2, packing)


def _open_without_header(path: Path, packing: str, names: list[str]) -> Table:
    blank, line = _header(path, packing)
    if (found := line.count("\t") + 1) != len(names):
        raise BenchError(
            f"{path}, line {blank + 1}: {found} values between tabs; expected {len(names)} ({', '.join(names)}), "
            "and no header line."
        )
    frame = stream_rows(path, packing, names, False, "\t", None)
    schema: dict[str, pl.DataType] = {name: pl.String() for name in names}
    return Table(path, frame, schema, "\t", None, blank + 1, packing, headed=False)


def _header(path: Path, packing: str) -> tuple[int, str]:
    """Return the number of blank lines before the header, and the header line itself."""
    raw = b""
    try:
        stream = unpack(path, packing)
        with stream:
            while b"\n" not in raw.lstrip(b"\r\n") and len(raw) < _HEADER_LIMIT:
                block = stream.read(1 << 16)
                raw += block
                if not block:
                    break
    except Damage as error:
        raise BenchError(f"{path} cannot be decompressed ({error}). Get the file again.") from error
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    body = raw.lstrip(b"\r\n")
    if not body.strip():
        raise BenchError(f"{path} holds no text; expected a table with a header line.")
    line = body.split(b"\n", 1)[0].rstrip(b"\r")
    try:
        header = line.decode()
    except UnicodeDecodeError:
        header = "\0"
    if "\0" in header:
        raise BenchError(
            f"{path} is neither Parquet nor UTF-8 text (it starts with {line[:16]!r}). "
            "Convert it to UTF-8 CSV, TSV or Parquet."
        )
    return raw[: len(raw) - len(body)].count(b"\n"), header
