"""Threads that each run whole pieces of a batch with single-threaded torch operations.

On a CPU, torch splits every operation over all cores and waits for the slowest at its end. While
decoding threads compete for the same cores, that waiting costs more than the splitting gains; pieces
that run apart never wait. A piece's result does not depend on how many threads there are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")


class Crew:
    """As many threads as torch uses, kept for the life of a model."""

    def __init__(self) -> None:
        import torch

        self._pool = ThreadPoolExecutor(torch.get_num_threads(), "model")
        self._known = threading.local()

    def map(self, work: Callable[[Piece], Result], pieces: Sequence[Piece]) -> list[Result]:
        """Return ``work(piece)`` for each piece, in order; no gradient is recorded."""
        import torch

        def quietly(piece: Piece) -> Result:
            if not hasattr(self._known, "single"):
                torch.set_num_threads(1)  # OpenMP's number is each thread's own
                self._known.single = True
            with torch.inference_mode():  # holds for one thread only
                return work(piece)

        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # MKL's number is the same for all threads
        try:
            return list(self._pool.map(quietly, pieces))
        finally:
            torch.set_num_threads(threads)
