"""Options that several verbs share, and their conversion to the objects that the package uses."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from bench.errors import BenchError
from bench.files.atomic import cache_root
from bench.protocols import LANES, Engine
from bench.registry import create
from bench.run.options import Data, Environment
from bench.specs import Spec, parse_list

ENGINE = "where the work is done: see `bench ls engines`; such as processes:devices=cuda:0|cuda:1 (default local)"
BATCH = "windows per batch (default auto: 16, on a GPU up to 256 as its memory allows; halved if memory runs out)"
MAX_TIME = "time limit of each training, which keeps its best state; the same command with more time continues it"
JOBS = "compute N cells at once, in processes: --engine local:jobs=N (default: as many as pay off)"


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the data options: a data set, or a log with audio and metadata."""
    group = parser.add_argument_group("data (default: the built-in demo)")
    group.add_argument("--data", metavar="NAME", help="a dataset of `bench ls datasets`, such as yambda:size=500m")
    group.add_argument("--root", metavar="DIR", help="the dataset's folder")
    group.add_argument("--listens", metavar="FILE", help="a listening log: CSV, TSV or Parquet (.bz2, .gz)")
    group.add_argument("--columns", metavar="user=U,item=I,time=T", help="names of the log's columns")
    group.add_argument("--audio", metavar="DIR|LIST", help="audio folder, or a list with track_id and path")
    group.add_argument("--meta", metavar="FILE", help="artist, album, title, tags, genre, part by track_id")


def data_of(args: argparse.Namespace) -> Data:
    """Return the data options; paths become absolute, so that a record can be repeated from any folder."""

    def absolute(text: str | None) -> str | None:
        return str(Path(text).expanduser().resolve()) if text else None

    return Data(
        args.data,
        absolute(args.root),
        absolute(args.listens),
        args.columns,
        absolute(args.audio),
        absolute(args.meta),
    )


def add_work(parser: argparse.ArgumentParser, *, cells: bool = False) -> None:
    """Add the options for cache, device, batch size and the like; with `cells`, also ``--jobs``."""
    group = parser.add_argument_group("work")
    add_cache(group)
    group.add_argument("--offline", action="store_true", help="fetch no weights (also $BENCH_OFFLINE=1)")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 (default auto)")
    group.add_argument("--engine", default="local", metavar="SPEC", help=ENGINE)
    if cells:
        group.add_argument("--jobs", type=positive, metavar="N", help=JOBS)
    group.add_argument("--batch", type=windows, metavar="N", help=BATCH)
    group.add_argument(
        "--workers", type=positive, metavar="N", help="decoding threads of a process (default: one per core it may use)"
    )
    group.add_argument("--max-failed", type=natural, metavar="N", help="exit with 2 if more than N tracks fail")
    group.add_argument("--retry-failed", action="store_true", help="try failed tracks again")
    group.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    group.add_argument("--quiet", action="store_true", help="no plan, no progress; warnings and tables only")


def add_lane(parser: argparse.ArgumentParser) -> None:
    """Add the lane: published (as in the papers) or corrected (without their known mistakes)."""
    parser.add_argument("--lane", choices=LANES, default="corrected", help="(default corrected)")


def add_cache(parser: argparse._ActionsContainer) -> None:
    """Add the cache folder, for everything that can be computed or downloaded again."""
    help_ = "folder for vectors, weights and demo data ($BENCH_CACHE; default ~/.cache/bench)"
    parser.add_argument("--cache", metavar="DIR", help=help_)


def environment_of(args: argparse.Namespace) -> Environment:
    """Return the options of `add_work` as an Environment."""
    return Environment(
        cache=cache_root(args.cache),
        results=Path(getattr(args, "results", None) or "results"),
        device=args.device,
        batch=args.batch,
        workers=args.workers,
        retry_failed=args.retry_failed,
        again=getattr(args, "again", False),
        max_time=getattr(args, "max_time", None),
        engine=_engine(args),
        log_dir=Path(args.log_dir).expanduser() if getattr(args, "log_dir", None) else None,
    )


def _engine(args: argparse.Namespace) -> Engine:
    """Return the engine; ``--devices A,B`` and ``--jobs N`` are short for one."""
    spec: Spec | str = args.engine
    if devices := getattr(args, "devices", None):
        spec = Spec("processes", {"devices": devices.replace(",", "|")})
    elif jobs := getattr(args, "jobs", None):
        spec = Spec("local", {"jobs": str(jobs)})
    if not isinstance(spec, str) and args.engine != "local":
        option = "--devices" if devices else "--jobs"
        raise BenchError(f"{option} starts processes of its own: leave it out, or --engine {args.engine}.")
    return create("engines", spec)  # type: ignore[no-any-return]


def seconds(text: str) -> float:
    """Parse a duration in minutes, or with a unit (90s, 10m, 2h), to seconds."""
    number, unit = (text[:-1], text[-1]) if text[-1:].isalpha() else (text, "m")
    try:
        found = float(number) * {"s": 1, "m": 60, "h": 3600}[unit]
    except (ValueError, KeyError):
        found = math.nan
    if not 0 < found < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time: write minutes, or 90s, 10m, 2h")
    return found


def specs(text: str) -> tuple[str, ...]:
    """Parse a list of specs, for ``--extractor`` and ``--model``."""
    return tuple(parse_list(text))


def positive(text: str) -> int:
    """Parse an integer of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def windows(text: str) -> int | None:
    """Parse ``--batch``: an integer of at least 1, or None for ``auto``."""
    return None if text == "auto" else positive(text)


def natural(text: str) -> int:
    """Parse an integer of at least 0."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def shard(text: str) -> tuple[int, int]:
    """Parse ``--shard`` I/N, the I-th of N parts."""
    part, slash, parts = text.partition("/")
    if not slash or not part.isdigit() or not parts.isdigit() or not 1 <= int(part) <= int(parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not I/N with I from 1 to N, such as 3/16")
    return int(part), int(parts)


def cutoffs(text: str) -> tuple[int, ...]:
    """Parse ``--k``, one or several cut-offs; the first is the main one."""
    return tuple(positive(part.strip()) for part in text.split(","))


def folds(text: str) -> tuple[int, ...]:
    """Parse ``--folds``: ``all`` (empty), or numbers from 1."""
    return () if text == "all" else tuple(positive(part.strip()) for part in text.split(","))
