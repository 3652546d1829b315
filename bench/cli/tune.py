"""Search a model's settings on validation, then evaluate the best ones on test, once.

  bench tune --extractor mfcc --model shallow --trials 30
  bench tune --extractor mfcc --model bert4rec:layers=2 --max-time 2h --space "rate=1e-4..1e-2(log),width=64|128"

The default search space is the model's own. --space gives another one: key=a|b|c, key=lo..hi, key=lo..hi(log),
separated by commas. Settings in --model are fixed. If the search is killed, the same command continues it. The
record of the best settings contains the complete search.
"""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from bench.cli.options import add_data, add_lane, add_work, cutoffs, data_of, environment_of, natural, positive, seconds
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.records import Trial
    from bench.run.tune.search import Search

SHARED = (
    "extractor",
    "data",
    "root",
    "listens",
    "columns",
    "audio",
    "meta",
    "split",
    "k",
    "lane",
    "treat",
    "reference",
)
"""Options that are the same in ``bench run``."""
PLACES = ("results", "cache", "device")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--extractor", default="none", metavar="SPEC", help="whose vectors (default none)")
    parser.add_argument(
        "--model", required=True, metavar="SPEC", help="which recommender; settings given here are fixed"
    )
    parser.add_argument(
        "--trials", type=positive, metavar="N", help="number of trials, including those of earlier calls"
    )
    parser.add_argument("--max-time", type=seconds, metavar="MIN|Nh|Ns", help="time limit of the search")
    parser.add_argument("--space", metavar="KEY=LO..HI,KEY=A|B", help="search space (default: the model's own)")
    parser.add_argument("--sampler", choices=("tpe", "random"), help="(default tpe with the extra tune)")
    parser.add_argument("--seed", type=natural, default=0, metavar="S", help="seed of the search and of every training")
    parser.add_argument("--split", metavar="SPEC", help="as for bench run")
    parser.add_argument("--k", type=cutoffs, default=(), help="cut-offs; the search maximises NDCG at the first one")
    add_lane(parser)
    parser.add_argument("--treat", default="", metavar="T", help="as for bench run")
    parser.add_argument("--reference", metavar="SPEC", help="as for bench run")
    parser.add_argument(
        "--refit", action="store_true", help="train the best model on training and validation before the test"
    )
    parser.add_argument("--results", metavar="DIR", help="where the record goes (default results)")
    add_data(parser)
    add_work(parser)


def run(args: argparse.Namespace) -> int:
    """Search, evaluate the best settings on the test, and print all trials."""
    from bench.cli.progress import ui
    from bench.run.recommend.experiment import RecommendExperiment
    from bench.run.recommend.request import RecommendRequest
    from bench.run.tune.search import Search, space_of
    from bench.run.tune.trials import chosen_sampler

    if args.trials is None and args.max_time is None:
        raise BenchError("give --trials N, --max-time T, or both: otherwise the search would not end.")
    limit, args.max_time = args.max_time, None  # limits the search, not the final training
    request = RecommendRequest(
        data=data_of(args),
        extractors=(args.extractor,),
        models=(args.model,),
        split=args.split,
        k=args.k,
        seeds=(args.seed,),
        lane=args.lane,
        treat=args.treat,
        reference=args.reference,
        controls=False,
        refit=args.refit,
    )
    experiment = RecommendExperiment(request, environment_of(args), ui(quiet=args.quiet))
    experiment.check()
    space = space_of(experiment.cells[0].model.spec, args.space, args.lane)
    sampler = chosen_sampler(args.sampler)
    experiment.open().plan()
    if args.dry_run:
        experiment.ui.log(f"space: {','.join(map(str, space))}; sampler {sampler}, seed {args.seed}")
        return 0
    search = Search(experiment, space=args.space, sampler=args.sampler, seed=args.seed)
    search.go(args.trials, limit)
    path, record = search.finish()
    _show(search)
    from bench.report import boards, show
    from bench.run.trust import named
    from bench.terminal import say

    show(boards([(path, record)]))
    say(f"Searched on validation alone; the test was evaluated once, and the record holds every trial: {path}")
    say(f"The same again:    bench run --from {shlex.quote(str(path))}{' --trust' if named(request) else ''}")
    say(f"Beside controls:   {_command(record.recommender.spec, args)}")
    return 0


def _show(search: Search) -> None:
    """Print the trials sorted by value, failed ones last."""
    from rich.table import Table

    from bench.terminal import console, row

    table = Table("Trial", f"Validation NDCG@{search.experiment.k[0]}", title="Trials")
    for name in ("Settings", "Seconds", "Ended by"):
        table.add_column(name, overflow="fold")
    order = sorted(search.trials, key=lambda trial: (trial.value is None, -(trial.value or 0.0), trial.number))
    for trial in order:
        value = "failed" if trial.value is None else f"{trial.value:.4f}"
        row(
            table, str(trial.number + 1), value, ",".join(f"{k}={v}" for k, v in trial.settings.items()),
            f"{trial.seconds:.1f}", _ended(trial),
        )  # fmt: skip
    console(110).print(table)


def _ended(trial: Trial) -> str:
    if trial.error:
        return trial.error
    return f"same as trial {trial.same_as + 1}" if trial.same_as is not None else trial.stopped


def _command(model: str, args: argparse.Namespace) -> str:
    """Return the ``bench run`` command for the best model on the same data."""
    words = ["bench", "run", "--model", model]
    for name in (*SHARED, *PLACES):
        value = getattr(args, name)
        if value:
            words += [f"--{name}", ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    return shlex.join([*words, *(["--refit"] if args.refit else [])])
