"""The one training loop: seeds, mixed precision, early stopping, checkpoints, deadline, log.

Every epoch draws from a generator seeded by (seed, epoch), so a resumed run equals an uninterrupted
one without storing generator states. Checkpoints are safetensors files; nothing is pickled. Curves go to
a TensorBoard log beside them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.protocols import RunContext
from bench.training.checkpoints import Checkpoints, state_of
from bench.training.history import History, Watch, curves

if TYPE_CHECKING:
    import torch

__all__ = ["History", "Schedule", "fit"]


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
    """Train `model` and leave it in its best validated state, in eval mode; ``run.trained`` says how it ended.

    With ``run.replay`` it trains for as many epochs, each at the rate given there, without validation, and
    is left in its last state. At ``run.deadline`` training ends, at the earliest after one step; what was
    reached in between two checkpoints is kept when it validates better, and another fit with more time
    goes on from the last whole epoch.

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

    store = Checkpoints(run.folder, run.seed)
    history = History(**(store.resume(model, optimizer) or {}))
    start = len(history.loss)
    best = state_of(model) if history.best_epoch < 0 else store.best(model)
    epochs = schedule.epochs if run.replay is None else len(run.replay)
    autocast = torch.autocast("cuda", torch.bfloat16, enabled=schedule.amp and run.device.startswith("cuda"))
    watch = Watch(run, start, epochs)

    def step(batch: Any) -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        with autocast:
            value = loss(batch)
        value.backward()  # type: ignore[no-untyped-call]
        if schedule.clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), schedule.clip)
        optimizer.step()
        return value.detach()

    with curves(run, history) as write:
        for epoch in range(start, epochs):
            if history.stopped:
                break
            torch.manual_seed(run.seed * 1_000_003 + epoch)
            model.train()
            if run.replay is not None:
                _set_rate(optimizer, run.replay[epoch])
            rate = float(optimizer.param_groups[0]["lr"])
            total = torch.zeros((), dtype=torch.float64, device=run.device)
            steps, cut = 0, False
            for batch in batches(epoch):
                if cut := bool(steps) and watch.expired:
                    break
                total += step(batch)
                steps += 1
            mean = float(total) / max(steps, 1)
            if not math.isfinite(mean):
                raise BenchError(f"training: the loss of epoch {epoch + 1} is {mean}. Lower the learning rate.")
            due = run.replay is None and ((epoch + 1) % schedule.every == 0 or epoch + 1 == epochs)
            score = _validate(model, valid, epoch) if due and not cut else None
            history.note(mean, score, rate)
            if score is not None:
                if history.better(score, epoch):
                    best = state_of(model)
                    store.save_best(model)
                if after_valid:
                    after_valid(score)
                if schedule.patience is not None and history.waited >= schedule.patience:
                    history.stopped = "patience"
            if not cut:
                store.save(model, optimizer, asdict(history))
            if watch.expired and not history.stopped and (cut or epoch + 1 < epochs):
                history.stopped = "deadline"  # after the checkpoint: with more time, training goes on from it
                if score is None and run.replay is None:
                    history.valid[-1] = score = _validate(model, valid, epoch)
                    if history.better(score, epoch):
                        best = state_of(model)
            write(epoch)
            watch.tell(history)
    history.stopped = history.stopped or "epochs"
    if run.replay is None:
        model.load_state_dict(best)
    model.eval()
    watch.end(history)
    return history


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the first group's rate, and the others' in proportion."""
    factor = rate / optimizer.param_groups[0]["lr"]
    for group in optimizer.param_groups:
        group["lr"] *= factor


def _validate(model: torch.nn.Module, valid: Callable[[], float], epoch: int) -> float:
    import torch

    model.eval()
    with torch.no_grad():
        score = float(valid())
    if not math.isfinite(score):
        raise BenchError(f"training: the validation value of epoch {epoch + 1} is {score}.")
    return score
