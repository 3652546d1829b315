"""Threads that each run whole pieces of a batch with single-threaded torch operations.

On a CPU, torch splits every operation over all cores and waits at its end for the slowest one. While decoding
threads compete for the same cores, that waiting costs more than the splitting gains; pieces that run apart never
wait. The result of a piece does not depend on the number of threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")


class Threads:
    """As many threads as torch uses, which live as long as the model."""

    def __init__(self) -> None:
        import torch

        self._pool = ThreadPoolExecutor(torch.get_num_threads(), "model")
        self._local = threading.local()

    def map(self, work: Callable[[Piece], Result], pieces: Sequence[Piece]) -> list[Result]:
        """Return ``work(piece)`` for each piece, in order; no gradient is recorded."""
        import torch

        def run(piece: Piece) -> Result:
            if not hasattr(self._local, "single"):
                torch.set_num_threads(1)  # OpenMP has one number for each thread
                self._local.single = True
            with torch.inference_mode():  # holds for one thread only
                return work(piece)

        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # MKL has one number for all threads
        try:
            return list(self._pool.map(run, pieces))
        finally:
            torch.set_num_threads(threads)
