"""Write safetensors files with reproducible bytes, and read torch checkpoints without executing code.

The writer of the safetensors library does not promise the same bytes for the same tensors; converted weights are
checked by their sha256.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

if TYPE_CHECKING:
    import torch

SAFE_TORCH = (2, 10)
"""Older versions have known ways around ``weights_only`` (CVE-2025-32434, CVE-2026-24747)."""
_PIECE = 1 << 24
_NAMES = {
    "f8": "F64", "f4": "F32", "f2": "F16", "i8": "I64", "i4": "I32", "i2": "I16", "i1": "I8", "u1": "U8", "b1": "BOOL"
}  # fmt: skip
_TYPES = {name: np.dtype(f"<{kind}" if kind[1] != "1" else kind) for kind, name in _NAMES.items()}


Place = tuple[np.dtype[Any], tuple[int, ...], int, int]
"""Of a tensor: type, shape, first byte and the byte after the last, counted from the end of the header."""


def header_of(tensors: Mapping[str, NDArray[np.generic]], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return the start of the file that `write_safetensors` writes: the length of the header in 8 bytes, the header."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name in _order(tensors):
        array = tensors[name]
        start, end = end, end + array.nbytes
        kind = _NAMES[array.dtype.str.lstrip("<|=")]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def write_safetensors(
    path: Path, tensors: Mapping[str, NDArray[np.generic]], metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays to `path`, sorted by item size (largest first), then by name; and text for the header's metadata.

    Equal arrays give equal bytes, which the hashes declared in the code require; the library's own writer
    does not guarantee that for all its versions.
    """
    with open(path, "wb") as file:
        file.write(header_of(tensors, metadata))
        for name in _order(tensors):
            file.write(bytes_of(tensors[name]))


def _order(tensors: Mapping[str, NDArray[np.generic]]) -> list[str]:
    return sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))


def bytes_of(array: NDArray[np.generic]) -> memoryview:
    """Return the bytes of an array, without a copy if it is contiguous."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def parse_header(text: bytes) -> tuple[dict[str, Place], dict[str, str]]:
    """Return the places of the tensors and the metadata in a header (without its length).

    Raises
    ------
    ValueError, KeyError, TypeError, AttributeError
        When it is no such header.

    """
    header = json.loads(text)
    metadata = header.pop("__metadata__", {})
    places = {
        name: (_TYPES[about["dtype"]], tuple(about["shape"]), *about["data_offsets"]) for name, about in header.items()
    }
    return places, metadata


def read_safetensors(path: Path, device: str = "cpu") -> dict[str, torch.Tensor]:
    """Read a safetensors file as torch tensors; raises BenchError if it is none. Imports torch."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device=device)
    except SafetensorError as error:
        raise BenchError(f"{path} is not a safetensors file: {error}.") from error


def read_hashed(path: Path) -> tuple[NDArray[np.uint8], str]:
    """Return the bytes (N,) of a file and their sha256 (hex): what was hashed is what is used, whoever writes to it."""
    with open(path, "rb") as file:
        content = np.empty(os.fstat(file.fileno()).st_size, np.uint8)
        view, seen, at = content.data, hashlib.sha256(), 0
        while got := file.readinto(view[at : at + _PIECE]):
            seen.update(view[at : at + got])
            at += got
    return content[:at], seen.hexdigest()


def tensors_of(content: NDArray[np.uint8], where: str, device: str = "cpu") -> dict[str, torch.Tensor]:
    """Return the tensors in the bytes of a file of `write_safetensors`; on the CPU they are views. Imports torch.

    Raises
    ------
    BenchError
        When `content` (read from `where`) is no safetensors file.

    """
    import torch

    try:
        length = int.from_bytes(content[:8].tobytes(), "little")
        places, _ = parse_header(content[8 : 8 + length].tobytes())
        data, out = content[8 + length :], {}
        for name, (dtype, shape, start, end) in places.items():
            out[name] = torch.from_numpy(data[start:end].view(dtype).reshape(shape)).to(device)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BenchError(f"{where} is not a safetensors file: {error}.") from error
    return out


class _Ignored:
    """Takes the place of an object that nobody needs, whatever arguments and state it was pickled with."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def read_torch(path: Path, ignore: Sequence[str] = ()) -> Any:
    """Read a torch checkpoint as plain data, without executing code in it (``weights_only=True``).

    For `Weights.convert`, which is called after the file's hash has been verified or accepted. `ignore` lists classes
    and functions, such as ``numpy.dtype``, that the file names beside its tensors: they are not called, and empty
    objects take the place of what they would return.

    Raises
    ------
    BenchError
        The file is not a checkpoint, or contains anything but tensors and plain containers; or torch is older than
        `SAFE_TORCH`.

    """
    import torch

    if tuple(map(int, torch.__version__.split(".")[:2])) < SAFE_TORCH:
        raise BenchError(
            f"torch {torch.__version__} can be made to run code by a crafted checkpoint. To convert {path}, install "
            f"torch {'.'.join(map(str, SAFE_TORCH))} or newer; once converted, any torch reads it."
        )
    try:
        with torch.serialization.safe_globals([(_Ignored, name) for name in ignore]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what is no checkpoint raises whatever its bytes happen to ask for
        raise BenchError(
            f"{path} cannot be read as plain tensors ({str(error).partition(chr(10))[0]}). It is refused: "
            "a pickle with anything else in it can run code."
        ) from error
