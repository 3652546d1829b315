"""Copies between the host and a device that neither of them waits for, where the device can queue them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


class Transfer:
    """Copies to and from one device.

    On a GPU, copies are queued behind the computation. The host memory is pinned, and torch reuses a block only
    after the copy from it has ended.

    queued : the device computes while the host goes on, so a batch can be fetched after the next one has started
    """

    def __init__(self, device: str):
        self.device = torch.device(device)
        self._pinned = self.device.type == "cuda"
        self.queued = hasattr(getattr(torch, self.device.type, None), "Event") and self.device.type not in (
            "cpu",
            "mps",
        )

    def up(self, waves: Sequence[NDArray[np.float32]]) -> torch.Tensor:
        """Return windows (T,) of equal length as one tensor (B, T) on the device."""
        host = torch.empty((len(waves), len(waves[0])), pin_memory=self._pinned)
        np.stack(waves, out=host.numpy())
        return host.to(self.device, non_blocking=self.queued)

    def down(self, values: torch.Tensor) -> Callable[[], NDArray[Any]]:
        """Start to copy a tensor to the host, and return a function that waits for the array."""
        if not self.queued:
            return values.cpu().numpy
        host = torch.empty(values.shape, dtype=values.dtype, pin_memory=self._pinned)
        host.copy_(values, non_blocking=True)
        module = getattr(torch, self.device.type)
        copied = module.Event()
        copied.record(module.current_stream(values.device))  # by default that of the first GPU, whichever copies

        def wait() -> NDArray[Any]:
            copied.synchronize()
            return host.numpy()

        return wait
