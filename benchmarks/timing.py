"""The least time of several rounds of some work, by the clock and by processor time."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

NEVER = (float("inf"), float("inf"))


def best(before: tuple[float, float], device: str, work: Callable[[], object]) -> tuple[float, float]:
    """Run `work` once and wait for the device; return the smaller of `before` and now, as (clock, processor) seconds.

    Works that are compared take turns, so that each has its rounds among those of the others.
    """
    clock, processor = time.perf_counter(), time.process_time()
    work()
    if device != "cpu":
        torch.accelerator.synchronize(device)
    return min(before[0], time.perf_counter() - clock), min(before[1], time.process_time() - processor)


def timed(device: str, work: Callable[[], object], rounds: int = 3) -> float:
    """Return the least wall-clock seconds of some rounds, after one to warm up."""
    best(NEVER, device, work)
    found = NEVER
    for _ in range(rounds):
        found = best(found, device, work)
    return found[0]
