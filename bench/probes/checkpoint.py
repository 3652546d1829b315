"""Checkpoints of probes: one safetensors file per stack, from which an interrupted search resumes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.files.atomic import whole
from bench.formats.sealed import DamagedError, read_sealed, write_sealed
from bench.probes.train import MemberState, StackTrainer

if TYPE_CHECKING:
    import torch

_SECONDS = 30.0
"""Minimum time in seconds between two checkpoints; results do not depend on it."""


class Checkpoint:
    """The checkpoint file of a `StackTrainer`; without a path, nothing is saved."""

    def __init__(self, trainer: StackTrainer, path: Path | None) -> None:
        """Restore the state of `trainer` from `path` if the file exists and is not damaged.

        Raises
        ------
        BenchError
            If the file is sound, but not a checkpoint of these networks.

        """
        self._trainer, self._path, self._last = trainer, path, time.monotonic()
        if path is not None and path.exists():
            self._load(path)

    def save(self, *, now: bool = False) -> None:
        """Write the checkpoint; without `now`, only if the last one is old enough."""
        if self._path is None or (not now and time.monotonic() - self._last < _SECONDS):
            return
        trainer = self._trainer
        tensors = _named("weights.", trainer.stack.weights) | _named("best.", trainer.best)
        for name, (mean, square) in trainer.stack.moments.items():
            tensors |= _named(f"moments.{name}.", {"mean": mean, "square": square})
        if trainer.winner is not None:
            tensors |= _named("winner.", trainer.winner[1])
        about = {
            "step": trainer.stack.step,
            "validated": trainer.validated,
            "active": trainer.active,
            "winner": trainer.winner[0] if trainer.winner else None,
            "states": [asdict(state) for state in trainer.states],
        }
        with whole(self._path) as temporary:
            write_sealed(temporary, tensors, about)
        self._last = time.monotonic()

    def _load(self, path: Path) -> None:
        trainer = self._trainer
        try:
            kept, about = read_sealed(path)
        except DamagedError:
            return  # what it held is computed again
        tensors = {name: tensor.to(trainer.stack.device) for name, tensor in kept.items()}
        try:
            names = list(trainer.stack.weights)
            trainer.stack.select(about["active"])
            trainer.active, trainer.stack.step = about["active"], about["step"]
            trainer.validated = about["validated"]
            trainer.states = [MemberState(**state) for state in about["states"]]
            trainer.stack.weights = {n: tensors[f"weights.{n}"].requires_grad_() for n in names}
            trainer.stack.moments = {n: (tensors[f"moments.{n}.mean"], tensors[f"moments.{n}.square"]) for n in names}
            trainer.best = {n: tensors[f"best.{n}"] for n in names}
            if about["winner"] is not None:
                trainer.winner = (about["winner"], {n: tensors[f"winner.{n}"] for n in names})
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise BenchError(f"{path} is no checkpoint of this probe ({error}). Remove it to start again.") from error


def _named(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}
