"""Tables from records: controls and chance always in, lanes never mixed.

bench report results/                 on the screen
bench report results/ --out tables/   Markdown, CSV and LaTeX files
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.errors import BenchError


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("results", type=Path, metavar="RESULTS", help="a folder with records")
    parser.add_argument("--out", type=Path, metavar="DIR", help="also write report.md, *.csv and *.tex there")


def run(args: argparse.Namespace) -> int:
    """Read, show, write."""
    from bench.report import boards, show, write
    from bench.results import read_all

    found = list(read_all(args.results))
    records = [(path, record) for path, record in found if not isinstance(record, BenchError)]
    problems = [str(record) for _, record in found if isinstance(record, BenchError)]
    if not records:
        raise BenchError(f"{args.results} holds no result record." + "".join(f"\n  {p}" for p in problems[:5]))
    tables = boards(records, problems=problems)
    show(tables)
    for problem in problems:
        print(f"left out: {problem}", file=sys.stderr)
    if args.out:
        for path in write(tables, args.out):
            print(path)
    return 0
