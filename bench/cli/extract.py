"""Compute and store vectors; stored vectors are not computed again.

bench extract --extractor mfcc --audio music/
bench extract --extractor mfcc --data demo
bench extract --extractor mfcc --audio music/ --verify
bench extract --extractor mert --audio music/ --devices cuda:0,cuda:1      one process per GPU
bench extract --extractor mert --audio music/ --shard 3/16                 the third of sixteen machines

Any number of processes and machines can use the same --cache at the same time.
"""

from __future__ import annotations

import argparse

from bench.cli.options import add_data, add_lane, add_work, data_of, environment_of, shard, specs
from bench.errors import BenchError


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--extractor", type=specs, required=True, metavar="SPECS", help="see `bench ls extractors`")
    add_lane(parser)
    parser.add_argument(
        "--verify", action="store_true", help="check all hashes, drop what is damaged, rewrite old files"
    )
    parser.add_argument("--shard", type=shard, metavar="I/N", help="process only the I-th of N parts of the catalogue")
    parser.add_argument(
        "--devices",
        metavar="NAMES",
        help="one process per device, such as cuda:0,cuda:1 (--engine processes)",
    )
    add_data(parser)
    add_work(parser)


def run(args: argparse.Namespace) -> int:
    """Plan, verify if requested, compute missing vectors, and list failures."""
    from bench.cli.progress import ui
    from bench.run.embed import Collection
    from bench.terminal import say
    from bench.text import counted

    output = ui(quiet=args.quiet)
    collection = Collection(data_of(args), args.extractor, args.lane, environment_of(args), output, args.shard)
    if not collection.extraction:
        raise BenchError(f"{', '.join(args.extractor)}: these do not use audio, so there is nothing to extract.")
    if args.verify:
        for name, removed, rewritten in collection.verify():
            say(f"{name}: {len(removed)} damaged or stale files removed" + "".join(f"\n  {r}" for r in removed))
            if rewritten:
                say(f"{name}: {counted(rewritten, 'shard')} of an older version rewritten")
    collection.plan()
    if args.dry_run:
        return 0
    failed = collection.fill()
    for line in collection.summary():
        say(line)
    if failed == collection.tracks:
        raise BenchError(f"all {failed} tracks failed; the reasons are listed above.")
    if args.max_failed is not None and failed > args.max_failed:
        say(f"{failed} tracks failed, more than --max-failed {args.max_failed}.")
        return 2
    return 0
