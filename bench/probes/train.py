"""Train a stack of networks, each until it no longer improves, and keep the best of them.

`bench.fit` trains one model with one fate; here many share every step and each has its own. Random
numbers come from (seed, step), so a run that was killed continues as if it had not been.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from bench.probes.data import Part
from bench.probes.features import Features
from bench.probes.members import Member, Schedule
from bench.probes.stack import Stack
from bench.probes.target import Target
from bench.protocols import RunContext

if TYPE_CHECKING:
    import torch

_BLOCK = 4096
"""Rows whose outputs are computed at a time outside training."""


@dataclass
class Fate:
    """What became of a member: its best validation value (None: never finite), where, and why it ended."""

    best: float | None = None
    step: int = 0
    clips: str | None = None
    stopped: str = ""
    """patience | limit | diverged | deadline"""
    watched: float | None = None
    waited: int = 0
    plateau: int = 0
    rate: float = 1.0


class Race:
    """The members of one stack under way: who still trains, everyone's fate, the champion's weights."""

    def __init__(
        self,
        members: Sequence[Member],
        features: Features,
        target: Target,
        schedule: Schedule,
        *,
        seed: int,
        run: RunContext,
    ) -> None:
        """Start all members from the weights that `seed` draws."""
        batches = {m.batch for m in members}
        if len(batches) > 1 and (schedule.every is None or schedule.rows == "epoch"):
            raise ValueError("members that train by epochs must have one batch size")
        self.all = list(members)
        self.active = list(range(len(members)))
        self.fates = [Fate() for _ in members]
        self.validated = -1
        """The last step whose weights were validated."""
        self.champion: tuple[int, dict[str, torch.Tensor]] | None = None
        self._features, self._target, self._schedule, self._seed, self._run = features, target, schedule, seed, run
        self._rows = len(target.y["train"])
        self._epoch = -(-self._rows // max(batches))
        self._every = schedule.every or self._epoch
        self._permutation = cache(self._permuted)
        self.stack = Stack(
            members, features.shape, target.outputs, seed=seed, device=run.device, mixture=len(features.shape) == 2
        )
        self.best = {name: w.detach().clone() for name, w in self.stack.weights.items()}

    def train(self, save: Callable[[], None] = lambda: None) -> None:
        """Train until every member has ended; `save` is called after each validation that some survive."""
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

        y = self._target.y["train"][rows]
        losses = [
            self._target.loss(outputs, y[: outputs.shape[1]]).sum() for outputs in self.stack.outputs(batch, noise)
        ]
        rates = [self.all[i].lr * self.fates[i].rate for i in self.active]
        self.stack.update(torch.stack(losses).sum(), torch.tensor(rates, device=self._run.device))

    def _draw(self) -> tuple[torch.Tensor, list[torch.Tensor] | None]:
        """Return the rows (B,) of this step and, for dropout, uniform numbers (B, width) for each layer."""
        import torch

        step, members = self.stack.step, self.stack.members
        most = max(m.batch for m in members)
        if self._schedule.rows == "epoch":
            epoch, place = divmod(step, self._epoch)
            rows = self._permutation(epoch)[place * most : (place + 1) * most]
        else:
            rows = torch.randperm(self._rows, generator=self._generator(step, 0))[:most].to(self._run.device)
        if not any(m.dropout for m in members):
            return rows, None
        # A generator each: the numbers of a layer must not depend on how many the one before has used.
        widths = [self._features.shape[-1], *members[0].hidden]
        return rows, [
            torch.rand((len(rows), width), generator=self._generator(step, level)).to(self._run.device)
            for level, width in enumerate(widths, start=1)
        ]

    def _permuted(self, epoch: int) -> torch.Tensor:
        import torch

        self._permutation.cache_clear()  # only the running epoch is of use
        return torch.randperm(self._rows, generator=self._generator(epoch, 0)).to(self._run.device)

    def _generator(self, number: int, level: int) -> torch.Generator:
        """Return the generator of a step (or epoch) for rows (level 0) or for the dropout of a layer (1, 2, ...)."""
        import torch

        return torch.Generator().manual_seed(
            int(np.random.SeedSequence([self._seed, number, level]).generate_state(1)[0])
        )

    def _validate(self, late: bool) -> None:
        """Score all active members on validation, keep what is best, and end who has waited too long."""
        import torch

        outputs = evaluate(self.stack, self._features, "valid")
        losses = (
            self._target.loss(outputs, self._target.y["valid"]).tolist() if self._schedule.watch == "loss" else None
        )
        table = outputs.cpu().numpy()
        better: list[int] = []
        for place, i in enumerate(self.active):
            fate, value = self.fates[i], float("nan")
            if np.isfinite(table[place]).all():
                value, clips = self._target.chief(table[place])
                if fate.best is None or value > fate.best:
                    fate.best, fate.step, fate.clips = value, self.stack.step, clips
                    better.append(place)
            self._judge(fate, value if losses is None else -float(losses[place]))
            if late:
                fate.stopped = fate.stopped or "deadline"
        index = torch.tensor(better, dtype=torch.int64, device=self._run.device)
        for name, w in self.stack.weights.items():
            self.best[name][index] = w.detach()[index]
        self._retire()

    def _judge(self, fate: Fate, value: float) -> None:
        """Count a validation that gave `value`, and say whether the member has to stop."""
        if not np.isfinite(value):
            fate.stopped = "diverged"
            return
        if fate.watched is None or value > fate.watched:
            fate.watched, fate.waited, fate.plateau = value, 0, 0
        else:
            fate.waited += 1
            fate.plateau += 1
        if self._schedule.plateau and fate.plateau > self._schedule.plateau[1]:
            fate.rate *= self._schedule.plateau[0]
            fate.plateau = 0
        if fate.waited >= self._schedule.patience:
            fate.stopped = "patience"
        elif self._schedule.limit is not None and self.stack.step >= self._schedule.limit * self._every:
            fate.stopped = "limit"

    def _retire(self) -> None:
        """Take stopped members out of the stack; the best of all of them leaves its weights."""
        going = [place for place, i in enumerate(self.active) if not self.fates[i].stopped]
        if len(going) == len(self.active):
            return
        for place, i in enumerate(self.active):
            value = self.fates[i].best
            if place in going or value is None:
                continue
            held = self.fates[self.champion[0]].best if self.champion else None
            if held is None or value > held or (value == held and self.champion and i < self.champion[0]):
                self.champion = (i, {name: w[place].clone() for name, w in self.best.items()})
        self.active = [self.active[place] for place in going]
        self.stack.keep(going)
        self.best = {name: w[going] for name, w in self.best.items()}


def evaluate(stack: Stack, features: Features, part: Part) -> torch.Tensor:
    """Return the outputs (M, n, L) of every member of a stack for a part, without dropout."""
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
