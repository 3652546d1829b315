"""Parts of a file as files of their own, for libraries that read through Python."""

from __future__ import annotations

import io
import os
from typing import Any


class Section(io.RawIOBase):
    """The bytes ``start : stop`` of a file; `stop` None: to its end.

    An `endless` section reports a much larger size than it has. An MP3 without a Xing header does not state its
    length. libsndfile estimates it from the size of the file and the bit rate of the first frame, and stops there,
    which can lose half of a file with variable bit rate. With a very large size, libsndfile reads until the data ends.
    """

    FAR = 1 << 40
    """Bytes added to the size: months of audio, even at the highest bit rate."""

    def __init__(self, path: str, start: int = 0, stop: int | None = None, *, endless: bool = False) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115
        self.start = start
        self._stop = stop
        self._far = self.FAR if endless else 0
        self._beyond = 0
        self._file.seek(start)

    @property
    def position(self) -> int:
        """Where the next read begins, in bytes from the start of the file."""
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes, or the rest."""
        if self._stop is None:
            return self._file.read(size)
        left = max(self._stop - self._file.tell(), 0)
        return self._file.read(left if size < 0 else min(size, left))

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; return the number of bytes."""
        if self._stop is None:
            return self._file.readinto(buffer)
        left = max(self._stop - self._file.tell(), 0)
        return self._file.readinto(memoryview(buffer)[:left])

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to an offset in the section."""
        self._beyond = self._far if whence == os.SEEK_END else 0
        if whence == os.SEEK_SET:
            offset += self.start
        elif whence == os.SEEK_END and self._stop is not None:
            offset, whence = offset + self._stop, os.SEEK_SET
        return self._file.seek(offset, whence) - self.start + self._beyond

    def tell(self) -> int:
        """Return the offset in the section."""
        return self._file.tell() - self.start + self._beyond

    def close(self) -> None:
        """Release the file."""
        self._file.close()
        super().close()
