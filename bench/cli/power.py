"""Say what the comparisons in a folder of records can detect, and what it takes to detect a difference.

bench power results/
bench power results/ --difference 0.01             listeners, artists and seeds that a difference of 0.01 needs
bench power results/ --metric recall --power 0.9

For the rows closest to the best one of each lane: where the variance of the difference comes from, the smallest
difference that could be told apart, and how many listeners, artists or seeds the wanted difference needs while the
other numbers stay as they are. Without --difference, it is a tenth of the best row's gain over its shuffled rows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.errors import BenchError


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("results", type=Path, metavar="RESULTS", help="a folder with records")
    parser.add_argument("--difference", type=_positive, metavar="D", help="the difference to detect")
    parser.add_argument("--metric", default="ndcg", help="metric, at the main k (default %(default)s)")
    parser.add_argument(
        "--power", type=_share, default=0.8, metavar="P", help="probability of detecting it (default %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Read the records and print a table for each board and lane."""
    from bench.records import read_all
    from bench.report import boards, show
    from bench.report.format import checked
    from bench.report.power import chapter
    from bench.terminal import note, say

    (metric,) = checked((args.metric,))
    problems: list[str] = []
    found = list(read_all(args.results))
    if not found:
        raise BenchError(f"{args.results} holds no result record.")
    made = boards(found, problems, (metric,))
    chapters = [
        each for board in made if (each := chapter(board, f"{metric}@{board.k[0]}", args.difference, args.power))
    ]
    for problem in problems:
        note(f"left out: {problem}")
    if chapters:
        show([], chapters=chapters)
    else:
        say("No two rows could be compared, so there is nothing to plan from.")
    return 0


def _positive(text: str) -> float:
    """Parse a difference."""
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 < found < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a difference between 0 and 1")
    return found


def _share(text: str) -> float:
    """Parse a power."""
    found = _positive(text)
    if not found > 0.05:
        raise argparse.ArgumentTypeError(f"{text!r} is no power: give a probability above 0.05")
    return found
