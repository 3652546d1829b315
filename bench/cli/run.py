"""Compute missing vectors, fit recommenders, rank, measure, and write records.

  bench run --extractor mfcc --model knn
  bench run --extractor mfcc,mfcc+random --model knn,popularity --treat standardize --k 10,50
  bench run --extractor mfcc --model knn --listens plays.csv --audio music/
  bench run --extractor mfcc --model knn --split cold_random --folds all
  bench run --from results/demo/.../seed0.json

Specs: NAME[:key=value,...]; a comma before key= continues a spec, any other comma starts the next spec.
A+B concatenates vectors. Values with commas or colons need parentheses: shuffled:of=(mfcc:n_mfcc=20).
layer= chooses a layer: layer=all is a row for each, layer=auto the best one in validation. pooling= is mean, mean_std,
max or first (window); several poolings of one extractor are computed in one pass.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.cli.ending import carry_out
from bench.cli.options import (
    MAX_TIME,
    add_data,
    add_lane,
    add_work,
    cutoffs,
    data_of,
    environment_of,
    folds,
    positive,
    seconds,
    specs,
)
from bench.errors import BenchError

SPLIT = (
    "global_temporal[:cut=DATE,start=DATE,end=DATE,...], recsys2024, journal2026, cold_random[:fold=N,folds=N,...], "
    "leave_last_out (default: the data's)"
)
REFIT = "after early stopping, train again on training and validation for as many epochs; shown beside the rows without"
REFERENCE = "measure the diversity of lists (ILD) with these vectors, such as mfcc (default none: not measured)"
FOLDS = "all, or 1,2,3: every fold of --split cold_random, with a record for each and the means over them in the table"
TRUST = "with --from: use the programs and files that the record names; they are listed first"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--extractor", type=specs, metavar="SPECS", help="whose vectors: see `bench ls extractors`")
    parser.add_argument("--model", type=specs, metavar="SPECS", help="which recommenders: see `bench ls recommenders`")
    parser.add_argument("--split", metavar="SPEC", help=SPLIT)
    parser.add_argument("--folds", type=folds, metavar="LIST", help=FOLDS)
    parser.add_argument("--k", type=cutoffs, default=(), help="cut-offs, main one first (default: the data's)")
    parser.add_argument("--seeds", type=positive, default=1, metavar="N", help="number of seeds for everything random")
    add_lane(parser)
    parser.add_argument("--treat", default="", metavar="T", help="l2+standardize+pca:k+whiten:k+random_projection:k")
    parser.add_argument("--reference", metavar="SPEC", help=REFERENCE)
    parser.add_argument("--no-controls", action="store_true", help="leave out popularity, random and shuffled rows")
    parser.add_argument("--results", metavar="DIR", help="where records go (default results)")
    parser.add_argument("--refit", action="store_true", help=REFIT)
    parser.add_argument("--max-time", type=seconds, metavar="MIN|Nh|Ns", help=MAX_TIME)
    parser.add_argument("--log-dir", metavar="DIR", help="folder for training curves, for TensorBoard")
    parser.add_argument("--again", action="store_true", help="compute cells again even if they have records")
    parser.add_argument("--from", dest="record", type=Path, metavar="RECORD", help="repeat a record and compare")
    parser.add_argument("--trust", action="store_true", help=TRUST)
    add_data(parser)
    add_work(parser, cells=True)


def run(args: argparse.Namespace) -> int:
    """Plan the experiment, run it unless this is a dry run, and print the table."""
    from bench.cli.progress import ui

    if args.record:
        return _repeat(args)
    if not args.extractor or not args.model:
        raise BenchError("give --extractor and --model, such as `bench run --extractor mfcc --model knn`.")
    from bench.report import boards, show
    from bench.run.recommend.experiment import RecommendExperiment
    from bench.run.recommend.folds import FoldsExperiment
    from bench.run.recommend.request import FoldsRequest, RecommendRequest

    request = RecommendRequest(
        data=data_of(args),
        extractors=args.extractor,
        models=args.model,
        split=args.split,
        k=args.k,
        seeds=tuple(range(args.seeds)),
        lane=args.lane,
        treat=args.treat,
        reference=args.reference,
        controls=not args.no_controls,
        refit=args.refit,
    )
    environment, screen = environment_of(args), ui(quiet=args.quiet)
    experiment: FoldsExperiment | RecommendExperiment
    if args.folds is None:
        experiment = RecommendExperiment(request, environment, screen)
    else:
        experiment = FoldsExperiment(FoldsRequest.of(request, args.folds), environment, screen)
    results = experiment.environment.results
    where = f"{{records}} in {results}; tables for a paper: bench report {results}"
    return carry_out(experiment, args, lambda records: show(boards(records)), where)


def _repeat(args: argparse.Namespace) -> int:
    from bench.cli.progress import ui
    from bench.run.repeat import repeat
    from bench.terminal import say

    if args.extractor or args.model or args.folds is not None:
        raise BenchError("--from repeats what its record asks for: leave out --extractor, --model and --folds.")
    found = repeat(
        args.record,
        environment_of(args),
        ui(quiet=args.quiet),
        data=data_of(args),
        trust=args.trust,
        dry_run=args.dry_run,
    )
    if found is None:
        return 0
    numbers = sum(len(values) for values in found.old.metrics.values())
    if not found.differences:
        if not found.changed:
            say(f"The numbers match: all {numbers} metrics of {args.record} are the same to the last digit.")
            return 0
        say(f"This does not repeat {args.record}: {', '.join(found.changed)}. All {numbers} metrics are the same.")
        return 2
    say(f"{len(found.differences)} of {numbers} metrics differ from {args.record}:")
    for line in found.differences[:20]:
        say(f"  {line}")
    unknown = "nothing recorded has changed; large work may differ in the last bits between numbers of threads"
    for line in [*found.changed, *found.reasons] or [unknown]:
        say(f"  possible reason: {line}")
    return 2
