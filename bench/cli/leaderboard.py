"""Write static pages of the records that may be published: one table per data set, split and lane.

bench leaderboard results/ --out site/

Records of built-in data stand on pages marked as a preview. Records of real data with random weights or mixed lanes
are left out and listed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.cli.options import cutoffs
from bench.errors import BenchError


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("results", type=Path, metavar="RESULTS", help="a folder with records")
    parser.add_argument("--out", type=Path, metavar="DIR", required=True, help="where the pages go")
    parser.add_argument("--k", type=cutoffs, default=(), help="as for bench report")


def run(args: argparse.Namespace) -> int:
    """Read the records and write the pages."""
    from bench.records import read_all
    from bench.report.cutoffs import at_cutoffs
    from bench.report.writers.leaderboard import write
    from bench.terminal import note, say

    found = list(read_all(args.results))
    if not found:
        raise BenchError(f"{args.results} holds no result record.")
    lost: list[str] = []
    paths, problems = write(at_cutoffs(found, args.k, lost) if args.k else found, args.out, known=_known)
    for problem in [*lost, *problems]:
        note(f"left out: {problem}")
    for path in paths:
        say(path)
    return 0


def _known(name: str) -> list[str]:
    """Return the paper and the traps of an extractor; nothing of a plugin that is not installed here."""
    from bench.registry import get

    try:
        plugin = get("extractors", name)
    except BenchError:
        return []
    paper = getattr(plugin, "paper", "")
    return [*([f"Paper: {paper}."] if paper else []), *getattr(plugin, "traps", ())]
