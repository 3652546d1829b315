"""The search behind ``bench tune``: settings tried on validation alone, the best one evaluated on test once."""

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
"""Proposals known already, one after the other, that end a search of few possibilities."""


class Search:
    """One search over the settings of the single model of an open experiment.

    The objective is the NDCG of validation at the run's first k. Test pairs are neither ranked nor read
    before `finish`. Everything that decides a proposal is in the journal, so a killed search goes on as
    if nothing had happened; a trial it was killed in goes on from its checkpoint.

    Raises
    ------
    BenchError
        For a space that cannot be read or whose ends the model's settings refuse, and for a split
        without validation.

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
        """The space, as it could be typed."""
        return ",".join(map(str, self.space))

    @property
    def best(self) -> Trial:
        """The first of the trials with the highest value.

        Raises
        ------
        BenchError
            When none succeeded.

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
        """Try settings until there are so many trials, or for so many seconds, the last one cut short by them.

        A search that finds nothing new to try ends as well.
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
        """Run the best settings, test and all, and keep the whole search in their record."""
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
        """Return the folder for the checkpoints of a trial: its settings name it, since proposals may change."""
        return self.experiment.environment.cache / "checkpoints" / f"{self._id}-{digest(dict(settings))[:16]}"

    def _retry(self, end: float | None) -> None:
        """Repeat earlier trials that failed or ran out of time: more memory, another package or more time may help."""
        for number, trial in enumerate(self.trials):
            if trial.same_as is not None or not (trial.error or trial.stopped == "deadline"):
                continue
            if end is not None and time.monotonic() >= end:
                return
            self.experiment.ui.log(f"trial {number + 1} again: {self.spec(trial.settings)}")
            again = self._try(number, trial.settings, end)
            less = again.stopped == "deadline" and trial.value is not None and (again.value or 0.0) <= trial.value
            if again.value is None or less:  # this time it got no further
                continue
            self._keep(again)
            for copy in [copy for copy in self.trials if copy.same_as == number]:
                self._keep(_repeated(copy.number, again))

    def _keep(self, trial: Trial) -> None:
        """Write a trial to the journal, in place of an earlier one with the same number."""
        self._journal.append(trial)
        self.trials[trial.number : trial.number + 1] = [trial]

    def _try(self, number: int, settings: dict[str, str], end: float | None) -> Trial:
        """Train with `settings` and validate; whatever goes wrong is the trial's, not the search's."""
        experiment, started = self.experiment, time.monotonic()
        folder = self.checkpoints(settings)
        run = RunContext(self.seed, experiment.device, end, experiment.ui.log, folder)
        value: float | None = None
        error = ""
        try:
            value = self._value(settings, run)
        except Exception as problem:  # a model may raise anything, and memory may run out
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
    """Return the space, less what the model's spec fixes already; its ends are tried on the settings.

    Needs no data, so that a wrong space is refused before anything is read.

    Raises
    ------
    BenchError
        For a space that cannot be read, varies what `base` fixes, or is refused by the model's settings.

    """
    text = given if given is not None else get("recommenders", base.name).SPACE
    space = parse(text)
    if given is None:  # of its own a model searches what neither spec nor lane fixes
        space = tuple(one for one in space if one.key not in base.settings and not _refused(base, one, lane))
    elif both := [one.key for one in space if one.key in base.settings]:
        raise BenchError(f"--space varies {', '.join(both)}, which --model {base} fixes: drop one.")
    elif errors := [error for one in space if (error := _refused(base, one, lane))]:
        raise errors[0]
    if not space:
        raise BenchError(f"nothing to search: {base} offers no space. Give --space key=lo..hi,key=a|b.")
    return space


def _refused(base: Spec, one: Parameter, lane: Lane) -> BenchError | None:
    """Return why the model's settings refuse an end of a range, or a choice."""
    for end in one.ends:
        try:
            create("recommenders", str(Spec(base.name, {**base.settings, one.key: end})), lane=lane)
        except BenchError as error:
            return error
    return None


def _repeated(number: int, same: Trial) -> Trial:
    first = same.number if same.same_as is None else same.same_as
    return replace(same, number=number, seconds=0.0, same_as=first)
