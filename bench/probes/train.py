"""Train a stack of networks with early stopping for each network, and return the best one.

`bench.training.loop` trains a single model; here many networks share every step, and each has its own early stopping.
Random numbers depend only on the seed and the step, so a resumed training gives the same result as one without
interruption.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.probes.configs import Member, Schedule
from bench.probes.data import Part
from bench.probes.features import Features
from bench.probes.objective import Objective
from bench.probes.stack import Stack
from bench.protocols import RunContext

if TYPE_CHECKING:
    import torch

_BLOCK = 4096
"""Rows per block when outputs are computed for validation or test."""


@dataclass
class MemberState:
    """The early stopping of one member.

    best : best validation value of the primary metric; None if it never was finite
    step, clips : the step and the rule for clips of the best value
    stopped : why the training ended: patience, limit, diverged or deadline; empty while it continues
    watched : best value of the watched quantity (see `Schedule.watch`)
    waited, plateau : validations without improvement, for the patience and for the learning rate
    rate : factor of the learning rate
    """

    best: float | None = None
    step: int = 0
    clips: str | None = None
    stopped: str = ""
    watched: float | None = None
    waited: int = 0
    plateau: int = 0
    rate: float = 1.0


class StackTrainer:
    """The training of one stack: the active members, the state of every member, and the best weights."""

    def __init__(
        self,
        members: Sequence[Member],
        features: Features,
        objective: Objective,
        schedule: Schedule,
        *,
        seed: int,
        run: RunContext,
    ) -> None:
        """Initialise all members with the weights drawn from `seed`."""
        batches = {m.batch for m in members}
        if len(batches) > 1 and (schedule.every is None or schedule.rows == "epoch"):
            raise ValueError("members that train by epochs must have one batch size")
        self.members = list(members)
        self.active = list(range(len(members)))
        self.states = [MemberState() for _ in members]
        self.validated = -1
        """The step of the last validation."""
        self.winner: tuple[int, dict[str, torch.Tensor]] | None = None
        self._features, self._objective = features, objective
        self._schedule, self._seed, self._run = schedule, seed, run
        self._rows = len(objective.y["train"])
        self._epoch = -(-self._rows // max(batches))
        self._every = schedule.every or self._epoch
        self._permutation = cache(self._permuted)
        self._rates: tuple[tuple[float, ...], torch.Tensor] | None = None
        self.stack = Stack(
            members, features.shape, objective.outputs, seed=seed, device=run.device, mixture=len(features.shape) == 2
        )
        self.best = {name: w.detach().clone() for name, w in self.stack.weights.items()}

    def train(self, save: Callable[[], None] = lambda: None) -> None:
        """Train until all members have stopped; call `save` after each validation, except the last."""
        while self.active:
            if self.stack.step % self._every == 0 and self.stack.step != self.validated:
                late = self._run.deadline is not None and time.monotonic() > self._run.deadline
                self._validate(late)
                if not self.active:
                    return
                self.validated = self.stack.step
                save()
            self._step()

    def _step(self) -> None:
        import torch

        rows, noise = self._draw()
        inputs: dict[bool, torch.Tensor] = {}

        def batch(member: Member) -> torch.Tensor:
            if member.scale not in inputs:
                inputs[member.scale] = self._features.of("train", member.scale)[rows]
            return inputs[member.scale][: member.batch]

        y = self._objective.y["train"][rows]
        losses = [
            self._objective.loss(outputs, y[: outputs.shape[1]]).sum() for outputs in self.stack.outputs(batch, noise)
        ]
        rates = tuple(self.members[i].lr * self.states[i].rate for i in self.active)
        if self._rates is None or self._rates[0] != rates:  # a GPU's host would wait for the copy at each step
            self._rates = rates, torch.tensor(rates, device=self._run.device)
        self.stack.update(torch.stack(losses).sum(), self._rates[1])

    def _draw(self) -> tuple[torch.Tensor, list[torch.Tensor] | None]:
        """Return the rows (B,) of this step and, for dropout, uniform random numbers (B, width) for each layer."""
        import torch

        step, members = self.stack.step, self.stack.members
        most = max(m.batch for m in members)
        if self._schedule.rows == "epoch":
            epoch, place = divmod(step, self._epoch)
            rows = self._permutation(epoch)[place * most : (place + 1) * most]
        else:
            rows = torch.randperm(self._rows, **self._generator(step, 0))[:most]
        if not any(m.dropout for m in members):
            return rows, None
        # One generator per layer, so that its numbers do not depend on the widths of the other layers.
        widths = [self._features.shape[-1], *members[0].hidden]
        return rows, [
            torch.rand((len(rows), width), **self._generator(step, level))
            for level, width in enumerate(widths, start=1)
        ]

    def _permuted(self, epoch: int) -> torch.Tensor:
        import torch

        self._permutation.cache_clear()  # only the current epoch is needed
        return torch.randperm(self._rows, **self._generator(epoch, 0))

    def _generator(self, number: int, level: int) -> dict[str, Any]:
        """Return device and generator of a step or epoch, for rows (level 0) or dropout of a layer (1, 2, ...)."""
        import torch

        seed = int(np.random.SeedSequence([self._seed, number, level]).generate_state(1)[0])
        device = torch.device(self._run.device)
        return {"generator": torch.Generator(device).manual_seed(seed), "device": device}

    def _validate(self, late: bool) -> None:
        """Validate the active members, store weights that improved, and stop members by the schedule or if `late`."""
        import torch

        outputs = evaluate(self.stack, self._features, "valid")
        losses = (
            self._objective.loss(outputs, self._objective.y["valid"]).tolist()
            if self._schedule.watch == "loss"
            else None
        )
        table = outputs.cpu().numpy()
        better: list[int] = []
        for place, i in enumerate(self.active):
            state, value = self.states[i], float("nan")
            if np.isfinite(table[place]).all():
                value, clips = self._objective.primary(table[place])
                if state.best is None or value > state.best:
                    state.best, state.step, state.clips = value, self.stack.step, clips
                    better.append(place)
            self._update(state, value if losses is None else -float(losses[place]))
            if late:
                state.stopped = state.stopped or "deadline"
        index = torch.tensor(better, dtype=torch.int64, device=self._run.device)
        for name, w in self.stack.weights.items():
            self.best[name][index] = w.detach()[index]
        self._remove_stopped()

    def _update(self, state: MemberState, value: float) -> None:
        """Update `state` with the watched `value` of a validation; set `state.stopped` if the member must stop."""
        if not np.isfinite(value):
            state.stopped = "diverged"
            return
        if state.watched is None or value > state.watched:
            state.watched, state.waited, state.plateau = value, 0, 0
        else:
            state.waited += 1
            state.plateau += 1
        if self._schedule.plateau and state.plateau > self._schedule.plateau[1]:
            state.rate *= self._schedule.plateau[0]
            state.plateau = 0
        if state.waited >= self._schedule.patience:
            state.stopped = "patience"
        elif self._schedule.limit is not None and self.stack.step >= self._schedule.limit * self._every:
            state.stopped = "limit"

    def _remove_stopped(self) -> None:
        """Remove stopped members from the stack; store the weights of the best member that has stopped."""
        remaining = [place for place, i in enumerate(self.active) if not self.states[i].stopped]
        if len(remaining) == len(self.active):
            return
        for place, i in enumerate(self.active):
            value = self.states[i].best
            if place in remaining or value is None:
                continue
            highest = self.states[self.winner[0]].best if self.winner else None
            if highest is None or value > highest or (value == highest and self.winner and i < self.winner[0]):
                self.winner = (i, {name: w[place].clone() for name, w in self.best.items()})
        self.active = [self.active[place] for place in remaining]
        self.stack.select(remaining)
        self.best = {name: w[remaining] for name, w in self.best.items()}


def evaluate(stack: Stack, features: Features, part: Part) -> torch.Tensor:
    """Return the outputs (M, n, L) of all members of a stack for a part, without dropout."""
    import torch

    rows = len(features.of(part, stack.members[0].scale))
    out = []
    for start in range(0, rows, _BLOCK):
        cut = slice(start, start + _BLOCK)

        def block(member: Member, cut: slice = cut) -> torch.Tensor:
            return features.of(part, member.scale)[cut]

        with torch.no_grad():
            out.append(torch.cat(stack.outputs(block, None)))
    return torch.cat(out, dim=1)
