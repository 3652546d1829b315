"""A race on disk: one safetensors file per stack, so that a search that was killed goes on where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.files import whole
from bench.probes.train import Fate, Race

if TYPE_CHECKING:
    import torch

_SECONDS = 30.0
"""Least time between two saves of a race under way; the numbers do not depend on it."""


class Saved:
    """Where a race is kept; without a path it is not."""

    def __init__(self, race: Race, path: Path | None) -> None:
        """Continue `race` from `path` where that exists.

        Raises
        ------
        BenchError
            When the file cannot be read or is of another race.

        """
        self._race, self._path, self._last = race, path, time.monotonic()
        if path is not None and path.exists():
            self._load(path)

    def save(self, *, now: bool = False) -> None:
        """Write the race, unless it was written a moment ago."""
        if self._path is None or (not now and time.monotonic() - self._last < _SECONDS):
            return
        from safetensors.torch import save_file

        race = self._race
        tensors = _named("weights.", race.stack.weights) | _named("best.", race.best)
        for name, (mean, square) in race.stack.moments.items():
            tensors |= _named(f"moments.{name}.", {"mean": mean, "square": square})
        if race.champion is not None:
            tensors |= _named("champion.", race.champion[1])
        about = {
            "step": race.stack.step,
            "validated": race.validated,
            "active": race.active,
            "champion": race.champion[0] if race.champion else None,
            "fates": [asdict(fate) for fate in race.fates],
        }
        with whole(self._path) as temporary:
            save_file(tensors, temporary, {"bench": json.dumps(about, allow_nan=False)})
        self._last = time.monotonic()

    def _load(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        race = self._race
        try:
            with safe_open(path, framework="pt", device=str(race.stack.device)) as file:
                about = json.loads((file.metadata() or {})["bench"])
                held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            names = list(race.stack.weights)
            race.stack.keep(about["active"])
            race.active, race.stack.step = about["active"], about["step"]
            race.validated = about["validated"]
            race.fates = [Fate(**fate) for fate in about["fates"]]
            race.stack.weights = {n: held[f"weights.{n}"].requires_grad_() for n in names}
            race.stack.moments = {n: (held[f"moments.{n}.mean"], held[f"moments.{n}.square"]) for n in names}
            race.best = {n: held[f"best.{n}"] for n in names}
            if about["champion"] is not None:
                race.champion = (about["champion"], {n: held[f"champion.{n}"] for n in names})
        except (SafetensorError, KeyError, IndexError, TypeError, ValueError, OSError) as error:
            raise BenchError(f"{path} is not the probe it should be ({error}). Remove it to start anew.") from error


def _named(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
