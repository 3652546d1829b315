"""List, download, add and verify pretrained weights.

  bench weights ls
  bench weights pull musicnn              download, verify by sha256 and convert
  bench weights add musicnn FILE|FOLDER   use a copy you have; an unknown hash is recorded, a changed one refused
  bench weights verify                    hash all files again; exit with 1 if one has changed

Installed weights are not downloaded again. Pickles are read as plain tensors only, without running code.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from bench import weights
from bench.cli.options import add_cache
from bench.errors import BenchError, did_you_mean
from bench.registry import catalog
from bench.terminal import say
from bench.weights import Weights


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    verbs = parser.add_subparsers(dest="what", required=True, metavar="ls|pull|add|verify")
    for name, text in (
        ("ls", "show licence, size, origin, and whether weights are installed"),
        ("pull", "download, verify and convert"),
        ("add", "use a file or folder you have"),
        ("verify", "hash the installed files again"),
    ):
        verb = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
        add_cache(verb)
        if name in ("pull", "add"):
            verb.add_argument("name", metavar="NAME", help="see `bench weights ls`")
        if name == "pull":
            verb.add_argument("--offline", action="store_true", help="fetch nothing (also $BENCH_OFFLINE=1)")
        if name == "add":
            verb.add_argument("path", type=Path, metavar="PATH", help="the published file, or a folder with it")
            verb.add_argument(
                "--accept", metavar="SHA256", help="accept a file with this hash instead of the recorded one"
            )


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit code: 1 if `verify` finds a damaged file."""
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
    """Return name -> (weights, names of the extractors that use them) for all installed extractors.

    Raises
    ------
    BenchError
        Two plugins declare different weights with the same name.

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
    rows.columns[4].min_width = 22  # a package with its version stays whole
    for name, (one, users) in installed().items():
        size = f"{one.bytes / 1e6:.1f} MB" if one.bytes else "unknown"
        rows.add_row(name, ", ".join(users), one.terms, size, one.origins, ", ".join(_parts(one)))
    console().print(rows)
    return 0


def _parts(one: Weights) -> Iterator[str]:
    """Yield the installed parts, then the absent ones with the command that installs them."""
    here = [part.name for part in one.parts if weights.present(one, part.name)]
    yield from here
    if missing := [part.name for part in one.parts if part.name not in here]:
        when = "on first use, or:" if one.automatic else "by:"
        yield f"not {', '.join(missing)} ({when}\nbench weights pull {one.name})"


def _verify() -> int:
    broken, seen = 0, 0
    for name, (one, _) in installed().items():
        for part, problem in weights.verify(one).items():
            broken, seen = broken + (problem is not None), seen + 1
            say(f"{name} {part}: {problem or 'intact'}")
    if broken:
        print("Damaged files are not used; bench weights pull NAME downloads them again.")
    if not seen:
        print("No weights are installed. `bench weights ls` shows how to install them.")
    return 1 if broken else 0
