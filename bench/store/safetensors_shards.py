"""Shards: safetensors files written atomically, named by the hash of their header, which holds that of each tensor.

A shard holds the rows as tensors (key, status, reason, seconds) and one tensor (N, D) for each layer, so one layer is
read by one range read. The layout was chosen by measuring (``benchmarks/store.py``). Parquet stores vectors as lists,
and encoding and decoding them took most of the CPU seconds of writing and reading. Arrow files are about as fast as
safetensors files, but hold no checksums.

The sha256 of every tensor is in the header, and the sha256 of the header is in the file name. So each layer can be
verified alone, when it is read. SHA-256 hashes 1.5 GiB a CPU second on a processor with SHA instructions; BLAKE2b
hashes half as much, and CRC-32 twice as much, but a CRC is no name for a file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.files.atomic import whole
from bench.files.hash_index import stamp_of
from bench.formats.safetensors import Place, bytes_of, header_of, parse_header, write_safetensors
from bench.formats.sealed import DamagedError
from bench.store.shard import Rows, expected_sha256
from bench.store.verified import Verified

SUFFIX = ".safetensors"
_HASH = "sha256:"
_LAYER = "layer:"


def write(
    folder: Path, kind: str, rows: Rows, vectors: Mapping[str, NDArray[np.generic]], notes: Mapping[str, str]
) -> None:
    """Write ``<kind>-<sha256>.safetensors`` atomically.

    Parameters
    ----------
    vectors : layer id -> (N, D) array
    notes : text for the metadata of the file (elapsed seconds, device)

    """
    tensors: dict[str, NDArray[Any]] = {"status": rows.status, "seconds": rows.seconds}
    for name, texts in (("row", rows.row), ("reason", rows.reason)):
        tensors[name] = texts.view(np.uint8).reshape(len(texts), texts.itemsize)
    tensors |= {_LAYER + name: matrix for name, matrix in vectors.items()}
    hashes = {_HASH + name: hashlib.sha256(bytes_of(tensor)).hexdigest() for name, tensor in tensors.items()}
    metadata = {**notes, **hashes}
    name = f"{kind}-{hashlib.sha256(header_of(tensors, metadata)).hexdigest()}{SUFFIX}"
    with whole(folder / name) as temporary:
        write_safetensors(temporary, tensors, metadata)


def part_name(path: Path, layer: str) -> str:
    """Return the name under which `Verified` knows a layer of a shard."""
    return f"{path}#{layer.encode().hex()}"


class _Header(NamedTuple):
    places: Mapping[str, Place]
    size: int
    layers: Sequence[str]
    notes: Mapping[str, str]
    sha256_of: Mapping[str, str]


@lru_cache(1024)
def _parse(head: bytes, expected: str) -> _Header:
    """Return the header of a shard; hashing and parsing it take longer than reading a layer of few tracks."""
    if hashlib.sha256(head).hexdigest() != expected:
        raise DamagedError("its bytes have changed")
    places, metadata = parse_header(head[8:])
    return _Header(
        places,
        max((end for *_, end in places.values()), default=0),
        [name.removeprefix(_LAYER) for name in places if name.startswith(_LAYER)],
        {key: value for key, value in metadata.items() if not key.startswith(_HASH)},
        {key.removeprefix(_HASH): value for key, value in metadata.items() if key.startswith(_HASH)},
    )


class SafetensorsShard:
    """An open shard; see `bench.store.shard.Shard`."""

    def __init__(self, path: Path, verified: Verified):
        self._path, self._verified = path, verified
        self._file = open(path, "rb")  # noqa: SIM115
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        status = os.fstat(self._file.fileno())
        self._stamp = stamp_of(status)
        head = self._file.read(8)
        head += self._file.read(min(int.from_bytes(head, "little"), status.st_size))
        self._header = _parse(head, expected_sha256(self._path))
        if self._verified.condemned(str(self._path), self._stamp):
            raise DamagedError("its bytes have changed")
        self._start = len(head)
        self.notes, self.layers = self._header.notes, self._header.layers
        if status.st_size != self._start + self._header.size:
            raise DamagedError("it is not whole")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def rows(self) -> Rows:
        """Return the rows."""
        row, status, reason, seconds = (self._tensor(name) for name in Rows._fields)
        for name, found in zip(Rows._fields, (row, status, reason, seconds), strict=True):
            if _sha256(found) != self._header.sha256_of[name]:
                raise DamagedError("its bytes have changed")
        return Rows(_text(row), status, _text(reason), seconds)

    def layer(self, name: str) -> NDArray[Any]:
        """Return the vectors (N, D) of a layer."""
        found = self._tensor(_LAYER + name)
        part = part_name(self._path, name)
        if not self._verified.holds(part, self._stamp, self._header.sha256_of[_LAYER + name], lambda: _sha256(found)):
            self._verified.condemn(str(self._path), self._stamp)
            raise DamagedError("its bytes have changed")
        return found

    def _tensor(self, name: str) -> NDArray[Any]:
        dtype, shape, start, end = self._header.places[name]
        content = np.empty(end - start, np.uint8)
        self._file.seek(self._start + start)
        if self._file.readinto(content.data) != len(content):
            raise DamagedError("it is not whole")
        return content.view(dtype).reshape(shape)


def _sha256(array: NDArray[Any]) -> str:
    return hashlib.sha256(bytes_of(array)).hexdigest()


def _text(content: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    return content.view(f"S{content.shape[1]}").reshape(-1)
