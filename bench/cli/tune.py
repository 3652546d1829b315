"""Search settings on validation with one budget for all pairs, then evaluate the best ones on test, once.

  bench tune --extractor musicnn,mfcc --model shallow,knn,ease --budget 30
  bench tune --extractor mfcc --model bert4rec:layers=2 --max-time 2h --space "rate=1e-4..1e-2(log),width=64|128"

Every pair of extractor and model that `bench run` computes is tuned, controls included: a model has one search space,
and each pair as many trials. Models of listening alone are tuned once. Settings in --model are fixed.

The default search space is the model's own. --space gives another one: key=a|b|c, key=lo..hi, key=lo..hi(log),
separated by commas. If a search is killed, the same command continues it. The record of the best settings contains
the complete search.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.ending import carry_out
from bench.cli.options import (
    add_data,
    add_lane,
    add_work,
    cutoffs,
    data_of,
    environment_of,
    natural,
    positive,
    seconds,
    specs,
)
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.records import Record

BUDGET = "number of trials of each search, the same for all, including those of earlier calls"
MAX_TIME = "time limit of each search, the same for all, including the time of earlier calls"
CONTROLS = "leave out popularity, random and shuffled rows; the others are tuned as the rest"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--extractor", type=specs, default=("none",), metavar="SPECS", help="as for bench run")
    parser.add_argument("--model", type=specs, required=True, metavar="SPECS", help="settings given here are fixed")
    parser.add_argument("--budget", type=positive, metavar="N", help=BUDGET)
    parser.add_argument("--max-time", type=seconds, metavar="MIN|Nh|Ns", help=MAX_TIME)
    parser.add_argument("--space", metavar="KEY=LO..HI,KEY=A|B", help="space of the one model (default: its own)")
    parser.add_argument("--sampler", choices=("tpe", "random"), help="(default tpe with the extra tune)")
    parser.add_argument("--seed", type=natural, default=0, metavar="S", help="seed of all searches and trainings")
    parser.add_argument("--split", metavar="SPEC", help="as for bench run")
    parser.add_argument("--k", type=cutoffs, default=(), help="cut-offs; the search maximises NDCG at the first one")
    add_lane(parser)
    parser.add_argument("--treat", default="", metavar="T", help="as for bench run")
    parser.add_argument("--reference", metavar="SPEC", help="as for bench run")
    parser.add_argument("--no-controls", action="store_true", help=CONTROLS)
    parser.add_argument(
        "--refit", action="store_true", help="train the best model on training and validation before the test"
    )
    parser.add_argument("--results", metavar="DIR", help="where records go (default results)")
    add_data(parser)
    add_work(parser, cells=True)


def run(args: argparse.Namespace) -> int:
    """Search, evaluate the best settings on the test, and print the searches and the table."""
    from bench.cli.progress import ui
    from bench.report import boards, show
    from bench.run.tune.experiment import TuneExperiment, TuneRequest
    from bench.run.tune.search import Budget
    from bench.run.tune.trials import chosen_sampler

    if args.budget is None and args.max_time is None:
        raise BenchError("give --budget N, --max-time T, or both: otherwise the searches would not end.")
    limit, args.max_time = args.max_time, None  # limits the searches, not the final trainings
    request = TuneRequest(
        data=data_of(args),
        extractors=args.extractor,
        models=args.model,
        split=args.split,
        k=args.k,
        seeds=(args.seed,),
        lane=args.lane,
        treat=args.treat,
        reference=args.reference,
        controls=not args.no_controls,
        refit=args.refit,
        budget=Budget(args.budget, limit, chosen_sampler(args.sampler)),
        space=args.space,
    )
    experiment = TuneExperiment(request, environment_of(args), ui(quiet=args.quiet))

    def show_all(records: Sequence[tuple[Path, Record]]) -> None:
        _show([record for _, record in records])
        show(boards(records))

    where = (
        f"Settings were chosen on validation alone, and the best ones tested once: {{records}} in "
        f"{experiment.environment.results}, with all trials. One row again: bench run --from RECORD"
    )
    return carry_out(experiment, args, show_all, where)


def _show(records: Sequence[Record]) -> None:
    """Print a line for each search: its best settings, their value, its trials and its time."""
    from rich.table import Table

    from bench.report.format import short, without_folders
    from bench.terminal import console, row
    from bench.text import duration

    table = Table(title="Searches")
    for name in ("Extractor", "Model", "Best settings", "Validation", "Trials", "Failed", "Time", "Ended by"):
        table.add_column(name, overflow="fold")
    for record in records:
        if search := record.recommender.search:
            row(
                table,
                without_folders(record.extractor.spec),
                without_folders(search.base),
                ",".join(f"{key}={value}" for key, value in search.trials[search.best].settings.items()),
                short(search.trials[search.best].value),
                str(len(search.trials)),
                str(sum(trial.value is None for trial in search.trials)),
                duration(sum(trial.seconds for trial in search.trials)),
                search.ended or "",
            )
    console(110).print(table)
