"""The engine `processes`: a process for each of several devices of this machine; and how an engine uses processes."""

from __future__ import annotations

import _thread
import copy
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from pickle import PicklingError
from typing import Any, ClassVar, NoReturn

from bench.errors import BenchError
from bench.machine import cores, share_with
from bench.protocols import Done, Engine, Unit, Work
from bench.terminal import note

PATIENCE = 60.0
"""Seconds that an interrupted process has to write what it finished."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
"""Environment variables from which NumPy, torch and polars take their number of threads when they are imported."""
SPAWN = get_context("spawn")  # a forked process could not use CUDA


@dataclass(frozen=True)
class ProcessesSettings:
    """Which devices.

    devices : names of torch devices, joined by bars, such as ``cuda:0|cuda:1``; only ``cpu`` may occur twice
    """

    devices: str

    def __post_init__(self) -> None:
        """Refuse no devices, and one that two processes would share."""
        if not self.names:
            raise ValueError("devices names none: give some, such as cuda:0|cuda:1")
        if len(set(self.names)) < len(self.names) and set(self.names) != {"cpu"}:
            raise ValueError("a device is named twice")

    @property
    def names(self) -> Sequence[str]:
        """The devices."""
        return [name.strip() for name in self.devices.split("|") if name.strip()]


class Processes(Engine):
    """A process for each of ``devices=cuda:0|cuda:1``; what one of them fails on is given to the others."""

    Settings: ClassVar[type[Any]] = ProcessesSettings
    name = "processes"
    settings: ProcessesSettings

    def __init__(self, settings: ProcessesSettings):
        super().__init__(settings)
        self.workers = len(settings.names)

    def map(self, work: Work[Unit, Done], units: Iterable[Unit]) -> Iterator[Done]:
        """Yield the results in the order in which they come.

        A process that fails, or dies, is not asked again, and its unit is given to another one. When the
        iteration ends early, all processes are interrupted as by Ctrl-C and waited for.

        Raises
        ------
        BenchError
            When every process failed; the reason of each is printed.

        """
        names = self.settings.names
        threads = max(1, cores() // len(names)) if set(names) == {"cpu"} else None
        return in_processes(work, units, names, retry=True, threads=threads)


def in_processes(
    work: Work[Unit, Done], units: Iterable[Unit], devices: Sequence[str], *, retry: bool, threads: int | None = None
) -> Iterator[Done]:
    """Yield ``work(unit)`` for each unit as soon as it is known, from a process for each of `devices`.

    Parameters
    ----------
    retry : give the unit of a failed process to the others, and go on without that process
    threads : how many threads the numeric libraries of each process start; None: their own choice

    Raises
    ------
    BenchError
        Without `retry`, for the first unit that fails; the message begins with ``str(unit)``. With `retry`, when every
        process failed; the reason of each is printed.

    """
    todo = deque(units)
    devices = devices[: len(todo)]
    alive = [_Process(work, device, len(devices)) for device in devices]
    started = list(alive)
    try:
        for process in started:
            process.start(threads)
        while todo or any(process.busy for process in alive):
            for process in alive:
                if todo and not process.busy:
                    process.give(todo.popleft())
            ready = connection.wait([process.pipe for process in alive if process.busy])
            for process in [each for each in alive if each.pipe in ready]:
                unit = process.unit
                fine, answer = process.answer()
                if fine:
                    yield answer
                    continue
                if not retry:
                    raise BenchError(f"{unit}: {answer}")
                note(f"the worker of {process.device} failed: {answer}")
                alive.remove(process)
                todo.append(unit)
                if not alive:
                    names = ", ".join(each.device for each in started)
                    raise BenchError(f"every worker failed ({names}); the last of them: {answer}")
    finally:
        for process in started:
            process.end()


class _Process:
    """A process with a model on one device, and the unit it is at."""

    def __init__(self, work: Any, device: str, processes: int):
        self.device, self.busy = device, False
        self.unit: Any = None
        self._work = copy.copy(work)
        self._work.device = device
        self.pipe, self._theirs = SPAWN.Pipe()
        self._process = SPAWN.Process(target=_serve, args=(self._theirs, self._work, processes), daemon=True)

    def start(self, threads: int | None) -> None:
        """Start it; it loads what it needs with the first unit."""
        # A package in the current folder must not stand in for one of Python's while the process starts.
        variables = {"PYTHONSAFEPATH": "1"}
        if threads is not None:
            for name in THREADS:
                wanted = os.environ.get(name, "")
                variables[name] = str(min(threads, int(wanted)) if wanted.isdigit() else threads)
        try:
            with _interrupts_held_back(), _environment(variables):  # the process inherits both
                self._process.start()
        except (PicklingError, TypeError, AttributeError) as error:
            raise BenchError(f"the work cannot be sent to another process: {error}") from error
        self._theirs.close()  # so that each side sees the end of the other

    def give(self, unit: Any) -> None:
        """Hand over a unit."""
        self.unit, self.busy = unit, True
        with suppress(OSError):  # it is dead: `answer` says so
            self.pipe.send(unit)

    def answer(self) -> tuple[bool, Any]:
        """Return True and the result of the unit, or False and why there is none."""
        self.busy = False
        try:
            fine, answer = self.pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode
            killed = " (killed, as the system does when memory runs out)" if code == -9 else ""
            return False, f"its process ended with exit code {code}{killed}"
        return fine, answer

    def end(self) -> None:
        """Interrupt it if it is at work, and wait until it has ended."""
        self.pipe.close()
        if self._process.pid is None:
            return
        if self.busy and self._process.is_alive():
            if sys.platform == "win32":
                self._process.terminate()
            else:
                os.kill(self._process.pid, signal.SIGINT)
        self._process.join(PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(pipe: Connection, work: Any, processes: int) -> None:
    """Answer units until the other side has no more, or has ended; the cores are shared by so many processes."""
    share_with(processes)
    signal.signal(signal.SIGINT, _interrupt)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, OSError, KeyboardInterrupt):
        if sys.platform != "win32":
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        while True:
            unit = pipe.recv()
            try:
                answer: tuple[bool, Any] = True, work(unit)
            except BenchError as error:
                answer = False, str(error)
            except Exception as error:  # a plugin may raise anything
                traceback.print_exc()
                answer = False, f"{type(error).__name__}: {error}"
            pipe.send(answer)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Keep Ctrl-C waiting until the process is ready to end in order."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """Interrupt this process once the one that started it is dead."""
    if (parent := parent_process()) is not None:
        parent.join()
        if sys.platform == "win32":
            _thread.interrupt_main()
        else:
            os.kill(os.getpid(), signal.SIGINT)  # which also ends a wait of the main thread


def _interrupt(_signal: int, _frame: Any) -> NoReturn:
    """Raise KeyboardInterrupt once: a terminal and the parent both send it, and writing must not be interrupted."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt
