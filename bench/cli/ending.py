"""The common part of ``bench run``, ``probe`` and ``tune``: plan and run an experiment, and show its records."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.records import Record
    from bench.run.experiment import Experiment

Show = Callable[[Sequence[tuple[Path, "Record"]]], None]


def carry_out(experiment: Experiment[Any], args: argparse.Namespace, show: Show, where: str) -> int:
    """Plan an experiment, run it unless this is a dry run, show its records, and return the exit code.

    `where` is the last line of output, with ``{records}`` for the number of records.
    """
    todo = experiment.open().plan()
    if args.dry_run:
        return 0
    done = experiment.do()
    from bench.terminal import say
    from bench.text import counted

    show(done.records)
    if not todo or not done.computed:
        anew = " (--again computes anew)" if hasattr(args, "again") else ""
        say(f"Nothing was recomputed: every cell has a record of the same inputs{anew}.")
    say(where.format(records=counted(len(done.records), "record")))
    if args.max_failed is not None and done.failed_tracks > args.max_failed:
        say(f"{done.failed_tracks} tracks failed, more than --max-failed {args.max_failed}.")
        return 2
    return 0
