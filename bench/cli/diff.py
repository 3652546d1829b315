"""Compare two records of the same split, listener by listener.

bench diff A.json B.json                       first less second: interval, p, listeners better and worse
bench diff A.json B.json --metric recall@10    another metric of the records
bench diff A.json B.json --out difference.html the same as a page
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.report.board import Row


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("a", type=Path, metavar="A", help="a record (.json)")
    parser.add_argument("b", type=Path, metavar="B", help="another record of the same split")
    parser.add_argument("--metric", metavar="NAME@K", help="default: NDCG at the main k of A")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="listeners and artists (default %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the comparison as an HTML page")


def run(args: argparse.Namespace) -> int:
    """Compare the records and show the tables."""
    from bench.files.atomic import write_text
    from bench.report import show
    from bench.report.difference import chapter
    from bench.report.format import RANKED_BY
    from bench.report.writers import html
    from bench.terminal import say

    if args.top < 0:
        raise BenchError(f"--top {args.top}: give a number from 0.")
    a, b = _row(args.a), _row(args.b)
    assert a.first
    assert b.first
    if a.first.split.fingerprint != b.first.split.fingerprint:
        raise BenchError(f"{args.a} and {args.b} are of different splits: their listeners cannot be compared.")
    found = chapter(a, b, args.metric or f"{RANKED_BY}@{a.first.k[0]}", top=args.top)
    show([], chapters=[found])
    if args.out:
        write_text(args.out, html.page(found.title, [], [found], metrics=()))
        say(args.out)
    return 0


def _row(path: Path) -> Row:
    from bench.records import read
    from bench.report.build import boards

    record = read(path)
    if record.kind != "run":
        raise BenchError(f"{path} is not a record of `bench run`.")
    problems: list[str] = []
    (board,) = boards([(path, record)], problems)
    return board.rows[0]
