"""Train a list of networks and let validation choose one: the whole of every trained probe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.files import digest
from bench.probes.data import ProbeData
from bench.probes.features import Features
from bench.probes.members import Member, Schedule, stacks
from bench.probes.saved import Saved
from bench.probes.stack import Stack
from bench.probes.target import Target
from bench.probes.tracks import join
from bench.probes.train import Race, evaluate
from bench.protocols import RunContext


@dataclass(frozen=True, eq=False)
class Found:
    """What a search gives: see `bench.probes.data.Outcome`."""

    prediction: NDArray[np.float32]
    validation: float
    settings: dict[str, Any]
    searched: list[dict[str, Any]]


def search(data: ProbeData, members: Sequence[Member], schedule: Schedule, *, seed: int, run: RunContext) -> Found:
    """Train all members, choose the best by the chief metric on validation, and predict test once.

    Of equals the first in `members` is chosen. Members with hidden layers are trained a stack at a
    time, bounded in memory.

    Raises
    ------
    BenchError
        When no member ever gave finite outputs.

    """
    features, target = Features(data, run.device), Target(data, run.device)
    searched: list[dict[str, Any]] = [{} for _ in members]
    best: tuple[float, int, Stack, str | None] | None = None
    for indexes in stacks(members, features.shape[-1], target.outputs):
        race = Race([members[i] for i in indexes], features, target, schedule, seed=seed, run=run)
        saved = Saved(race, _path(run, data, race.all, schedule, seed))
        race.train(saved.save)
        if not any(fate.stopped == "deadline" for fate in race.fates):
            saved.save(now=True)
        for i, fate in zip(indexes, race.fates, strict=True):
            searched[i] = members[i].settings() | {
                "validation": fate.best,
                "step": fate.step,
                "stopped": fate.stopped,
            }
        if race.champion is None:
            continue
        place, weights = race.champion
        value = race.fates[place].best
        assert value is not None
        if best is None or value > best[0] or (value == best[0] and indexes[place] < best[1]):
            race.stack.members, race.stack.weights = [members[indexes[place]]], {n: w[None] for n, w in weights.items()}
            best = (value, indexes[place], race.stack, race.fates[place].clips)
        run.log(f"{sum(bool(row) for row in searched)} of {len(members)} probes trained, best validation {best[0]:.4f}")
    if best is None:
        raise BenchError("probe: none of the networks gave finite outputs. Standardise the vectors, or lower lr=.")
    value, chosen, stack, clips = best
    outputs = evaluate(stack, features, "test")[0].cpu().numpy()
    return predict(data, target, outputs, value, clips, searched[chosen], searched)


def predict(
    data: ProbeData,
    target: Target,
    outputs: NDArray[np.float32],
    validation: float,
    clips: str | None,
    chosen: dict[str, Any],
    searched: list[dict[str, Any]],
) -> Found:
    """Return what a search found, with test outputs (n, L) in the labels' units, joined by track where asked."""
    prediction = target.prediction(outputs)
    tracks = data.tracks("test")
    if tracks is not None and clips is not None:
        prediction = join(prediction, tracks[1], clips, data.kind)
    settings = {k: v for k, v in chosen.items() if k != "validation"} | ({"clips": clips} if clips else {})
    return Found(prediction, validation, settings, searched)


def _path(run: RunContext, data: ProbeData, members: list[Member], schedule: Schedule, seed: int) -> Path | None:
    """Return where a stack is kept: one file for each set of data, members, schedule and seed."""
    if run.folder is None:
        return None
    parts = {
        f"{what} {part}": sha256(np.ascontiguousarray(table[part]).data).hexdigest()
        for what, table in (("x", data.x), ("y", data.y))
        for part in ("train", "valid")
    }
    asked = {"members": [m.settings() for m in members], "schedule": asdict(schedule), "seed": seed}
    return run.folder / f"probe-{digest(parts | asked)[:16]}.safetensors"
