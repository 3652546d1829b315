"""The vectors of a task as tensors, optionally standardised."""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.probes.data import Part, ProbeData
from bench.treatments import moments

if TYPE_CHECKING:
    import torch

_BLOCK = 4096
"""Rows per block when standardising in float64."""


class Features:
    """The vectors of each part on the device, optionally standardised by mean and deviation of train."""

    def __init__(self, data: ProbeData, device: str) -> None:
        """Store `data`; `of` computes (and caches) the tensors of a part on first use."""
        self._data, self._device = data, device
        self.of = cache(self._of)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row: (D,), or (layers, D)."""
        return self._data.x["train"].shape[1:]

    def _of(self, part: Part, scale: bool) -> torch.Tensor:
        import torch

        x = np.ascontiguousarray(self._data.x[part], np.float32)
        if scale:
            mean, unit = self._moments
            x = np.concatenate(
                [((x[i : i + _BLOCK] - mean) * unit).astype(np.float32) for i in range(0, len(x), _BLOCK)]
            )
        return torch.from_numpy(x).to(self._device)

    @cached_property
    def _moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean and 1 / deviation over train; the factor of a constant feature (up to rounding) is 0."""
        mean, deviation = moments(self._data.x["train"])
        varies = deviation > 1e-6 * np.abs(mean)
        return mean, np.divide(1.0, deviation, out=np.zeros_like(deviation), where=varies)
