"""Read the arrays of an HDF5 file without pickle or executing code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError


def read_hdf5(path: Path, extra: str) -> dict[str, NDArray[np.generic]]:
    """Return path inside the file -> array, for every data set of numbers. Links to other files are not followed.

    extra : name of this project's extra that installs h5py, for the message

    Raises
    ------
    BenchError
        h5py is not installed, or the file is not HDF5 or is truncated; the message names the command or the file.

    """
    try:
        import h5py
    except ImportError as error:
        raise BenchError(
            f"{path.name} is an HDF5 file, and h5py is not installed: pip install 'music-embedding-bench[{extra}]'."
        ) from error
    out: dict[str, NDArray[np.generic]] = {}

    def keep(name: str, found: object) -> None:
        if isinstance(found, h5py.Dataset) and found.dtype.kind in "biuf":
            out[name] = found[()]

    try:
        with h5py.File(path, "r") as file:
            file.visititems(keep)
    except (OSError, RuntimeError) as error:
        raise BenchError(f"{path} cannot be read as HDF5: {error}.") from error
    return out
