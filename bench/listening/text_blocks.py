"""Text tables in blocks of whole rows, whatever their wrapping: memory stays bounded."""

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
    """Open the bytes behind a wrapping: gzip, bz2, xz, zstd, or none."""
    if packing == "zstd":
        import pyarrow as pa

        return io.BufferedReader(pa.input_stream(str(path), compression="zstd"))
    unpackers: dict[str, Callable[..., Any]] = {"gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open}
    return io.BufferedReader(unpackers.get(packing, open)(path, "rb"))


def parse(text: bytes, separator: str, quote: str | None) -> pl.DataFrame:
    """Parse text with a header line; every column is String."""
    return pl.read_csv(io.BytesIO(text), separator=separator, quote_char=quote, infer_schema=False)


def parts(
    path: Path, packing: str, names: list[str], headed: bool, separator: str, quote: str | None
) -> Iterator[pl.DataFrame]:
    """Parse a text table in blocks of whole rows."""
    # The header is repeated over every block, so that each is parsed as the first one is.
    head = b"" if headed else separator.join(names).encode()
    first = True
    for block in _whole_rows(path, packing, quote):
        if first:
            block = block.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
            first = not block
            if headed:
                head, _, block = block.partition(b"\n")
        if block:
            yield parse(head + b"\n" + block, separator, quote)


def _whole_rows(path: Path, packing: str, quote: str | None) -> Iterator[bytes]:
    rest = b""
    for block in _blocks(path, packing):
        whole, newline, tail = (rest + block).rpartition(b"\n")
        # An odd number of quotes: the block ends inside a field that holds a line break.
        if not newline or (quote and whole.count(b'"') % 2):
            rest += block
            continue
        yield whole + newline
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
    """Scan text that polars cannot decompress, in blocks of whole rows; memory stays bounded."""
    from polars.io.plugins import register_io_source

    def rows(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        left = n_rows
        for part in parts(path, packing, names, headed, separator, quote):
            if left is not None:
                part = part.head(left)
                left -= part.height
            if predicate is not None:
                part = part.filter(predicate)
            yield part.select(with_columns) if with_columns is not None else part
            if left == 0:
                return

    return register_io_source(rows, schema=dict.fromkeys(names, pl.String))
