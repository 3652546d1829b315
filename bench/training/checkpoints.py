"""Checkpoints, from which a killed training resumes: two safetensors files with atomic writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.files.atomic import whole

if TYPE_CHECKING:
    import torch


FORMAT = 2
"""Version of the metadata; checkpoints with another version are ignored, and training starts from the beginning."""


class Checkpoints:
    """Two files in the run's folder: ``last`` (model, optimizer, history) and ``best`` (model)."""

    def __init__(self, folder: Path | None, seed: int):
        self._folder, self._seed = folder, seed

    def resume(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
        """Load the last checkpoint and return the fields of its history, or None if there is none with this seed.

        Raises BenchError if the checkpoint does not fit the model.
        """
        path = self._folder / "last.safetensors" if self._folder else None
        if path is None or not path.exists():
            return None
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                about = json.loads((file.metadata() or {})["bench"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if (about["seed"], about.get("format")) != (self._seed, FORMAT):
                return None
            model.load_state_dict(_part(tensors, "model."))
            state = about["optimizer"]
            for key, value in _part(tensors, "optimizer.").items():
                index, _, name = key.partition(".")
                state["state"].setdefault(index, {})[name] = value
            state["state"] = {int(index): entry for index, entry in state["state"].items()}
            optimizer.load_state_dict(state)
        except (SafetensorError, KeyError, RuntimeError, ValueError, OSError) as error:
            raise BenchError(f"{path} does not fit this model ({error}). Remove the folder to start again.") from error
        return dict(about["history"])

    def best(self, model: torch.nn.Module) -> dict[str, torch.Tensor]:
        """Return the best saved state, or the model's present state if none was saved."""
        from safetensors.torch import load_file

        assert self._folder
        path = self._folder / "best.safetensors"
        return load_file(path) if path.exists() else state_of(model)

    def save_best(self, model: torch.nn.Module) -> None:
        """Save the model's state as the best one."""
        if self._folder:
            self._write("best", {k: v.contiguous() for k, v in state_of(model).items()}, {})

    def save(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, history: Mapping[str, Any]) -> None:
        """Save everything that is needed to resume training with the next epoch."""
        if not self._folder:
            return
        import torch

        state = optimizer.state_dict()
        plain: dict[str, dict[str, Any]] = {}
        tensors = {f"model.{k}": v.contiguous() for k, v in state_of(model).items()}
        for index, entry in state["state"].items():
            for name, value in entry.items():
                if isinstance(value, torch.Tensor):
                    tensors[f"optimizer.{index}.{name}"] = value.contiguous()
                else:
                    plain.setdefault(str(index), {})[name] = value
        about = {
            "seed": self._seed,
            "format": FORMAT,
            "history": dict(history),
            "optimizer": {"state": plain, "param_groups": state["param_groups"]},
        }
        self._write("last", tensors, {"bench": json.dumps(about)})

    def _write(self, name: str, tensors: dict[str, torch.Tensor], about: dict[str, str]) -> None:
        from safetensors.torch import save_file

        assert self._folder
        with whole(self._folder / f"{name}.safetensors") as temporary:
            save_file({k: v.detach().cpu() for k, v in tensors.items()}, temporary, about)


def state_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of a model's state."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
