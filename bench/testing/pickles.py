"""Detect pickles in saved models without loading them: plain, in a zip file, or in a NumPy file."""

from __future__ import annotations

import io
import pickletools
import re
import zipfile

_BINARY = re.compile(rb"\x80[\x02-\x05][^\x00]")
"""Protocols 2 to 5. A safetensors file may start with the same two bytes, but then its third byte is zero."""


def holds_pickle(data: bytes) -> bool:
    """Whether the bytes of a file are, or contain, a pickle; this includes torch.save and object arrays of NumPy."""
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return any(holds_pickle(archive.read(name)) for name in archive.namelist())
    if data.startswith(b"\x93NUMPY"):
        return re.search(rb"'descr':[^}]*O'", data[:512]) is not None
    return _BINARY.match(data) is not None or _parses(data)


def _parses(data: bytes) -> bool:
    """Whether `data` consists of the opcodes of one pickle; this detects protocols 0 and 1."""
    end = -1
    try:
        for _, _, at in pickletools.genops(data):
            end = at or 0
    except Exception:  # any error of the parser means that it is not a pickle
        return False
    return end == len(data) - 1
