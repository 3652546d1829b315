"""The labels of the windows of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Targets:
    """The K labels of the windows of a batch: the window (K,), ascending, and the label (K,) of each."""

    window: NDArray[np.int64]
    label: NDArray[np.int64]
