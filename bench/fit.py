"""The one training loop: seeds, mixed precision, early stopping, checkpoints, deadline, log.

Every epoch draws from a generator seeded by (seed, epoch), so a resumed run equals an uninterrupted
one without storing generator states. Checkpoints are safetensors files; nothing is pickled.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.files import whole
from bench.protocols import RunContext

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Schedule:
    """How long to train.

    epochs : at most this many
    patience : stop after this many epochs without a better validation value; None: never
    clip : largest gradient norm; None: unlimited
    amp : bfloat16 autocast on a GPU; the CPU always computes in float32
    every : validate (and checkpoint) after every so many epochs
    """

    epochs: int = 100
    patience: int | None = 10
    clip: float | None = None
    amp: bool = True
    every: int = 1

    def __post_init__(self) -> None:
        """Reject schedules that never train or never validate."""
        if self.epochs < 1 or self.every < 1 or (self.patience is not None and self.patience < 1):
            raise ValueError("epochs, every and patience must be positive")


@dataclass
class History:
    """What happened: one loss and one validation value an epoch (NaN where not validated)."""

    loss: list[float] = field(default_factory=list)
    valid: list[float | None] = field(default_factory=list)
    best: float = -math.inf
    best_epoch: int = -1
    waited: int = 0
    stopped: str = ""
    """epochs | patience | deadline"""


def fit(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    batches: Callable[[int], Iterable[Any]],
    loss: Callable[[Any], torch.Tensor],
    valid: Callable[[], float],
    run: RunContext,
    schedule: Schedule = Schedule(),
    after_valid: Callable[[float], None] | None = None,
) -> History:
    """Train `model` and leave it in its best validated state, in eval mode.

    Parameters
    ----------
    batches : epoch number -> the epoch's batches; draw from torch's generator, which is seeded here
    loss : batch -> mean loss, a scalar with gradient
    valid : -> a value to maximise, computed with the model in eval mode
    after_valid : called with each validation value (a plateau scheduler's step)

    Raises
    ------
    BenchError
        When the loss or the validation value is not finite: NaN never becomes a model.

    """
    import torch

    store = _Checkpoints(run.folder, run.seed)
    history, start = store.resume(model, optimizer)
    best = _state(model) if history.best_epoch < 0 else store.best(model)
    autocast = torch.autocast("cuda", torch.bfloat16, enabled=schedule.amp and run.device.startswith("cuda"))
    for epoch in range(start, schedule.epochs):
        if history.stopped:
            break
        torch.manual_seed(run.seed * 1_000_003 + epoch)
        model.train()
        total = torch.zeros((), dtype=torch.float64, device=run.device)
        steps = 0
        for batch in batches(epoch):
            optimizer.zero_grad(set_to_none=True)
            with autocast:
                value = loss(batch)
            value.backward()  # type: ignore[no-untyped-call]
            if schedule.clip is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), schedule.clip)
            optimizer.step()
            total += value.detach()
            steps += 1
            if run.deadline is not None and time.monotonic() > run.deadline:
                history.stopped = "deadline"
                break
        mean = float(total) / max(steps, 1)
        if not math.isfinite(mean):
            raise BenchError(f"training: the loss of epoch {epoch + 1} is {mean}. Lower the learning rate.")
        history.loss.append(mean)
        due = (epoch + 1) % schedule.every == 0 or epoch + 1 == schedule.epochs or bool(history.stopped)
        history.valid.append(_validate(model, valid, epoch) if due else None)
        score = history.valid[-1]
        if score is not None:
            if score > history.best:
                history.best, history.best_epoch, history.waited = score, epoch, 0
                best = _state(model)
                store.save_best(model)
            else:
                history.waited += 1
            if after_valid:
                after_valid(score)
            if schedule.patience is not None and history.waited >= schedule.patience:
                history.stopped = history.stopped or "patience"
        store.save(model, optimizer, history, epoch + 1)
        shown = f", validation {score:.4f}" if score is not None else ""
        run.log(f"epoch {epoch + 1}: loss {mean:.4f}{shown}")
    history.stopped = history.stopped or "epochs"
    model.load_state_dict(best)
    model.eval()
    return history


def _validate(model: torch.nn.Module, valid: Callable[[], float], epoch: int) -> float:
    import torch

    model.eval()
    with torch.no_grad():
        score = float(valid())
    if not math.isfinite(score):
        raise BenchError(f"training: the validation value of epoch {epoch + 1} is {score}.")
    return score


def _state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


class _Checkpoints:
    """Two files in the run's folder: ``last`` (model, optimizer, history) and ``best`` (model)."""

    def __init__(self, folder: Path | None, seed: int):
        self._folder, self._seed = folder, seed

    def resume(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> tuple[History, int]:
        """Load the last checkpoint when there is one of this seed and shape; return its history and epoch."""
        path = self._folder / "last.safetensors" if self._folder else None
        if path is None or not path.exists():
            return History(), 0
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                about = json.loads((file.metadata() or {})["bench"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if about["seed"] != self._seed:
                return History(), 0
            model.load_state_dict(_part(tensors, "model."))
            state = about["optimizer"]
            for key, value in _part(tensors, "optimizer.").items():
                index, _, name = key.partition(".")
                state["state"].setdefault(index, {})[name] = value
            state["state"] = {int(index): entry for index, entry in state["state"].items()}
            optimizer.load_state_dict(state)
        except (SafetensorError, KeyError, RuntimeError, ValueError, OSError) as error:
            raise BenchError(f"{path} does not fit this model ({error}). Remove the folder to start anew.") from error
        return History(**about["history"]), int(about["epoch"])

    def best(self, model: torch.nn.Module) -> dict[str, torch.Tensor]:
        """Read the best state saved before."""
        from safetensors.torch import load_file

        assert self._folder
        path = self._folder / "best.safetensors"
        return load_file(path) if path.exists() else _state(model)

    def save_best(self, model: torch.nn.Module) -> None:
        if self._folder:
            self._write("best", {k: v.contiguous() for k, v in _state(model).items()}, {})

    def save(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, history: History, epoch: int) -> None:
        """Write everything that the next epoch needs."""
        if not self._folder:
            return
        import torch

        state = optimizer.state_dict()
        plain: dict[str, dict[str, Any]] = {}
        tensors = {f"model.{k}": v.contiguous() for k, v in _state(model).items()}
        for index, entry in state["state"].items():
            for name, value in entry.items():
                if isinstance(value, torch.Tensor):
                    tensors[f"optimizer.{index}.{name}"] = value.contiguous()
                else:
                    plain.setdefault(str(index), {})[name] = value
        about = {
            "seed": self._seed,
            "epoch": epoch,
            "history": asdict(history),
            "optimizer": {"state": plain, "param_groups": state["param_groups"]},
        }
        self._write("last", tensors, {"bench": json.dumps(about)})

    def _write(self, name: str, tensors: dict[str, torch.Tensor], about: dict[str, str]) -> None:
        from safetensors.torch import save_file

        assert self._folder
        with whole(self._folder / f"{name}.safetensors") as temporary:
            save_file({k: v.detach().cpu() for k, v in tensors.items()}, temporary, about)


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
