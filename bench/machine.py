"""How many cores this process may use, and the control groups (containers, batch systems) that limit it."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def cores() -> int:
    """Return the cores this process may use: those it may run on, or the CPU time it is granted, rounded up."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for folder in control_groups("cpu") if (quota := _quota(folder)) is not None]
    return max(1, math.ceil(min([found, *quotas])))


_processes = 1


def share() -> int:
    """Return the cores for this process: all `cores`, or an equal part of them in a process of an engine."""
    return max(1, cores() // _processes)


def share_with(processes: int) -> None:
    """Say that this process is one of so many that divide the cores among them."""
    global _processes
    _processes = processes


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Limit the numeric libraries, and torch if it is imported, to `count` threads.

    Steps that take less than a millisecond are slower on several threads than on one: a thread that has finished
    its part waits for the others, and on a shared machine this wait is longer than the work.
    """
    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    with threadpool_limits(count):
        if torch:
            torch.set_num_threads(count)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)


def control_groups(controller: str) -> Iterator[Path]:
    """Yield the folders of Linux control groups, v1 and v2, that limit this process: its own, then all above.

    In a container the group may be named as the host sees it; then the root that the container sees counts.
    """
    for line in (read(_OWN) or "").splitlines():
        _, names, path = line.split(":", 2)
        if names and controller not in names.split(","):
            continue
        root = _GROUPS / controller if names else _GROUPS
        folder = root / path.lstrip("/")
        yield from (each for each in (folder, *folder.parents) if each == root or root in each.parents)


def read(file: Path) -> str | None:
    """Return what a file of the system says; None where it is absent or closed to this process."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None


def _quota(folder: Path) -> float | None:
    """Return a group's CPU seconds per second (v2, then v1); None without a limit."""
    words = (read(folder / "cpu.max") or "").split()
    words = words or [read(folder / f"cpu.cfs_{what}_us") or "" for what in ("quota", "period")]
    if len(words) != 2 or not all(word.isdigit() for word in words):  # v2 says max, v1 says -1
        return None
    return int(words[0]) / int(words[1])
