"""Checkpoints, from which a killed training resumes: one safetensors file with a hash of its content."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.files.atomic import refuse_link, whole
from bench.formats.sealed import DamagedError, read_sealed, write_sealed

if TYPE_CHECKING:
    import torch

    State = dict[str, torch.Tensor]

FORMAT = 3
"""Version of the metadata; checkpoints with another version are ignored, and training starts from the beginning."""


class Checkpoints:
    """``last.safetensors`` in the run's folder: model, best model so far, optimizer and history.

    It is a context manager that locks the folder. A second process that trains the same model meanwhile keeps no
    checkpoints.
    """

    def __init__(self, folder: Path | None, seed: int, log: Callable[[str], None]):
        self._folder, self._seed, self._log = folder, seed, log
        self._open = ExitStack()

    def __enter__(self) -> Checkpoints:
        """Lock the folder."""
        if self._folder is not None:
            from filelock import FileLock, Timeout

            self._folder.mkdir(parents=True, exist_ok=True)
            refuse_link(self._folder / "lock")
            try:
                self._open.enter_context(FileLock(self._folder / "lock", timeout=0))
            except (Timeout, OSError, NotImplementedError) as error:
                self._log(f"no checkpoints are kept: {self._folder} cannot be locked ({error})")
                self._folder = None
        return self

    def __exit__(self, *_: object) -> None:
        """Unlock the folder."""
        self._open.close()

    def resume(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> tuple[dict[str, Any], State] | None:
        """Load the last checkpoint and return the fields of its history, and the best state.

        None if there is none with this seed, or if it is damaged or of another run; the log then says so, and
        training starts from the beginning.
        """
        path = self._folder / "last.safetensors" if self._folder else None
        if path is None or not path.exists():
            return None
        try:
            tensors, about = read_sealed(path)
            if (about["seed"], about["format"]) != (self._seed, FORMAT):
                return None
            if about["run"] != self._run:
                raise DamagedError(f"it was written for {about['run']}")
            _load(model, optimizer, tensors, about["optimizer"])
        except (DamagedError, KeyError) as error:
            self._log(f"{path} is not used, and training starts from the beginning: {error}")
            return None
        return dict(about["history"]), _part(tensors, "best.")

    def save(
        self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, history: Mapping[str, Any], best: State
    ) -> None:
        """Save everything that is needed to resume training with the next epoch."""
        if not self._folder:
            return
        import torch

        state = optimizer.state_dict()
        plain: dict[str, dict[str, Any]] = {}
        tensors = {f"model.{k}": v for k, v in state_of(model).items()}
        tensors |= {f"best.{k}": v for k, v in best.items()}
        for index, entry in state["state"].items():
            for name, value in entry.items():
                if isinstance(value, torch.Tensor):
                    tensors[f"optimizer.{index}.{name}"] = value
                else:
                    plain.setdefault(str(index), {})[name] = value
        about = {
            "seed": self._seed,
            "format": FORMAT,
            "run": self._run,
            "history": dict(history),
            "optimizer": {"state": plain, "param_groups": state["param_groups"]},
        }
        with whole(self._folder / "last.safetensors") as temporary:
            write_sealed(temporary, tensors, about)

    @property
    def _run(self) -> str:
        """The end of the folder's path, which the harness names by a hash of all that a training depends on."""
        assert self._folder
        return "/".join(self._folder.parts[-2:])


def state_of(model: torch.nn.Module) -> State:
    """Return a copy of a model's state."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _load(model: torch.nn.Module, optimizer: torch.optim.Optimizer, tensors: State, state: dict[str, Any]) -> None:
    """Load both or neither; DamagedError when the checkpoint is of another model."""
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
    for prefix in ("model.", "best."):
        if {name: tensor.shape for name, tensor in _part(tensors, prefix).items()} != wanted:
            raise DamagedError("it holds other tensors than this model")
    for key, value in _part(tensors, "optimizer.").items():
        index, _, name = key.partition(".")
        state["state"].setdefault(index, {})[name] = value
    state["state"] = {int(index): entry for index, entry in state["state"].items()}
    try:
        optimizer.load_state_dict(state)
    except (ValueError, KeyError) as error:
        raise DamagedError(f"its optimizer is another one ({error})") from error
    model.load_state_dict(_part(tensors, "model."))
    _lay_out(optimizer)


def _lay_out(optimizer: torch.optim.Optimizer) -> None:
    """Lay out the optimizer's tensors in memory as their parameters: other layouts are added in another order."""
    import torch

    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state[parameter]
            for name, value in state.items():
                if isinstance(value, torch.Tensor) and value.shape == parameter.shape and value.dim() > 1:
                    state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _part(tensors: State, prefix: str) -> State:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
