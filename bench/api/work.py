"""Where and how the functions work: the options that all of them take, and the data they are about."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from bench.api.frames import Frame, listens_file
from bench.errors import BenchError, did_you_mean
from bench.files.atomic import cache_root
from bench.protocols import Engine
from bench.registry import create
from bench.run.options import Data, Environment


class Work(TypedDict, total=False):
    """Options of every function; each is the one of the command line with the same name.

    cache : folder for vectors, weights and demo data (default ``$BENCH_CACHE``, or ``~/.cache/bench``)
    results : folder for records (default ``results``)
    device : ``auto``, ``cpu``, ``cuda``, ``cuda:1``
    engine : where the work is done, such as ``local:jobs=2``; see ``bench ls engines``. By default as many processes as
        pay off; a script has one, because others would run the script again unless it keeps its calls below
        ``if __name__ == "__main__":``
    batch : windows per batch; None to choose it
    workers : number of decoding threads; None for one per core
    again : compute cells again even if they have records
    retry_failed : try failed tracks again
    max_time : time limit of each training, in seconds
    quiet : print no plan and no progress
    """

    cache: str | Path
    results: str | Path
    device: str
    engine: str
    batch: int | None
    workers: int | None
    again: bool
    retry_failed: bool
    max_time: float | None
    quiet: bool


def environment_of(work: Work) -> Environment:
    """Return the options as an Environment.

    Raises
    ------
    BenchError
        For an option that does not exist.

    """
    if unknown := next((name for name in work if name not in Work.__annotations__), None):
        raise BenchError(f"there is no option {unknown!r}.{did_you_mean(unknown, Work.__annotations__)}")
    given: dict[str, Any] = {name: value for name, value in work.items() if name not in ("cache", "results", "quiet")}
    script = hasattr(sys.modules["__main__"], "__file__")
    engine: Engine = create("engines", given.pop("engine", "local:jobs=1" if script else "local"))
    results = Path(work.get("results", "results")).expanduser()
    return Environment(cache=cache_root(work.get("cache")), results=results, engine=engine, **given)


def data_of(
    environment: Environment,
    *,
    data: str | None = None,
    root: str | Path | None = None,
    listens: str | Path | Frame | None = None,
    columns: Mapping[str, str] | str | None = None,
    audio: str | Path | None = None,
    meta: str | Path | None = None,
) -> Data:
    """Return the data of a request as the command line does, with absolute paths; a frame becomes a file in the cache.

    Raises
    ------
    BenchError
        For a frame without a row, or that is no frame.

    """
    if listens is not None and not isinstance(listens, str | Path):
        listens = listens_file(listens, environment.cache)
    if isinstance(columns, Mapping):
        columns = ",".join(f"{role}={name}" for role, name in columns.items())
    return Data(data, absolute(root), absolute(listens), columns, absolute(audio), absolute(meta))


def absolute(path: str | Path | None) -> str | None:
    """Return an absolute path, so that a record can be repeated from any folder."""
    return str(Path(path).expanduser().resolve()) if path else None


def texts(given: str | Sequence[str]) -> tuple[str, ...]:
    """Return one spec or several."""
    return (given,) if isinstance(given, str) else tuple(given)


def seeds_of(number: int) -> tuple[int, ...]:
    """Return the seeds 0 to `number` - 1; raise BenchError for less than one."""
    if number < 1:
        raise BenchError(f"seeds={number} is not a positive whole number.")
    return tuple(range(number))
