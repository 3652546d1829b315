"""Train an extractor of this project on the recordings and the listening of a data set, and store its weights.

  bench train cnn:arch=mobilenet,objective=hybrid --data demo
  bench train cnn:arch=small,objective=tags --listens plays.csv --audio music/ --meta tracks.csv
  bench train cnn:arch=resnet18,objective=(triplets:margin=0.2) --max-time 8h --device cuda
  bench train head:of=musicnn,kind=mlp,objective=hybrid    a head on frozen vectors

The setting objective= says what to learn from (see `bench ls objectives`); objectives with settings need parentheses.
Held-out recordings, and all that lies after the cut-off of the split, are not read. Training starts from random
weights, or from a file: cnn:weights=PATH. If it is killed, the same command continues it. At the end, it prints the
spec that loads the weights in `bench run`, `probe` and the others.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from bench.cli.options import add_cache, add_data, data_of, natural, positive, seconds
from bench.errors import BenchError

OUT = "file of weights, ending in .safetensors (default: in the cache); a list of tracks and a card are put beside it"
MAX_TIME = "time limit; the best weights so far are stored, and the same command with more time continues"
PATIENCE = "end after N epochs without a better link AP of validation recordings (default 20)"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("spec", metavar="SPEC", help="such as cnn:arch=mobilenet,objective=hybrid")
    parser.add_argument("--out", type=Path, metavar="PATH", help=OUT)
    parser.add_argument("--epochs", type=positive, default=100, metavar="N", help="most epochs (default 100)")
    parser.add_argument("--rate", type=rate, default=1e-3, metavar="R", help="learning rate of Adam (default 0.001)")
    parser.add_argument("--batch", type=positive, default=132, metavar="N", help="windows per step (default 132)")
    parser.add_argument("--patience", type=positive, default=20, metavar="N", help=PATIENCE)
    parser.add_argument("--max-time", type=seconds, metavar="MIN|Nh|Ns", help=MAX_TIME)
    parser.add_argument("--seed", type=natural, default=0, metavar="S", help="seed of everything random (default 0)")
    parser.add_argument("--split", metavar="SPEC", help="as for bench run; training ends where its test begins")
    parser.add_argument("--log-dir", metavar="DIR", help="folder for training curves, for TensorBoard")
    add_data(parser)
    group = parser.add_argument_group("work")
    add_cache(group)
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 (default auto)")
    group.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    group.add_argument("--quiet", action="store_true", help="no plan, no progress; the spec only")


def run(args: argparse.Namespace) -> int:
    """Plan, train unless it is done already or this is a dry run, and print the spec of the weights."""
    from bench.cli.progress import ui
    from bench.files.atomic import cache_root
    from bench.run.options import Environment
    from bench.run.train.experiment import Training
    from bench.run.train.request import TrainRequest
    from bench.terminal import say

    if args.out is not None and args.out.suffix != ".safetensors":
        raise BenchError(f"--out {args.out}: give a name ending in .safetensors.")
    request = TrainRequest(
        spec=args.spec,
        data=data_of(args),
        split=args.split,
        out=None if args.out is None else args.out.expanduser().absolute(),
        epochs=args.epochs,
        rate=args.rate,
        batch=args.batch,
        patience=args.patience,
        seed=args.seed,
        max_time=args.max_time,
    )
    environment = Environment(
        cache=cache_root(args.cache),
        device=args.device,
        log_dir=Path(args.log_dir).expanduser() if args.log_dir else None,
    )
    training = Training(request, environment, ui(quiet=args.quiet)).open()
    told = training.finished()
    if told is not None:
        say(f"Nothing was trained: {training.path} is the result of this training.")
    else:
        training.plan()
        if args.dry_run:
            return 0
        told = training.do()
    say(
        f"link AP of validation recordings {told['validation_ap']:.4f} (by chance {told['chance_ap']:.4f}), "
        f"epoch {told['best_epoch']} of {told['epochs_trained']}, ended by {told['stopped']}"
    )
    say(training.spec)
    return 0


def rate(text: str) -> float:
    """Parse a learning rate above 0."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 < found < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return found
