"""A whole paper as one command: its tables beside the printed ones, and what became of its claims.

  bench recipe recsys2024                                     on the built-in data
  bench recipe recsys2024 --data music4all-onion --root DIR --lane published --seeds 5
  bench recipe recsys2024 --data music4all-onion --root DIR --mir-root MIR --out tables/

What cannot be run here (no weights, no audio) is named and left out; its printed numbers still stand there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.cli.options import add_data, add_lane, add_work, data_of, place_of, positive


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("name", metavar="NAME", help="recsys2024")
    add_lane(parser)
    parser.add_argument("--seeds", type=positive, default=1, metavar="N", help="repeat what depends on chance N times")
    parser.add_argument(
        "--models", type=_names, default=(), metavar="NAMES", help="of the paper: KNN,Shallow Net,BERT4Rec"
    )
    parser.add_argument("--embeddings", type=_names, default=(), metavar="NAMES", help="of the paper: MFCC,MusiCNN,...")
    parser.add_argument("--mir-root", metavar="DIR", help="folder with magnatagatune/, gtzan/, giantsteps/ for Table 4")
    parser.add_argument("--results", metavar="DIR", help="where records go (default results)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="also write the report and its figures there")
    add_data(parser)
    add_work(parser)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def run(args: argparse.Namespace) -> int:
    """Check everything, plan, and unless it is a dry run, do it and show the tables."""
    from bench.cli.progress import ui
    from bench.recipes.run import Recipe, RecipeRun

    recipe = Recipe(
        name=args.name,
        data=data_of(args),
        lane=args.lane,
        seeds=args.seeds,
        models=args.models,
        embeddings=args.embeddings,
        mir_root=args.mir_root,
    )
    work = RecipeRun(recipe, place_of(args), ui(quiet=args.quiet))
    work.plan()
    if args.dry_run:
        return 0
    made = work.do()
    from bench.report import show, write
    from bench.report.plots import absent

    show(made.boards, chapters=made.chapters)
    for problem in made.problems:
        print(f"left out: {problem}", file=sys.stderr)
    if args.out:
        if (why := absent()) is not None:
            print(why, file=sys.stderr)
        plots = [] if why else made.plots()
        for path in write(made.boards, args.out, problems=made.problems, chapters=made.chapters, plots=plots):
            print(path)
    return 0
