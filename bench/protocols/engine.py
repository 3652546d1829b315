"""Engines: where vectors and cells are computed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from bench.protocols.common import Plugin

Unit = TypeVar("Unit", contravariant=True)
Done = TypeVar("Done", covariant=True)


class Work(Protocol[Unit, Done]):
    """What an engine calls with each unit.

    It can be pickled at any time, with settings and without a loaded model; so can units and what it returns.
    An engine that computes elsewhere sends a copy and may set the `device` of that copy before its first call.
    Each call stores what it computed in the folders of cache and results, which all machines of an engine must see
    under one path.
    A call that is interrupted stores what it finished; calling it again with the same unit is safe.
    """

    device: str
    """A torch device, such as ``cpu`` or ``cuda:1``."""
    at_once: int
    """How many processes of one machine may be at work: 1 where a call uses all cores or a GPU, else what fits into
    the free memory."""

    def __call__(self, unit: Unit, /) -> Done:
        """Compute one unit. Any exception may leave it; a BenchError explains itself to the user."""


class Engine(Plugin, ABC):
    """Where vectors and cells are computed: this process, several, or a cluster."""

    workers: int = 1
    """Units in work at once: tracks to extract are cut into at least so many units."""

    @abstractmethod
    def map(self, work: Work[Unit, Done], units: Iterable[Unit]) -> Iterator[Done]:
        """Yield ``work(unit)`` for each unit once, in any order, as soon as it is known.

        What `work` raises ends the iteration, unless the engine can compute the unit in another place; then
        the exception, or a BenchError that names its cause, reaches the caller. Nothing keeps running after the
        iteration ended: by exhaustion, an exception of `work`, or one of the caller (Ctrl-C, `close`).
        """
