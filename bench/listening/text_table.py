"""Open a table on disk lazily: CSV, TSV or Parquet, plain or compressed."""

from __future__ import annotations

import lzma
import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

import numpy as np
import polars as pl

from bench.errors import BenchError
from bench.listening.quotes import QuoteError, cut
from bench.listening.text_blocks import Layout, line_of, parse, parts, stream_rows, unpack, whole_rows

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
    first_line: int
    """Line number of the first row, if each row above it has one line (Parquet: 1)."""
    layout: Layout | None = None
    """How the text is written; None for Parquet."""

    def place(self, row: int) -> str:
        """Return the file and line of `row` (from 0), for messages."""
        if self.layout is None:
            return f"{self.path}, row {row + self.first_line}"
        if self.layout.quote is None:
            return f"{self.path}, line {row + self.first_line}"
        # A value in quotes may take several lines.
        return f"{self.path}, line {line_of(self.layout, row + self.first_line - self.layout.first_line)}"

    def parts(self) -> Iterator[pl.DataFrame]:
        """Yield the rows of a text table in order, `BLOCK` bytes at a time; memory is bounded."""
        assert self.layout is not None
        return parts(self.layout)

    def read(self) -> pl.DataFrame:
        """Return all rows and columns.

        Raises
        ------
        BenchError
            The file cannot be read to its end; the message names file and line.

        """
        try:
            if self.layout is None:
                return self.frame.collect()
            return pl.concat([pl.DataFrame(schema=self.schema), *self.parts()])
        except Damage as error:
            self.refuse(error)

    def refuse(self, error: Exception) -> NoReturn:
        """Raise a BenchError for an error in reading the table; it names the line, if there is one."""
        try:
            for _ in self.parts() if self.layout is not None else ():
                pass
        except Damage as damage:
            error = damage
        raise BenchError(f"{self.path} cannot be read to its end ({error}). Get the file again.") from error

    def rows(self) -> int | None:
        """Return the number of rows, counted without a parser; None for Parquet, and if `parts` counts them."""
        scanned = self.layout and _scanned(self.layout)
        return scanned[1] if scanned else None


def open_table(path: Path, names: Sequence[str] | None = None, *, prose: bool = False) -> Table:
    """Open a CSV, TSV or Parquet file; text may be compressed with gzip, bz2, xz or zstd.

    `names` are the column names of a tab-separated file without a header line. With `prose`, a value in quotes
    may contain lines that look like rows; otherwise such a value is an error.

    The format is recognised by the file's first bytes, not by its name. Text must be UTF-8 and begin with a
    header line, which determines the separator (tab, comma, semicolon, bar). A double quote at the start of a
    value encloses the value; all other double quotes are ordinary characters. In tab-separated files whose header
    has no double quote, all of them are ordinary characters. See `bench.listening.quotes`.

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
    return _open_text(path, packing, prose) if names is None else _open_without_header(path, packing, list(names))


def _open_parquet(path: Path) -> Table:
    frame = pl.scan_parquet(path, glob=False)
    try:
        schema = dict(frame.collect_schema())
    except Damage as error:
        raise BenchError(f"{path} is a damaged Parquet file ({error}). Get it again.") from error
    return Table(path, frame, schema, None, 1)


def _open_text(path: Path, packing: str, prose: bool) -> Table:
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
    line = (header + "\n").encode()
    if quote:
        try:
            line = cut(line, separator, final=True).text
        except QuoteError as error:
            raise BenchError(f"{path}, line {blank + 1}: {error}: {header!r}.") from error
    names = parse(line, separator, quote).columns
    layout = Layout(path, packing, names, True, separator, quote, blank + 2, prose)
    if scanned := _scanned(layout):
        frame = pl.scan_csv(path, separator=separator, quote_char=scanned[0], infer_schema=False, glob=False)
    else:
        frame = stream_rows(layout)
    return _table(layout, frame)


def _table(layout: Layout, frame: pl.LazyFrame) -> Table:
    schema: dict[str, pl.DataType] = {name: pl.String() for name in layout.names}
    return Table(layout.path, frame, schema, layout.separator, layout.first_line, layout)


def _scanned(layout: Layout) -> tuple[str | None, int] | None:
    """Return the quote character and the number of rows if polars can read the file itself, which is faster, or None.

    It can if the file is not compressed and its quotes need no mending.
    """
    if layout.packing or not layout.headed:
        return None
    status = layout.path.stat()
    return _surveyed(replace(layout, names=tuple(layout.names)), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _surveyed(layout: Layout, _size: int, _changed: int) -> tuple[str | None, int] | None:
    """Count the rows of a file once, and look at its quotes."""
    with open(layout.path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        if layout.quote is None or text.find(b'"') < 0:
            data = np.frombuffer(text, np.uint8)
            blocks = range(0, data.size, 1 << 20)
            lines = sum(int(np.count_nonzero(data[at : at + (1 << 20)] == ord("\n"))) for at in blocks)
            lines += bool(data[-1] != ord("\n"))
            del data
            return None, lines - (layout.first_line - 1)
    rows = -1  # the header
    try:
        for found in whole_rows(layout):
            if found.mended:
                return None
            rows += found.rows
    except BenchError:
        return None  # raised again, with its line, when the rows are read
    return layout.quote, rows


def _open_without_header(path: Path, packing: str, names: list[str]) -> Table:
    blank, line = _header(path, packing)
    if (found := line.count("\t") + 1) != len(names):
        raise BenchError(
            f"{path}, line {blank + 1}: {found} values between tabs; expected {len(names)} ({', '.join(names)}), "
            "and no header line."
        )
    layout = Layout(path, packing, names, False, "\t", None, blank + 1)
    return _table(layout, stream_rows(layout))


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
