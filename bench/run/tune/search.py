"""The search of ``bench tune``: try settings on validation data, then evaluate the best one on the test set once."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bench import records
from bench.errors import BenchError
from bench.files.atomic import digest
from bench.protocols import Lane, RunContext
from bench.records import Record, SearchInfo, Trial
from bench.registry import create, get
from bench.run.recommend.experiment import RecommendExperiment
from bench.run.recommend.fit import check
from bench.run.recommend.validation import Validation, absent
from bench.run.tune.space import Parameter, parse
from bench.run.tune.trials import Journal, Sampler, chosen_sampler, propose
from bench.specs import Spec
from bench.text import counted

USED_UP = 20
"""Number of consecutive repeated proposals after which a search in a small space ends."""


class Search:
    """A search over the settings of the single model of an open experiment.

    The objective is validation NDCG at the run's first k. Test pairs are not used before `finish`. The journal
    has everything that determines the proposals, so an interrupted search continues unchanged, and an
    interrupted trial continues from its checkpoint.

    Raises
    ------
    BenchError
        For an invalid space, bounds that the model's settings reject, or a split without validation.

    """

    def __init__(self, experiment: RecommendExperiment, *, space: str | None, sampler: Sampler | None, seed: int):
        self.experiment, self.cell, self.seed = experiment, experiment.cells[0], seed
        self.base = self.cell.model.spec
        self.space = space_of(self.base, space, experiment.request.lane)
        self.sampler = chosen_sampler(sampler)
        if reason := absent(experiment.split, self.base.name):
            raise BenchError(reason)
        experiment.fill()
        key = {
            "inputs": experiment.draft(self.cell).inputs_sha256,
            "space": self.text,
            "sampler": self.sampler,
            "seed": seed,
        }
        self._id = digest(key)[:32]
        self._journal = Journal(experiment.environment.cache / "searches" / f"{self._id}.jsonl")
        self.trials = self._journal.read()

    @property
    def text(self) -> str:
        """The space in command-line syntax."""
        return ",".join(map(str, self.space))

    @property
    def best(self) -> Trial:
        """The trial with the highest value, the first one of ties.

        Raises
        ------
        BenchError
            When no trial succeeded.

        """
        succeeded = [trial for trial in self.trials if trial.value is not None]
        if not succeeded:
            errors = "".join(f"\n  trial {trial.number}: {trial.error}" for trial in self.trials[:5])
            raise BenchError(f"none of {len(self.trials)} trials succeeded:{errors}")
        return max(succeeded, key=lambda trial: trial.value if trial.value is not None else -1.0)

    def spec(self, settings: Mapping[str, str]) -> str:
        """Return the model's spec with a trial's settings."""
        return str(Spec(self.base.name, {**self.base.settings, **settings}))

    def go(self, trials: int | None, max_time: float | None) -> None:
        """Run trials until there are `trials` of them, or for `max_time` seconds, which also ends the last training.

        The search also ends if the sampler proposes only known settings.
        """
        say = self.experiment.ui.log
        say(f"space: {self.text}; sampler {self.sampler}, seed {self.seed}")
        if self.trials:
            say(f"the search goes on after {counted(len(self.trials), 'trial')}")
        end = None if max_time is None else time.monotonic() + max_time
        self._retry(end)
        while (trials is None or len(self.trials) < trials) and (end is None or time.monotonic() < end):
            if len(self.trials) >= USED_UP and all(trial.same_as is not None for trial in self.trials[-USED_UP:]):
                say(f"the last {USED_UP} proposals were known already: the space is used up")
                break
            settings = propose(self.space, self.trials, self.sampler, self.seed)
            number = len(self.trials)
            say(f"trial {number + 1}{f' of {trials}' if trials else ''}: {self.spec(settings)}")
            same = next((trial for trial in self.trials if trial.settings == settings), None)
            trial = self._try(number, settings, end) if same is None else _repeated(number, same)
            self._keep(trial)
            say(f"trial {number + 1}: {trial.error or f'{trial.value:.4f}'}, {trial.seconds:.0f} s")

    def finish(self) -> tuple[Path, Record]:
        """Run the best settings, evaluate them on the test set, and store the search in their record."""
        best = self.best
        model = self.experiment.resolved.resolver.recommender(self.spec(best.settings))
        cell = replace(self.cell, model=model)
        _, record = self.experiment.existing(cell) or self.experiment.measure(cell)
        search = SearchInfo(
            objective=f"validation ndcg@{self.experiment.k[0]}",
            base=self.cell.model.text,
            space=self.text,
            sampler=self.sampler,
            seed=self.seed,
            best=best.number,
            trials=tuple(self.trials),
        )
        record = replace(record, recommender=replace(record.recommender, search=search))
        return records.write(record, self.experiment.environment.results)

    def checkpoints(self, settings: Mapping[str, str]) -> Path:
        """Return the folder for a trial's checkpoints, named by settings, not by number: proposals can change."""
        return self.experiment.environment.cache / "checkpoints" / f"{self._id}-{digest(dict(settings))[:16]}"

    def _retry(self, end: float | None) -> None:
        """Repeat trials that failed or reached the time limit: the environment or the limit may have changed."""
        for number, trial in enumerate(self.trials):
            if trial.same_as is not None or not (trial.error or trial.stopped == "deadline"):
                continue
            if end is not None and time.monotonic() >= end:
                return
            self.experiment.ui.log(f"trial {number + 1} again: {self.spec(trial.settings)}")
            again = self._try(number, trial.settings, end)
            less = again.stopped == "deadline" and trial.value is not None and (again.value or 0.0) <= trial.value
            if again.value is None or less:  # no improvement
                continue
            self._keep(again)
            for copy in [copy for copy in self.trials if copy.same_as == number]:
                self._keep(_repeated(copy.number, again))

    def _keep(self, trial: Trial) -> None:
        """Write a trial to the journal, where it replaces an earlier one with the same number."""
        self._journal.append(trial)
        self.trials[trial.number : trial.number + 1] = [trial]

    def _try(self, number: int, settings: dict[str, str], end: float | None) -> Trial:
        """Train with `settings` and validate; an error fails the trial, not the search."""
        experiment, started = self.experiment, time.monotonic()
        folder = self.checkpoints(settings)
        run = RunContext(self.seed, experiment.device, end, experiment.ui.log, folder)
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
        return Trial(number, settings, value, round(time.monotonic() - started, 3), stopped, None, error)

    def _value(self, settings: dict[str, str], run: RunContext) -> float:
        experiment, split = self.experiment, self.experiment.split
        model = create("recommenders", self.spec(settings), lane=experiment.request.lane)
        table = experiment.table(self.cell.extractor, self.cell.seed)
        check(model, split, table.vectors.shape[1], experiment.device)
        present = table.present if "items" in model.needs else None
        valid = Validation(split, present, experiment.k[0], experiment.k[0], self.seed)
        model.fit(split.train, table, valid=valid, run=run)
        return valid(model)


def space_of(base: Spec, given: str | None, lane: Lane) -> tuple[Parameter, ...]:
    """Return the search space without settings that the model's spec fixes, and check that settings accept its bounds.

    This needs no data, so that an invalid space is reported before any data is read.

    Raises
    ------
    BenchError
        For an empty or invalid space, one that varies what `base` fixes, or one that the model's settings reject.

    """
    text = given if given is not None else get("recommenders", base.name).SPACE
    space = parse(text)
    if given is None:  # the model's default space, without what spec or lane fixes
        space = tuple(one for one in space if one.key not in base.settings and not _refused(base, one, lane))
    elif both := [one.key for one in space if one.key in base.settings]:
        raise BenchError(f"--space varies {', '.join(both)}, which --model {base} fixes: drop one.")
    elif errors := [error for one in space if (error := _refused(base, one, lane))]:
        raise errors[0]
    if not space:
        raise BenchError(f"nothing to search: {base} offers no space. Give --space key=lo..hi,key=a|b.")
    return space


def _refused(base: Spec, one: Parameter, lane: Lane) -> BenchError | None:
    """Return the error of the model's settings for a bound of a range, or for a choice; None if all are valid."""
    for end in one.ends:
        try:
            create("recommenders", str(Spec(base.name, {**base.settings, one.key: end})), lane=lane)
        except BenchError as error:
            return error
    return None


def _repeated(number: int, same: Trial) -> Trial:
    first = same.number if same.same_as is None else same.same_as
    return replace(same, number=number, seconds=0.0, same_as=first)
