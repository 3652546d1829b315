"""What a shard offers, whatever its layout: rows, and the vectors of each layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

STATUS = ("ok", "short", "failed")


class Rows(NamedTuple):
    """The rows of a shard (N,): keys and reasons of failures in UTF-8, status as index in `STATUS`."""

    row: NDArray[np.bytes_]
    status: NDArray[np.uint8]
    reason: NDArray[np.bytes_]
    seconds: NDArray[np.float64]


class Shard(Protocol):
    """An open shard.

    Opening it, and every method, raises DamagedError, OSError, ValueError or KeyError if it is not what was written.
    """

    @property
    def notes(self) -> Mapping[str, str]:
        """The text that was written with the rows."""
        ...

    @property
    def layers(self) -> Sequence[str]:
        """The ids of the layers; a shard of failures has none."""
        ...

    def rows(self) -> Rows:
        """Return the rows."""
        ...

    def layer(self, name: str) -> NDArray[Any]:
        """Return the vectors (N, D) of a layer."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def expected_sha256(path: Path) -> str:
    """Return the hash in the name of a shard."""
    return path.stem.rpartition("-")[2]
