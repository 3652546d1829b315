"""List the tracks that are nearest to a track, or to a text, by the cosine of an extractor's vectors.

  bench similar t0042 --extractor mfcc
  bench similar song.mp3 --extractor cnn --audio music/ --k 10
  bench similar --text "calm piano" --extractor cnn
  bench similar --text "a sad song with a slow guitar" --extractor clap --audio music/

A track is given by its id or file name. An extractor with a text tower, such as clap, takes any text.
One that was trained with labels, such as cnn, takes the words that it knows; several words stand for the mean of their
vectors. Missing vectors are computed first.
"""

from __future__ import annotations

import argparse

from bench.cli.options import add_data, add_lane, add_work, data_of, environment_of, positive, specs
from bench.errors import BenchError


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("track", nargs="?", metavar="TRACK", help="id or file name of a track")
    parser.add_argument("--text", metavar="TEXT", help="any text, or words that the extractor knows")
    parser.add_argument("--extractor", type=specs, required=True, metavar="SPEC", help="one extractor (A+B allowed)")
    parser.add_argument("--k", type=positive, default=5, metavar="N", help="number of tracks (default 5)")
    add_lane(parser)
    add_data(parser)
    add_work(parser)


def run(args: argparse.Namespace) -> int:
    """Compute missing vectors and print the nearest tracks."""
    from bench.cli.progress import ui
    from bench.run.embed import Collection
    from bench.run.similar import check, similar
    from bench.terminal import console, row, table

    if len(args.extractor) != 1:
        raise BenchError(f"similar takes one extractor, not {len(args.extractor)}: join with A+B.")
    collection = Collection(data_of(args), args.extractor, args.lane, environment_of(args), ui(quiet=args.quiet))
    check(collection, args.track, args.text)
    collection.plan()
    if args.dry_run:
        return 0
    failed = collection.fill()
    near = similar(collection, args.track, args.text, args.k)
    shown = table(f"Nearest to {' and '.join(filter(None, [args.track, args.text]))}")
    for name in ("Rank", "Track", "Artist", "Title", "Cosine"):
        shown.add_column(name, overflow="fold", justify="right" if name in ("Rank", "Cosine") else "left")
    for rank, one in enumerate(near, start=1):
        row(shown, rank, one.track_id, one.artist, one.title, f"{one.cosine:.4f}")
    console(100).print(shown)
    return 2 if args.max_failed is not None and failed > args.max_failed else 0
