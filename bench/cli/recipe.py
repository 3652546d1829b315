"""Reproduce a paper with one command: its tables next to the published ones, and tests of its claims.

  bench recipe recsys2024                                     on the built-in data
  bench recipe recsys2024 --data music4all-onion --root DIR --lane published --seeds 5
  bench recipe recsys2024 --data music4all-onion --root DIR --mir-root MIR --out tables/
  bench recipe recsys2024 --models knn,shallow --embeddings mfcc,musicnn --lanes both --no-probes

The published lane trains Shallow Net twice: as the paper says, and as its released code does (code reading).
Embeddings that cannot be computed (no weights, no audio) are listed; their published numbers are still shown.
On standard error, the table so far appears whenever a model is finished.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.cli.options import MAX_TIME, add_data, add_work, data_of, environment_of, positive, seconds
from bench.protocols import LANES

BOTH = "both"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("name", metavar="NAME", help="recsys2024")
    parser.add_argument(
        "--lane", "--lanes", dest="lane", choices=(*LANES, BOTH), default="corrected", help="(default corrected)"
    )
    parser.add_argument("--seeds", type=positive, default=1, metavar="N", help="number of seeds for everything random")
    parser.add_argument("--models", type=_names, default=(), metavar="NAMES", help="such as knn,shallow,bert4rec")
    parser.add_argument("--embeddings", type=_names, default=(), metavar="NAMES", help="such as mfcc,musicnn")
    parser.add_argument("--no-probes", action="store_true", help="leave out MIR tasks")
    parser.add_argument(
        "--ablations", action="store_true", help="also train Shallow Net with other choices, in the corrected lane"
    )
    parser.add_argument("--max-time", type=seconds, metavar="MIN|Nh|Ns", help=MAX_TIME)
    parser.add_argument("--mir-root", metavar="DIR", help="folder with magnatagatune/, gtzan/, giantsteps/ for Table 4")
    parser.add_argument("--results", metavar="DIR", help="where records go (default results)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="also write the report and its figures to DIR")
    add_data(parser)
    add_work(parser, cells=True)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def run(args: argparse.Namespace) -> int:
    """Plan the recipe, run it unless this is a dry run, and show the tables."""
    from bench.cli.progress import ui
    from bench.recipes.run import Recipe, RecipeRun

    recipe = Recipe(
        name=args.name,
        data=data_of(args),
        lanes=LANES if args.lane == BOTH else (args.lane,),
        seeds=args.seeds,
        models=args.models,
        embeddings=args.embeddings,
        mir_root=args.mir_root,
        probes=not args.no_probes,
        ablations=args.ablations,
    )
    work = RecipeRun(recipe, environment_of(args), ui(quiet=args.quiet))
    work.plan()
    if args.dry_run:
        return 0
    from bench.report import show, write
    from bench.report.plots import absent
    from bench.terminal import note, say, screen

    made = work.do(lambda boards: None if args.quiet else show(boards, screen(sys.stderr)))
    show(made.boards, chapters=made.chapters)
    for problem in made.problems:
        note(f"left out: {problem}")
    if args.out:
        if (why := absent()) is not None:
            note(why)
        plots = [] if why else made.plots()
        for path in write(made.boards, args.out, problems=made.problems, chapters=made.chapters, plots=plots):
            say(path)
    return 0
