"""Write a package with a working plugin of your own, whose tests pass at once.

bench new extractor mine
bench new recommender mine --out somewhere
bench new task mine
"""

from __future__ import annotations

import argparse
import re
from importlib.resources import files
from pathlib import Path
from string import Template

from bench.errors import BenchError
from bench.registry import Kind, names
from bench.terminal import say

SCAFFOLD = "scaffold"
"""Folder of the templates, beside this module."""
PLUGINS: dict[str, tuple[Kind, str, str]] = {
    "extractor": ("extractors", "ExtractorContract", "bench run --extractor $name --model knn --treat standardize"),
    "recommender": ("recommenders", "RecommenderContract", "bench run --extractor mfcc --model $name"),
    "task": ("tasks", "TaskContract", "bench probe --extractor mfcc --task $name --root FOLDER"),
}
"""Kind on the command line -> kind of plugin, its contract, and a command to try it."""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("kind", choices=PLUGINS, help="what to add")
    parser.add_argument("name", metavar="NAME", help="lower-case letters, digits and hyphens, such as my-encoder")
    parser.add_argument("--out", metavar="DIR", help="folder of the package, new or empty (default bench-NAME)")


def run(args: argparse.Namespace) -> int:
    """Write the package and print the next commands.

    Raises
    ------
    BenchError
        The name is malformed or in use, or the folder holds files.

    """
    _check(args.kind, args.name)
    folder = Path(args.out or f"bench-{args.name}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BenchError(f"--out {folder} is not an empty folder.")
    for name, text in package(args.kind, args.name).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        say(f"wrote {path}")
    say(f"\nNext:\n  pip install -e {folder}\n  python -m pytest {folder}/tests\n  {_try(args.kind, args.name)}")
    return 0


def package(kind: str, name: str) -> dict[str, str]:
    """Return the files of a package: path -> content."""
    kinds, contract, _ = PLUGINS[kind]
    words = {
        "name": name,
        "module": (module := f"bench_{name.replace('-', '_')}"),
        "cls": "".join(part.capitalize() for part in name.split("-")),
        "kind": kinds,
        "one": kind,
        "a_kind": f"{'An' if kind[0] in 'aeiou' else 'A'} {kind}",
        "contract": contract,
        "try_it": _try(kind, name),
    }
    templates = {
        "pyproject.toml": "pyproject",
        "README.md": "readme",
        f"src/{module}/__init__.py": kinds,
        f"tests/test_{module}.py": "test",
    }
    folder = files("bench.cli") / SCAFFOLD
    return {
        path: Template((folder / f"{template}.txt").read_text(encoding="utf-8")).substitute(words)
        for path, template in templates.items()
    }


def _try(kind: str, name: str) -> str:
    return Template(PLUGINS[kind][2]).substitute(name=name)


def _check(kind: str, name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise BenchError(f"{name!r} is no name: write lower-case letters, digits and hyphens, such as my-encoder.")
    if name in names(PLUGINS[kind][0]):
        raise BenchError(f"the {kind} {name} exists already: `bench ls {PLUGINS[kind][0]} {name}`.")
    if name in ("extractors", "recommenders"):  # the packages of this project
        raise BenchError(f"the package bench-{name} would be in the way of this project's own: choose another name.")
