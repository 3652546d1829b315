"""What happens on a pretended device: where the host waits for it, and which tensors are alive."""

from __future__ import annotations

import sys
import weakref
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch

OWN = {str(Path(__file__).with_name(name)) for name in ("device_log.py", "pretend_device.py", "autocast_rules.py")}
"""Files whose functions are not the place of an event."""


class OnDevice(Protocol):
    """A tensor of the device."""

    held: torch.Tensor


@dataclass
class Log:
    """What happened on the device.

    waits : (kind, place) -> how often the host would have waited for the device
    queued : (kind, place) -> copies with ``non_blocking=True``, for which the host does not wait
    launches : number of operations on the device
    float64 : whether the device has that type; Apple's GPUs do not
    """

    waits: Counter[tuple[str, str]] = field(default_factory=Counter)
    queued: Counter[tuple[str, str]] = field(default_factory=Counter)
    launches: int = 0
    float64: bool = True
    _alive: dict[int, weakref.ref[OnDevice]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Number of waits."""
        return self.waits.total()

    def clear(self) -> None:
        """Forget what happened so far."""
        self.waits.clear()
        self.queued.clear()
        self.launches = 0

    def alive(self) -> int:
        """Return the bytes of all tensors on the device that something still refers to."""
        held = [tensor.held for ref in list(self._alive.values()) if (tensor := ref()) is not None]
        storages = {storage.data_ptr(): storage.nbytes() for storage in (each.untyped_storage() for each in held)}
        return sum(storages.values())

    def note(self, kind: str, *, blocking: bool = True) -> None:
        """Count an event at the innermost place outside torch and the device's own modules."""
        frame = sys._getframe(1)
        while frame.f_back and ("/torch/" in frame.f_code.co_filename or frame.f_code.co_filename in OWN):
            frame = frame.f_back
        where = f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_code.co_name}"
        (self.waits if blocking else self.queued)[kind, where] += 1

    def keep(self, tensor: OnDevice) -> None:
        """Remember a tensor for `alive`, without keeping it."""
        key = id(tensor)
        self._alive[key] = weakref.ref(tensor, lambda _: self._alive.pop(key, None))
