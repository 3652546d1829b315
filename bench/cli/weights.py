"""Pretrained weights: list them, fetch them, add files you have, verify what is here.

  bench weights ls
  bench weights pull musicnn              from its pinned origin, checked by sha256, converted once
  bench weights add musicnn FILE|FOLDER   a copy you have; an unknown hash is recorded, a changed one refused
  bench weights verify                    hash everything again; 1 when something is not what it was

Once a model's weights are here, nothing of it is fetched again. Pickles are read as plain tensors only.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from bench import weights
from bench.cli.options import add_cache
from bench.errors import BenchError, did_you_mean
from bench.registry import catalog
from bench.weights import Weights


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    verbs = parser.add_subparsers(dest="what", required=True, metavar="ls|pull|add|verify")
    for name, text in (
        ("ls", "licence, size, origin, and whether they are here"),
        ("pull", "fetch, check, convert"),
        ("add", "take a file or folder you have"),
        ("verify", "recompute hashes"),
    ):
        verb = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
        add_cache(verb)
        if name in ("pull", "add"):
            verb.add_argument("name", metavar="NAME", help="see `bench weights ls`")
        if name == "pull":
            verb.add_argument("--offline", action="store_true", help="fetch nothing (also $BENCH_OFFLINE=1)")
        if name == "add":
            verb.add_argument("path", type=Path, metavar="PATH", help="the published file, or a folder with it")
            verb.add_argument("--accept", metavar="SHA256", help="take a file whose recorded hash has changed to this")


def run(args: argparse.Namespace) -> int:
    """Do what is asked; `verify` exits with 1 when a file is damaged."""
    if args.what == "ls":
        return _list()
    if args.what == "verify":
        return _verify()
    found = _known(args.name)
    if args.what == "pull":
        weights.pull(found)
    else:
        weights.add(found, args.path.expanduser(), accept=args.accept)
    return 0


def installed() -> dict[str, tuple[Weights, list[str]]]:
    """Return name -> (weights, extractors that read them), of every installed extractor.

    Raises
    ------
    BenchError
        When two plugins declare different weights under one name.

    """
    out: dict[str, tuple[Weights, list[str]]] = {}
    for entry in catalog("extractors"):
        for one in entry.plugin.weights if entry.plugin else ():
            known, users = out.setdefault(one.name, (one, []))
            if known != one:
                other = f"{entry.origin.name} ({entry.origin.package})"
                raise BenchError(f"{users[0]} and {other} declare different weights under the name {one.name!r}.")
            users.append(entry.origin.name)
    return dict(sorted(out.items()))


def _known(name: str) -> Weights:
    known = installed()
    if name not in known:
        raise BenchError(f"no extractor declares weights called {name!r}.{did_you_mean(name, known)}")
    return known[name][0]


def _list() -> int:
    from bench.terminal import console, table

    rows = table("weights", "name", "for", "licence", "size", "origin", "parts here")
    rows.columns[-1].no_wrap = True  # a command can be copied
    for name, (one, users) in installed().items():
        size = f"{one.bytes / 1e6:.1f} MB" if one.bytes else "unknown"
        rows.add_row(name, ", ".join(users), one.terms, size, one.origins, ", ".join(_parts(one)))
    console().print(rows)
    return 0


def _parts(one: Weights) -> Iterator[str]:
    """Say of each part whether it is here, or what brings it."""
    here = [part.name for part in one.parts if weights.present(one, part.name)]
    yield from here
    if lacking := [part.name for part in one.parts if part.name not in here]:
        when = "on first use, or:\n" if one.automatic else ""
        yield f"not {', '.join(lacking)} ({when}bench weights pull {one.name})"


def _verify() -> int:
    broken, seen = 0, 0
    for name, (one, _) in installed().items():
        for part, problem in weights.verify(one).items():
            broken, seen = broken + (problem is not None), seen + 1
            print(f"{name} {part}: {problem or 'intact'}")
    if broken:
        print("A damaged file is refused wherever it is needed; bench weights pull NAME brings it anew.")
    if not seen:
        print("No weights are here: nothing to verify. `bench weights ls` says what brings them.")
    return 1 if broken else 0
