"""Read text tables, plain or compressed, in blocks of complete rows, so that memory stays bounded."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

import polars as pl

from bench.errors import BenchError
from bench.listening import quotes
from bench.listening.columns import listed
from bench.machine import cores

BLOCK = 1 << 26
"""Bytes of decompressed text that are parsed at a time."""

_SMALLEST_BZ2 = 14
"""Bytes of a bz2 stream that holds nothing."""


def unpack(path: Path, packing: str) -> IO[bytes]:
    """Open a file for reading decompressed bytes; `packing` is gzip, bz2, xz, zstd or empty (plain)."""
    if packing == "zstd":
        import pyarrow as pa

        return io.BufferedReader(pa.input_stream(str(path), compression="zstd"))
    unpackers: dict[str, Callable[..., Any]] = {"gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open}
    return io.BufferedReader(unpackers.get(packing, open)(path, "rb"))


@dataclass(frozen=True)
class Layout:
    """How a delimited text is written.

    packing : gzip, bz2, xz, zstd, or "" for plain text
    names : the columns
    headed : whether the first line that is not blank names the columns
    quote : the double quote if values may be enclosed in it, None if quotes are characters like any other
    first_line : the number of the first line that holds a row
    prose : whether values in quotes may contain lines that look like rows
    """

    path: Path
    packing: str
    names: Sequence[str]
    headed: bool
    separator: str
    quote: str | None
    first_line: int
    prose: bool = False


def parse(text: bytes, separator: str, quote: str | None) -> pl.DataFrame:
    """Parse text with a header line; all columns are read as String. Quotes must be as `quotes.cut` leaves them."""
    quote = quote if b'"' in text else None
    return pl.read_csv(io.BytesIO(text), separator=separator, quote_char=quote, infer_schema=False)


def parts(layout: Layout) -> Iterator[pl.DataFrame]:
    """Parse a text table in blocks of complete rows, and compare the number of rows with a count of lines.

    Raises
    ------
    BenchError
        A row has too many values, is not UTF-8, or has a value in quotes that does not end properly; the message
        names file and line.

    """
    separator, quote = layout.separator, layout.quote
    # Every block is parsed with the same header line in front of it.
    head = b"" if layout.headed else separator.join(layout.names).encode()
    line = layout.first_line - layout.headed
    for rows in whole_rows(layout):
        block, count, physical = rows.text, rows.rows, rows.lines
        if layout.headed and not head:
            head, _, block = block.partition(b"\n")
            count, physical, line = count - 1, physical - 1, line + 1
        if not block:
            continue
        try:
            part = parse(head + b"\n" + block, separator, quote)
        except pl.exceptions.PolarsError as error:
            raise _blamed(layout, head + b"\n" + block, line - 1) or error from error
        if part.height != count:
            raise BenchError(
                f"{layout.path}, lines {line} to {line + physical - 1}: {count} rows, of which the parser read "
                f"{part.height}. Convert the file to Parquet."
            )
        yield part
        line += physical


def line_of(layout: Layout, row: int) -> int:
    """Return the number of the line on which a row (from 0, without the header) begins."""
    line, row = layout.first_line - layout.headed, row + layout.headed
    for found in whole_rows(layout):
        if row < found.rows:
            return line + found.line_of(row)
        line, row = line + found.lines, row - found.rows
    return line


def _blamed(layout: Layout, text: bytes, line: int) -> BenchError | None:
    """Return an error that names the first unreadable row of a text, or None; `line` is the header's number."""
    for number, row in enumerate(text.split(b"\n"), line):
        try:
            row.decode()
        except UnicodeDecodeError as wrong:
            return BenchError(f"{layout.path}, line {number}: not UTF-8 ({wrong.reason}). Convert it.")
    mark = {"quoting": csv.QUOTE_NONE} if layout.quote is None else {"strict": True}
    reader = csv.reader(io.StringIO(text.decode(), newline=""), delimiter=layout.separator, **mark)
    before = 0
    for values in reader:
        if (found := len(values)) > (columns := len(layout.names)):
            return BenchError(
                f"{layout.path}, line {line + before}: {found} values, but there are {columns} columns "
                f"({listed(layout.names)}). Expected values separated by {layout.separator!r}."
            )
        before = reader.line_num
    return None


def whole_rows(layout: Layout) -> Iterator[quotes.Cut]:
    """Yield blocks of complete rows, including the header.

    Raises
    ------
    BenchError
        A value in quotes does not end properly, or encloses rows; the message names file and line.

    """
    line, rest = layout.first_line - layout.headed, b""
    for block, final in _ending(_trimmed(_blocks(layout.path, layout.packing))):
        text = rest + block
        try:
            if layout.quote is None:
                found = quotes.lines_of(text, final=final)
            else:
                found = quotes.cut(text, layout.separator, final=final)
        except quotes.QuoteError as error:
            raise BenchError(
                f"{layout.path}, line {line + error.line}: {error}. "
                "Enclose the value in quotes, and write each quote in it twice."
            ) from error
        # A line break within quotes.
        if found.lines > found.rows and not layout.prose:
            at = quotes.run_on(found.text, layout.separator, len(layout.names))
            if at is not None:
                raise BenchError(
                    f"{layout.path}, line {line + at}: a quote encloses the end of this line and the next, and each "
                    "of them is a row by itself. Double each quote that is part of a value, in a value within quotes."
                )
        rest = found.rest
        line += found.lines
        if found.text:
            yield found


def _ending(blocks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield each block with False, and finally an empty block with True."""
    for block in blocks:
        yield block, False
    yield b"", True


def _trimmed(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Leave out the byte order mark and blank lines at the start."""
    start = b""
    for block in blocks:
        start += block
        text = start.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
        if len(start) > 3 and text:
            yield text
            yield from blocks
            return
    yield start.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")


def _blocks(path: Path, packing: str) -> Iterator[bytes]:
    if packing == "bz2" and _has_rapidgzip():
        yield from _parallel_bz2(path)
        return
    with unpack(path, packing) as stream:
        while block := stream.read(BLOCK):
            yield block


def _has_rapidgzip() -> bool:
    """Return whether rapidgzip can be trusted: before 0.16.2 it read some damaged files without an error."""
    try:
        return tuple(map(int, version("rapidgzip").split(".")[:3])) >= (0, 16, 2)
    except (PackageNotFoundError, ValueError):
        return False


def _parallel_bz2(path: Path) -> Iterator[bytes]:
    """Decompress bz2 on all cores of this process; errors are those of `bz2.open`."""
    from rapidgzip import IndexedBzip2File

    with IndexedBzip2File(str(path), parallelization=cores()) as stream:
        try:
            while block := stream.read(BLOCK):
                yield block
        except (RuntimeError, ValueError) as error:
            raise OSError(f"invalid bz2 data: {error}") from error
        with open(path, "rb") as file:
            file.seek(stream.tell_compressed() // 8)
            rest = file.read(_SMALLEST_BZ2)
    # rapidgzip ignores a last stream that ends inside its header.
    if 0 < len(rest) < _SMALLEST_BZ2 and b"BZh".startswith(rest[:3]):
        raise EOFError("compressed file ends inside a stream")


def stream_rows(layout: Layout) -> pl.LazyFrame:
    """Scan text in blocks of complete rows, lazily; memory stays bounded."""
    from polars.io.plugins import register_io_source

    def rows(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        remaining = n_rows
        for part in parts(layout):
            if remaining is not None:
                part = part.head(remaining)
                remaining -= part.height
            if predicate is not None:
                part = part.filter(predicate)
            yield part.select(with_columns) if with_columns is not None else part
            if remaining == 0:
                return

    return register_io_source(rows, schema=dict.fromkeys(layout.names, pl.String))
