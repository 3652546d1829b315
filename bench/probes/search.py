"""Train a list of networks, choose the best one on validation, and predict the test part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.files.atomic import digest
from bench.probes.checkpoint import Checkpoint
from bench.probes.clip_pooling import join
from bench.probes.configs import Member, Schedule, stacks
from bench.probes.data import ProbeData
from bench.probes.features import Features
from bench.probes.objective import Objective
from bench.probes.stack import Stack
from bench.probes.train import StackTrainer, evaluate
from bench.protocols import RunContext


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The result of a search; the fields are described in `bench.probes.data.Outcome`."""

    prediction: NDArray[np.float32]
    validation: float
    settings: dict[str, Any]
    searched: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Best:
    """The best of several candidates on validation.

    validation : its primary metric on validation
    clips : the rule that joins the clips of a track; None without clips
    chosen : its settings, and its value under ``validation``
    searched : the same of all candidates
    outputs : computes the outputs (n, L) for the test part
    notes : sentences for the record about the choice
    """

    validation: float
    clips: str | None
    chosen: dict[str, Any]
    searched: list[dict[str, Any]]
    outputs: Callable[[], NDArray[np.float32]]
    notes: list[str] = field(default_factory=list)


def search(
    data: ProbeData, members: Sequence[Member], schedule: Schedule, *, seed: int, run: RunContext
) -> SearchResult:
    """Train all members, choose the best by the primary metric on validation, and predict test once."""
    features, objective = Features(data, run.device), Objective(data, run.device)
    return predict(data, objective, best_network(data, features, objective, members, schedule, seed=seed, run=run))


def best_network(
    data: ProbeData,
    features: Features,
    objective: Objective,
    members: Sequence[Member],
    schedule: Schedule,
    *,
    seed: int,
    run: RunContext,
) -> Best:
    """Train all members, and choose the best by the primary metric on validation.

    If members have equal results, the first one is chosen. The members are trained in stacks of limited size, one
    after another, to limit the memory.

    Raises
    ------
    BenchError
        If no member gave finite outputs.

    """
    searched: list[dict[str, Any]] = [{} for _ in members]
    best: tuple[float, int, Stack, str | None] | None = None
    for indexes in stacks(members, features.shape[-1], objective.outputs):
        trainer = StackTrainer([members[i] for i in indexes], features, objective, schedule, seed=seed, run=run)
        checkpoint = Checkpoint(trainer, _path(run, data, trainer.members, schedule, seed))
        trainer.train(checkpoint.save)
        if not any(state.stopped == "deadline" for state in trainer.states):
            checkpoint.save(now=True)
        for i, state in zip(indexes, trainer.states, strict=True):
            searched[i] = members[i].settings() | {
                "validation": state.best,
                "step": state.step,
                "stopped": state.stopped,
            }
        if trainer.winner is None:
            continue
        place, weights = trainer.winner
        value = trainer.states[place].best
        assert value is not None
        if best is None or value > best[0] or (value == best[0] and indexes[place] < best[1]):
            trainer.stack.members = [members[indexes[place]]]
            trainer.stack.weights = {n: w[None] for n, w in weights.items()}
            best = (value, indexes[place], trainer.stack, trainer.states[place].clips)
        run.log(f"{sum(bool(row) for row in searched)} of {len(members)} probes trained, best validation {best[0]:.4f}")
    if best is None:
        raise BenchError("probe: no network gave finite outputs. Standardise the vectors, or use a lower lr=.")
    value, chosen, stack, clips = best
    return Best(value, clips, searched[chosen], searched, lambda: evaluate(stack, features, "test")[0].cpu().numpy())


def predict(data: ProbeData, objective: Objective, *found: Best) -> SearchResult:
    """Predict the test part with the best of `found`, the first one of equals; join the outputs of clips."""
    best = max(found, key=lambda each: each.validation)
    prediction = objective.prediction(best.outputs())
    tracks = data.tracks("test")
    if tracks is not None and best.clips is not None:
        prediction = join(prediction, tracks[1], best.clips, data.kind)
    settings = {k: v for k, v in best.chosen.items() if k != "validation"} | (
        {"clips": best.clips} if best.clips else {}
    )
    searched = [row for each in found for row in each.searched]
    return SearchResult(prediction, best.validation, settings, searched, best.notes)


def _path(run: RunContext, data: ProbeData, members: list[Member], schedule: Schedule, seed: int) -> Path | None:
    """Return the checkpoint of a stack: a hash of data, members, schedule and seed names the file."""
    if run.folder is None:
        return None
    parts = {
        f"{what} {part}": sha256(np.ascontiguousarray(table[part]).data).hexdigest()
        for what, table in (("x", data.x), ("y", data.y))
        for part in ("train", "valid")
    }
    settings = {"members": [m.settings() for m in members], "schedule": asdict(schedule), "seed": seed}
    return run.folder / f"probe-{digest(parts | settings)[:16]}.safetensors"
