"""Find pickles in saved models without ever loading one: plain, in a zip, or behind a NumPy header."""

from __future__ import annotations

import io
import pickletools
import re
import zipfile

_BINARY = re.compile(rb"\x80[\x02-\x05][^\x00]")
"""Protocol 2 to 5. A safetensors file may begin with the same two bytes; its third is zero."""


def holds_pickle(data: bytes) -> bool:
    """Whether the bytes of a file are, or pack, a pickle: also torch.save, np.savez and object arrays."""
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            return any(holds_pickle(packed.read(name)) for name in packed.namelist())
    if data.startswith(b"\x93NUMPY"):
        return re.search(rb"'descr':[^}]*O'", data[:512]) is not None
    return _BINARY.match(data) is not None or _parses(data)


def _parses(data: bytes) -> bool:
    """Whether all of `data` reads as the opcodes of a pickle, as those of protocols 0 and 1 do."""
    end = -1
    try:
        for _, _, at in pickletools.genops(data):
            end = at or 0
    except Exception:  # whatever the parser stumbles over, it is no pickle
        return False
    return end == len(data) - 1
