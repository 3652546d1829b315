"""The search of ``bench tune``: try the settings of one cell on validation data."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bench.errors import BenchError
from bench.files.atomic import digest
from bench.protocols import RunContext
from bench.records import SearchInfo, Trial
from bench.registry import create
from bench.run.recommend.experiment import RecommendExperiment
from bench.run.recommend.fit import validated
from bench.run.recommend.request import Cell
from bench.run.tune.space import Parameter
from bench.run.tune.trials import Journal, Sampler, propose
from bench.specs import Spec
from bench.text import counted, duration

USED_UP = 20
"""Number of consecutive repeated proposals after which a search in a small space ends."""


@dataclass(frozen=True)
class Budget:
    """The limits of a search, including the trials of earlier calls, and its sampler.

    trials : number of trials; None for no limit
    max_time : seconds of all trials; it also ends the last training; None for no limit
    """

    trials: int | None = None
    max_time: float | None = None
    sampler: Sampler = "random"


class Search:
    """A search over the settings of one cell of an open experiment, whose seed is that of the search.

    The objective is validation NDCG at the run's first k; test pairs are not used. The journal has everything that
    determines the proposals, so an interrupted search continues unchanged, and an interrupted trial continues from its
    checkpoint. A budget smaller than the journal uses its first trials.
    """

    def __init__(self, experiment: RecommendExperiment, cell: Cell, space: Sequence[Parameter], budget: Budget):
        self.experiment, self.cell, self.space, self.budget = experiment, cell, space, budget
        self.base = cell.model.spec
        key = {
            "inputs": experiment.draft(cell).inputs_sha256,
            "space": self.text,
            "sampler": budget.sampler,
            "seed": cell.seed,
        }
        self._id = digest(key)[:32]
        self._journal = Journal(experiment.environment.cache / "searches" / f"{self._id}.jsonl")
        self.trials = self._journal.read()[: budget.trials]

    @property
    def text(self) -> str:
        """The space in command-line syntax."""
        return ",".join(map(str, self.space))

    @property
    def succeeded(self) -> list[Trial]:
        """The trials with a value."""
        return [trial for trial in self.trials if trial.value is not None]

    @property
    def best(self) -> Trial:
        """The trial with the highest value, the first one of ties.

        Raises
        ------
        BenchError
            When no trial succeeded.

        """
        if not self.succeeded:
            errors = "".join(f"\n  trial {trial.number}: {trial.error}" for trial in self.trials[:5])
            raise BenchError(f"{self.cell}: none of {len(self.trials)} trials succeeded:{errors}")
        return max(self.succeeded, key=lambda trial: trial.value if trial.value is not None else -1.0)

    @property
    def best_cell(self) -> Cell:
        """The cell with the best settings."""
        resolver = self.experiment.resolved.resolver
        return replace(self.cell, model=resolver.recommender(self.spec(self.best.settings)))

    @property
    def left(self) -> float:
        """Seconds that remain; infinite without a limit."""
        if self.budget.max_time is None:
            return math.inf
        return self.budget.max_time - sum(trial.seconds for trial in self.trials)

    @property
    def ended(self) -> Literal["budget", "time", "space"] | None:
        """Why no further trial is made: all were made, the time or the space is used up; None if the search goes on."""
        if self.budget.trials is not None and len(self.trials) >= self.budget.trials:
            return "time" if any(trial.stopped == "deadline" for trial in self.trials) else "budget"
        if self.left <= 0:
            return "time"
        used_up = len(self.trials) >= USED_UP and all(trial.same_as is not None for trial in self.trials[-USED_UP:])
        return "space" if used_up else None

    @property
    def complete(self) -> bool:
        """Whether the search has ended, and no trial would be repeated."""
        return self.ended is not None and (self.left <= 0 or not self._unfinished)

    @property
    def info(self) -> SearchInfo:
        """The search as a record holds it."""
        return SearchInfo(
            objective=f"validation ndcg@{self.experiment.k[0]}",
            base=self.cell.model.text,
            space=self.text,
            sampler=self.budget.sampler,
            seed=self.cell.seed,
            best=self.best.number,
            trials=tuple(self.trials),
            budget=self.budget.trials,
            max_time_s=self.budget.max_time,
            ended=self.ended,
        )

    def spec(self, settings: Mapping[str, str]) -> str:
        """Return the model's spec with a trial's settings."""
        return str(Spec(self.base.name, {**self.base.settings, **settings}))

    def go(self) -> None:
        """Run trials up to the budget; the search also ends if the sampler proposes only known settings."""
        say, of = self.experiment.ui.log, f" of {self.budget.trials}" if self.budget.trials else ""
        if self.trials and not self.ended:
            say(f"the search goes on after {counted(len(self.trials), 'trial')}")
        self._retry()
        while not self.ended:
            settings = propose(self.space, self.trials, self.budget.sampler, self.cell.seed)
            number = len(self.trials)
            say(f"trial {number + 1}{of}: {self.spec(settings)}")
            same = next((trial for trial in self.trials if trial.settings == settings), None)
            trial = self._try(number, settings) if same is None else _repeated(number, same)
            self._keep(trial)
            say(f"trial {number + 1}: {trial.error or f'{trial.value:.4f}'}, {trial.seconds:.0f} s{self._rest()}")
        if self.ended == "space":
            say(f"the last {USED_UP} proposals were known already: the space is used up")

    def _rest(self) -> str:
        """Return the expected time of the remaining trials of this search, for the progress."""
        if self.ended or self.budget.trials is None:
            return ""
        spent = sum(trial.seconds for trial in self.trials)
        rest = min(spent / len(self.trials) * (self.budget.trials - len(self.trials)), self.left)
        return f", about {duration(rest)} left"

    def checkpoints(self, settings: Mapping[str, str]) -> Path:
        """Return the folder for a trial's checkpoints, named by settings, not by number: proposals can change."""
        return self.experiment.environment.cache / "checkpoints" / f"{self._id}-{digest(dict(settings))[:16]}"

    @property
    def _unfinished(self) -> list[Trial]:
        """Trials that failed or reached the time limit: the environment or the limit may have changed."""
        return [one for one in self.trials if one.same_as is None and (one.error or one.stopped == "deadline")]

    def _retry(self) -> None:
        """Repeat unfinished trials, and keep the better results; the time of both counts."""
        for trial in self._unfinished:
            if self.left <= 0:
                return
            number = trial.number
            self.experiment.ui.log(f"trial {number + 1} again: {self.spec(trial.settings)}")
            again = self._try(number, trial.settings)
            less = again.stopped == "deadline" and trial.value is not None and (again.value or 0.0) <= trial.value
            spent = round(trial.seconds + again.seconds, 3)
            self._keep(replace(trial if again.value is None or less else again, seconds=spent))
            for copy in [copy for copy in self.trials if copy.same_as == number]:
                self._keep(_repeated(copy.number, self.trials[number]))

    def _keep(self, trial: Trial) -> None:
        """Write a trial to the journal, where it replaces an earlier one with the same number."""
        self._journal.append(trial)
        self.trials[trial.number : trial.number + 1] = [trial]

    def _try(self, number: int, settings: dict[str, str]) -> Trial:
        """Train with `settings` and validate; an error fails the trial, not the search."""
        experiment, started = self.experiment, time.monotonic()
        folder = self.checkpoints(settings)
        end = None if self.budget.max_time is None else started + self.left
        run = RunContext(self.cell.seed, experiment.device, end, experiment.ui.log, folder)
        value: float | None = None
        error = ""
        try:
            with experiment.threads():
                value = self._value(settings, run)
        except Exception as problem:  # models can raise any exception, such as for lack of memory
            error = str(problem) if isinstance(problem, BenchError) else f"{type(problem).__name__}: {problem}"
            error = " ".join(error.split())
        shutil.rmtree(folder, ignore_errors=True)
        stopped = str(run.trained.get("stopped", ""))
        # Rounded up: a trial until a deadline leaves no time.
        seconds = math.ceil(1000 * (time.monotonic() - started)) / 1000
        return Trial(number, settings, value, seconds, stopped, None, error)

    def _value(self, settings: dict[str, str], run: RunContext) -> float:
        experiment, split = self.experiment, self.experiment.split
        model = create("recommenders", self.spec(settings), lane=experiment.request.lane)
        table = experiment.table(self.cell.extractor, self.cell.seed)
        return validated(model, table, split, experiment.k[0], run)


def _repeated(number: int, same: Trial) -> Trial:
    first = same.number if same.same_as is None else same.same_as
    return replace(same, number=number, seconds=0.0, same_as=first)
