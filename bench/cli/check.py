"""Run the contract of a plugin on short synthetic clips or planted listening, in under a minute.

  bench check mfcc
  bench check knn:profile=max
  bench check shuffled:of=mfcc --lane published

Without weights a tiny random configuration is checked, and the output says so.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from bench.cli.options import add_lane
from bench.errors import BenchError, did_you_mean
from bench.registry import Kind
from bench.specs import parse

KINDS: tuple[Kind, ...] = ("extractors", "recommenders", "tasks", "engines")
"""The kinds of plugin that have a contract."""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("spec", metavar="NAME", help="a plugin, with settings if you like: NAME[:key=value,...]")
    add_lane(parser)


def run(args: argparse.Namespace) -> int:
    """Run every check of every plugin with that name; exit with 1 when one fails."""
    from bench.registry import names

    name = parse(args.spec).name
    kinds = [kind for kind in KINDS if name in names(kind)]
    if not kinds:
        known = {known for kind in KINDS for known in names(kind)}  # `random` is two of them
        raise BenchError(f"no extractor, recommender, task or engine is called {name!r}.{did_you_mean(name, known)}")
    broken = 0
    for kind in kinds:
        broken += _check(_contract(kind, args.spec, args.lane), f"{kind[:-1]} {args.spec}")
    return 1 if broken else 0


def _contract(kind: str, spec: str, lane: str) -> Any:
    """Return the contract that fits the plugin."""
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
    return type("Check", (base,), {"spec": spec, "lane": lane})()


def _check(contract: Any, title: str) -> int:
    """Run the checks of one contract and return how many failed."""
    contract.make()  # what keeps the plugin from being made is said once, not by every check
    note = contract.note()
    print(title + (f" ({note})" if note else ""))
    failed = 0
    checks = [name for name in dir(contract) if name.startswith("test_")]
    for name in sorted(checks, key=lambda n: getattr(type(contract), n).__code__.co_firstlineno):
        started = time.monotonic()
        try:
            getattr(contract, name)()
            said = "ok"
        except AssertionError as error:
            failed, said = failed + 1, f"BROKEN: {error}"
        except Exception as error:  # a plugin may raise anything; the other checks still say something
            failed, said = failed + 1, f"BROKEN: {type(error).__name__}: {error}"
        words = name.removeprefix("test_").replace("_", " ")
        print(f"  {words:<48} {time.monotonic() - started:5.1f} s  {said}")
    print(f"{len(checks) - failed} passed, {failed} failed")
    return failed
