"""What happens on a pretended device: where the host waits for it, and which tensors are alive."""

from __future__ import annotations

import math
import sys
import weakref
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch

OWN = {str(Path(__file__).with_name(name)) for name in ("device_log.py", "pretend_device.py", "autocast_rules.py")}
"""Files whose functions are not the place of an event."""
aten = torch.ops.aten
WAITS = {
    aten._local_scalar_dense.default: "item",
    aten.nonzero.default: "nonzero",
    aten.masked_select.default: "boolean mask",
    aten.equal.default: "equal",
    aten.bincount.default: "bincount",
    aten._unique2.default: "unique",
    aten.unique_dim.default: "unique",
    aten.unique_consecutive.default: "unique",
}
"""Operations for which the host waits -> the kind of event."""


class OnDevice(Protocol):
    """A tensor of the device."""

    held: torch.Tensor


@dataclass
class Log:
    """What happened on the device.

    waits : (kind, place) -> how often the host would have waited for the device
    queued : (kind, place) -> copies with ``non_blocking=True``, for which the host does not wait
    launches : number of operations on the device
    alive, peak : bytes of all tensors on the device that something refers to; and the most of them since `clear`
    memory : bytes that the device has
    float64 : whether the device has that type; Apple's GPUs do not
    """

    waits: Counter[tuple[str, str]] = field(default_factory=Counter)
    queued: Counter[tuple[str, str]] = field(default_factory=Counter)
    launches: int = 0
    float64: bool = True
    memory: float = math.inf
    peak: int = 0
    _alive: int = 0
    _tensors: dict[int, weakref.ref[OnDevice]] = field(default_factory=dict)
    _storages: dict[int, list[int]] = field(default_factory=dict)
    """Address of a storage -> its bytes, and how many tensors share it."""

    @property
    def total(self) -> int:
        """Number of waits."""
        return self.waits.total()

    def clear(self) -> None:
        """Forget what happened so far."""
        self.waits.clear()
        self.queued.clear()
        self.launches = 0
        self.peak = self._alive

    def alive(self) -> int:
        """Return the bytes of all tensors on the device that something still refers to."""
        return self._alive

    def note(self, kind: str, *, blocking: bool = True) -> None:
        """Count an event at the innermost place outside torch and the device's own modules."""
        frame = sys._getframe(1)
        while frame.f_back and ("/torch/" in frame.f_code.co_filename or frame.f_code.co_filename in OWN):
            frame = frame.f_back
        where = f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_code.co_name}"
        (self.waits if blocking else self.queued)[kind, where] += 1

    def keep(self, tensor: OnDevice) -> None:
        """Count the bytes of a tensor as alive until nothing refers to it any more."""
        key, storage = id(tensor), tensor.held.untyped_storage()
        address = storage.data_ptr()

        def forget(_: object) -> None:
            del self._tensors[key]
            shared = self._storages[address]
            shared[1] -= 1
            if not shared[1]:
                self._alive -= self._storages.pop(address)[0]

        self._tensors[key] = weakref.ref(tensor, forget)
        if address not in self._storages:
            self._storages[address] = [storage.nbytes(), 0]
            self._alive += storage.nbytes()
        self._storages[address][1] += 1
        self.peak = max(self.peak, self._alive)
