"""How much memory there is, how much of it is free, and how much this process has taken."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.machine import control_groups, read

GB = 1e9
_INFO = Path("/proc/meminfo")
# Of a control group (v2, then v1): its limit, what it uses, and the part of that which the system takes back at need.
_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)

_TRIM, _MMAPS = -1, -4
"""M_TRIM_THRESHOLD and M_MMAP_MAX of glibc's malloc.h."""


def total() -> float:
    """Return the bytes of main memory that this process may use; infinity where that cannot be known."""
    return min([_installed(), *(limit for limit, _ in _limits())])


def free(device: str) -> float:
    """Return the bytes that are free on a device, such as ``cpu`` or ``cuda:1``; infinity where that cannot be known.

    Main memory: what the system calls available, or what the control groups of this process leave, if
    that is less. A GPU: what its driver calls free, and what torch has reserved there but not in use.
    """
    if not device.startswith("cpu"):
        import torch

        module = getattr(torch, torch.device(device).type, None)
        if info := getattr(module, "mem_get_info", None):  # Apple's GPUs, which have none, use the main memory
            known = (getattr(module, name, None) for name in ("memory_reserved", "memory_allocated"))
            reserved, used = (ask(device) if ask else 0 for ask in known)
            return float(info(device)[0] + reserved - used)
    found = re.search(r"^MemAvailable:\s+(\d+) kB", read(_INFO) or "", re.MULTILINE)
    available = 1024.0 * int(found[1]) if found else _installed()
    return min([available, *(max(0.0, limit - used) for limit, used in _limits())])


def peak() -> int | None:
    """Return the most bytes this process has held at once; None where the system does not say (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


@contextmanager
def kept() -> Iterator[None]:
    """Let the C library keep freed memory for later use instead of returning it to the system at once.

    A step of training frees and takes large blocks all the time, and the system clears every page it hands out: on a
    CPU that took four tenths of the time. Without glibc, this does nothing.
    """
    try:
        import ctypes

        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (ImportError, OSError, AttributeError):
        yield
        return
    mallopt(_TRIM, -1)  # never
    mallopt(_MMAPS, 0)  # no block of its own
    try:
        yield
    finally:
        mallopt(_TRIM, 128 << 10)  # the defaults of glibc
        mallopt(_MMAPS, 1 << 16)


def _installed() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf, other systems not these names
        return math.inf


def _limits() -> list[tuple[float, float]]:
    """Return limit and use, in bytes, of every control group that limits this process."""
    found = []
    for folder in control_groups("memory"):
        for limit, usage, idle in _FILES:
            most, used = read(folder / limit) or "", read(folder / usage) or ""
            if most.isdigit() and used.isdigit():  # without a limit, v2 says max; v1 a number beyond any memory
                cached = re.search(rf"^{idle} (\d+)$", read(folder / "memory.stat") or "", re.MULTILINE)
                found.append((float(most), float(used) - (float(cached[1]) if cached else 0.0)))
    return found
