"""Write vectors to a file for use by other programs; missing vectors are computed first.

  bench export --extractor mfcc --audio music/ --out vectors.parquet
  bench export --extractor mfcc --data demo --out vectors.npy       (ids in vectors.ids.txt)

Tracks without a vector are left out and listed. Use the file as an extractor with precomputed:path=FILE. A file
NAME.about.json beside it says what the model was trained on: keep both in one folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.cli.options import add_data, add_lane, add_work, data_of, environment_of, specs
from bench.errors import BenchError
from bench.terminal import say


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--extractor", type=specs, required=True, metavar="SPEC", help="one extractor (A+B allowed)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=".npy, .parquet or .tsv")
    add_lane(parser)
    add_data(parser)
    add_work(parser)


def run(args: argparse.Namespace) -> int:
    """Compute missing vectors and write the file."""
    from bench.cli.progress import ui
    from bench.run.embed import Collection, check_format

    if len(args.extractor) != 1:
        raise BenchError(f"export writes one table, not {len(args.extractor)}: join with A+B, or export twice.")
    check_format(args.out)
    collection = Collection(data_of(args), args.extractor, args.lane, environment_of(args), ui(quiet=args.quiet))
    collection.plan()
    if args.dry_run:
        return 0
    failed = collection.fill()
    rows, width = collection.export(args.out)
    say(f"{args.out}: {rows} tracks x {width}" + (f"; {failed} tracks have no vector" if failed else ""))
    return 2 if args.max_failed is not None and failed > args.max_failed else 0
