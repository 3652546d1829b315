"""Train small models (probes) on the vectors for MIR tasks, and write records.

  bench probe --extractor mfcc --task all
  bench probe --extractor musicnn,mfcc --task catalog-genre --probe linear,mlp --seeds 3
  bench probe --extractor musicnn --layers all --task catalog-tags
  bench probe --extractor clap --task catalog-tags --probe zero-shot
  bench probe --extractor mfcc --task magnatagatune,gtzan --root /music/mir
  bench probe --extractor precomputed:path=v.npy --task catalog-genre --meta labels.csv

--root is the folder of the task's data; for several tasks, it contains one folder per task, with its name.
With --data it is the data set's folder. Tasks named catalog-... use the tracks of the data set.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from bench.cli.ending import carry_out
from bench.cli.options import add_data, add_lane, add_work, data_of, environment_of, positive, specs
from bench.errors import BenchError

PROBES = (
    "quick (default), quick-v1, linear, mlp, knn, jukemir, marble, mir_ref; mlp:mixture=true learns from all layers; "
    "zero-shot compares vectors with texts and learns nothing"
)


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--extractor", type=specs, metavar="SPECS", help="whose vectors: see `bench ls extractors`")
    parser.add_argument("--task", type=specs, metavar="NAMES", help="which tasks, or all: see `bench ls tasks`")
    parser.add_argument("--probe", type=specs, metavar="SPECS", help=PROBES)
    parser.add_argument("--layers", choices=("all",), help="probe each layer of the extractors")
    parser.add_argument("--seeds", type=positive, default=1, metavar="N", help="train each probe N times")
    parser.add_argument(
        "--train-fraction", type=float, default=1.0, metavar="F", help="share of training tracks to use"
    )
    add_lane(parser)
    parser.add_argument("--treat", default="", metavar="T", help="l2+standardize+pca:k+whiten:k+random_projection:k")
    parser.add_argument("--no-controls", action="store_true", help="leave out random vectors and shuffled rows")
    parser.add_argument("--allow-leaks", action="store_true", help="allow known leaks; records contain a warning")
    parser.add_argument("--results", metavar="DIR", help="where records go (default results)")
    parser.add_argument("--again", action="store_true", help="compute cells again even if they have records")
    add_data(parser)
    add_work(parser, cells=True)


def run(args: argparse.Namespace) -> int:
    """Plan the experiment, run it unless this is a dry run, and print one table per task."""
    from bench.cli.progress import ui
    from bench.probes import DEFAULT
    from bench.report.writers.mir_console import show
    from bench.run.probe.experiment import ProbeExperiment
    from bench.run.probe.request import ProbeRequest

    if not args.extractor or not args.task:
        raise BenchError("give --extractor and --task, such as `bench probe --extractor mfcc --task all`.")
    data = data_of(args)
    request = ProbeRequest(
        data=data if args.data else replace(data, root=None),
        extractors=args.extractor,
        tasks=args.task,
        root=None if args.data else data.root,
        probes=args.probe or (DEFAULT,),
        layers=args.layers == "all",
        seeds=tuple(range(args.seeds)),
        train_fraction=args.train_fraction,
        lane=args.lane,
        treat=args.treat,
        controls=not args.no_controls,
        allow_leaks=args.allow_leaks,
    )
    experiment = ProbeExperiment(request, environment_of(args), ui(quiet=args.quiet))
    where = f"{{records}} in {experiment.environment.results / 'mir'}"
    return carry_out(experiment, args, lambda records: show([record for _, record in records]), where)
