"""Read text tables, plain or compressed, in blocks of complete rows, so that memory stays bounded."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

import polars as pl

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


def parse(text: bytes, separator: str, quote: str | None) -> pl.DataFrame:
    """Parse text with a header line; all columns are read as String."""
    return pl.read_csv(io.BytesIO(text), separator=separator, quote_char=quote, infer_schema=False)


def parts(
    path: Path, packing: str, names: list[str], headed: bool, separator: str, quote: str | None
) -> Iterator[pl.DataFrame]:
    """Parse a text table and yield it in blocks of complete rows."""
    # Every block is parsed with the same header line in front of it.
    head = b"" if headed else separator.join(names).encode()
    first = True
    for block in _complete_rows(path, packing, quote):
        if first:
            block = block.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
            first = not block
            if headed:
                head, _, block = block.partition(b"\n")
        if block:
            yield parse(head + b"\n" + block, separator, quote)


def _complete_rows(path: Path, packing: str, quote: str | None) -> Iterator[bytes]:
    rest = b""
    for block in _blocks(path, packing):
        rows, newline, tail = (rest + block).rpartition(b"\n")
        # An odd number of quotes: the block ends inside a field that holds a line break.
        if not newline or (quote and rows.count(b'"') % 2):
            rest += block
            continue
        yield rows + newline
        rest = tail
    yield rest


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


def stream_rows(
    path: Path, packing: str, names: list[str], headed: bool, separator: str, quote: str | None
) -> pl.LazyFrame:
    """Scan text that polars cannot decompress, in blocks of complete rows; memory stays bounded."""
    from polars.io.plugins import register_io_source

    def rows(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        remaining = n_rows
        for part in parts(path, packing, names, headed, separator, quote):
            if remaining is not None:
                part = part.head(remaining)
                remaining -= part.height
            if predicate is not None:
                part = part.filter(predicate)
            yield part.select(with_columns) if with_columns is not None else part
            if remaining == 0:
                return

    return register_io_source(rows, schema=dict.fromkeys(names, pl.String))
