"""Run the contract tests of a plugin on short synthetic clips or a synthetic log, in under a minute.

  bench check mfcc
  bench check knn:profile=max
  bench check shuffled:of=mfcc --lane published
  bench check mert --device pretend

The device `pretend` is a GPU that does not exist: it computes with the CPU, and refuses what a GPU refuses, such as
operations that mix devices. Extractors and recommenders are checked on it where there is no GPU.

Without weights, a tiny model with random weights is checked; the output shows that.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.cli.options import add_lane
from bench.errors import BenchError, did_you_mean
from bench.registry import Kind
from bench.specs import parse

KINDS: tuple[Kind, ...] = ("extractors", "recommenders", "tasks", "engines")
"""The kinds of plugin that have a contract."""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("spec", metavar="NAME", help="a plugin with optional settings: NAME[:key=value,...]")
    add_lane(parser)
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, or pretend (default cpu)")


def run(args: argparse.Namespace) -> int:
    """Run all checks of all plugins with that name; return 1 if one fails."""
    from bench.registry import names

    name = parse(args.spec).name
    kinds = [kind for kind in KINDS if name in names(kind)]
    if not kinds:
        known = {known for kind in KINDS for known in names(kind)}  # a name can occur in several
        raise BenchError(f"no extractor, recommender, task or engine is called {name!r}.{did_you_mean(name, known)}")
    broken = 0
    with _usable(args.device) as device:
        for kind in kinds:
            broken += _check(_contract(kind, args.spec, args.lane, device), f"{kind[:-1]} {args.spec}")
    return 1 if broken else 0


@contextmanager
def _usable(wanted: str) -> Iterator[str]:
    """Return the device to check on, which is usable in the meantime."""
    if wanted == "cpu":  # without importing torch for plugins that do not need it
        yield wanted
        return
    if wanted == "pretend":
        from bench.testing.pretend_device import pretend_device

        with pretend_device():
            yield wanted
        return
    from bench import devices

    yield devices.choose(wanted)[0]


def _contract(kind: str, spec: str, lane: str, device: str) -> Any:
    """Return the contract for the plugin."""
    from bench import testing
    from bench.protocols import TableSource
    from bench.registry import get

    base: type[Any] = testing.RecommenderContract
    if kind == "tasks":
        base = testing.TaskContract
    elif kind == "engines":
        base = testing.EngineContract
    elif kind == "extractors":
        source = issubclass(get("extractors", parse(spec).name), TableSource)
        base = testing.TableSourceContract if source else testing.ExtractorContract
    return type("Check", (base,), {"spec": spec, "lane": lane, "device": device})()


def _check(contract: Any, title: str) -> int:
    """Run the checks of one contract and return how many failed."""
    contract.make()  # raises an error that would fail every check
    note = contract.note()
    print(title + (f" ({note})" if note else ""))
    failed = 0
    checks = [name for name in dir(contract) if name.startswith("test_")]
    for name in sorted(checks, key=lambda n: getattr(type(contract), n).__code__.co_firstlineno):
        started = time.monotonic()
        try:
            getattr(contract, name)()
            result = "ok"
        except AssertionError as error:
            failed, result = failed + 1, f"BROKEN: {error}"
        except Exception as error:  # a plugin may raise anything; the other checks still run
            failed, result = failed + 1, f"BROKEN: {type(error).__name__}: {error}"
        title = name.removeprefix("test_").replace("_", " ")
        print(f"  {title:<48} {time.monotonic() - started:5.1f} s  {result}")
    print(f"{len(checks) - failed} passed, {failed} failed")
    return failed
