"""The trials of a search, stored as JSON lines, and the samplers that propose the next one."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench.errors import BenchError
from bench.records import Trial
from bench.run.tune.space import Choice, Parameter

Sampler = Literal["tpe", "random"]


class Journal:
    """The finished trials of one search, one per line, from which an interrupted search continues."""

    def __init__(self, path: Path):
        self._path = path

    def read(self) -> list[Trial]:
        """Return the trials in order, each from its last line; incomplete lines are skipped."""
        trials: list[Trial] = []
        if not self._path.exists():
            return trials
        for text in self._path.read_text(encoding="utf-8").splitlines():
            try:
                trial = Trial(**json.loads(text))
                if 0 <= trial.number <= len(trials):  # a later line replaces an earlier one of the same trial
                    trials[trial.number : trial.number + 1] = [trial]
            except (json.JSONDecodeError, TypeError):
                continue
        return trials

    def append(self, trial: Trial) -> None:
        """Append a trial and flush it to disk."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._path, "ab+") as file:
            if file.tell() and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
                file.write(b"\n")  # end a line that an interruption left incomplete
            file.write(json.dumps(asdict(trial), ensure_ascii=False, allow_nan=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def chosen_sampler(asked: Sampler | None) -> Sampler:
    """Return the requested sampler; by default TPE if Optuna is installed, else random search.

    Raises
    ------
    BenchError
        When TPE is requested and Optuna is not installed.

    """
    there = find_spec("optuna") is not None
    if asked == "tpe" and not there:
        raise BenchError("--sampler tpe needs Optuna: pip install 'music-embedding-bench[tune]', or --sampler random.")
    return asked or ("tpe" if there else "random")


def propose(space: Sequence[Parameter], trials: Sequence[Trial], sampler: Sampler, seed: int) -> dict[str, str]:
    """Return the next settings, which depend on the seed and earlier trials, but not on interruptions."""
    if sampler == "random":
        random = np.random.default_rng([seed, len(trials)])
        return {one.key: one.draw(random) for one in space}
    return _tpe(space, trials, seed)


def _tpe(space: Sequence[Parameter], trials: Sequence[Trial], seed: int) -> dict[str, str]:
    """Propose by Optuna's TPE (Bergstra et al. 2011) given all earlier trials, with a new generator for each trial."""
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    own: dict[str, BaseDistribution] = {}
    for one in space:
        if isinstance(one, Choice):
            own[one.key] = CategoricalDistribution(one.values)
        elif one.whole:
            own[one.key] = IntDistribution(int(one.low), int(one.high), log=one.log)
        else:
            own[one.key] = FloatDistribution(one.low, one.high, log=one.log)
    sampler = optuna.samplers.TPESampler(seed=int(np.random.default_rng([seed, len(trials)]).integers(2**32)))
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for trial in trials:
        known: dict[str, Any] = {
            one.key: trial.settings[one.key]
            if isinstance(one, Choice)
            else (int if one.whole else float)(trial.settings[one.key])
            for one in space
        }
        state = optuna.trial.TrialState.FAIL if trial.value is None else optuna.trial.TrialState.COMPLETE
        study.add_trial(optuna.trial.create_trial(params=known, distributions=own, value=trial.value, state=state))
    asked = study.ask(own).params
    return {one.key: asked[one.key] if isinstance(one, Choice) else one.typed(asked[one.key]) for one in space}
