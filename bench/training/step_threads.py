"""Run short training steps on one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from bench.machine import threads

SHORT = 2e10
"""A step with fewer floating-point operations in matrix products runs on one thread: half a second of a core."""

Result = TypeVar("Result")


class StepThreads:
    """Chooses the number of threads of training steps on a CPU by the matrix products of the first step.

    The choice depends on shapes alone, not on time, so that a repeated training gives the same numbers. A short step
    gains little from several threads even on an idle machine; on a shared one, most of their time is waiting for one
    another (benchmarks/threads.py).
    """

    def __init__(self, device: str):
        import torch

        self._undecided = device == "cpu" and torch.get_num_threads() > 1
        self._one = self._undecided
        self._limit = ExitStack()

    @contextmanager
    def epoch(self) -> Iterator[None]:
        """Limit the threads while steps run; validation between epochs ranks on all threads."""
        with self._limit:
            if self._one:
                self._limit.enter_context(threads(1))
            yield

    def __call__(self, step: Callable[[Any], Result], batch: Any) -> Result:
        """Return ``step(batch)``; the first step runs on one thread, and its operations are counted."""
        if not self._undecided:
            return step(batch)
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            result = step(batch)
        self._undecided = False
        if counter.get_total_flops() >= SHORT:
            self._one = False
            self._limit.close()
        return result
