"""The training loop: seeds, mixed precision, early stopping, checkpoints, deadline and training curves.

Every epoch draws from a generator seeded by (seed, epoch), so that a resumed run equals an uninterrupted one
without stored generator states; on a GPU up to rounding, because some sums there have no fixed order. Checkpoints
are safetensors files, without pickle. Training curves are written as a TensorBoard log.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bench.devices import has_float64
from bench.errors import BenchError
from bench.protocols import RunContext
from bench.training.checkpoints import Checkpoints, state_of
from bench.training.history import History, Watch, curves
from bench.training.step_threads import StepThreads

if TYPE_CHECKING:
    import torch

__all__ = ["History", "Schedule", "fit"]


@dataclass(frozen=True)
class Schedule:
    """How long to train.

    epochs : maximum number of epochs
    patience : stop after this many validations without a better value; None: no early stopping
    patience_steps : and only after this many optimizer steps without a better value
    clip : largest gradient norm; None: unlimited
    amp : use bfloat16 autocast on a GPU; the CPU always uses float32
    every : number of epochs between validations
    """

    epochs: int = 100
    patience: int | None = 10
    patience_steps: int = 0
    clip: float | None = None
    amp: bool = True
    every: int = 1

    def __post_init__(self) -> None:
        """Raise an error for values below 1."""
        if self.epochs < 1 or self.every < 1 or (self.patience is not None and self.patience < 1):
            raise ValueError("epochs, every and patience must be positive")

    def exhausted(self, history: History) -> bool:
        """Whether `history` has waited long enough for a better validation value."""
        if self.patience is None:
            return False
        return history.waited >= self.patience and history.waited_steps >= self.patience_steps


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
    """Train `model`, load its best validated state, set it to eval mode, and fill ``run.trained``.

    With ``run.replay``, a list of learning rates, the model is trained for one epoch with each rate, without
    validation, and keeps its last state. Training ends at ``run.deadline``, but not before the first step. An
    incomplete epoch is validated and used if it is the best one; a later call with more time resumes training
    after the last complete epoch.

    Parameters
    ----------
    batches : epoch number -> batches of the epoch; random draws must use torch's generator, which is seeded here
    loss : batch -> mean loss, a scalar with gradient
    valid : -> validation value to maximise, computed with the model in eval mode
    after_valid : called with each validation value, such as the step of a plateau scheduler

    Raises
    ------
    BenchError
        The loss or the validation value is not finite, or a checkpoint does not fit the model.

    """
    import torch

    epochs = schedule.epochs if run.replay is None else len(run.replay)
    kind = torch.device(run.device).type
    autocast = torch.autocast(kind, torch.bfloat16, enabled=schedule.amp and kind != "cpu")

    wide = torch.float64 if has_float64(run.device) else torch.float32

    def step(batch: Any) -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        with autocast:
            value = loss(batch)
        value.backward()  # type: ignore[no-untyped-call]
        if schedule.clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), schedule.clip)
        optimizer.step()
        return value.detach()

    with Checkpoints(run.folder, run.seed, run.log) as store, ExitStack() as stack:
        fields, best = store.resume(model, optimizer) or ({}, state_of(model))
        history = History(**fields)
        start = len(history.loss)
        watch, limited = Watch(run, start, epochs), StepThreads(run.device)
        write = stack.enter_context(curves(run, history))
        for epoch in range(start, epochs):
            if history.stopped:
                break
            torch.manual_seed(run.seed * 1_000_003 + epoch)
            model.train()
            if run.replay is not None:
                _set_rate(optimizer, run.replay[epoch])
            rate = float(optimizer.param_groups[0]["lr"])
            total = torch.zeros((), dtype=wide, device=run.device)
            steps, incomplete = 0, False
            with limited.epoch():
                for batch in batches(epoch):
                    if incomplete := bool(steps) and watch.expired:
                        break
                    total += limited(step, batch)
                    steps += 1
            mean = float(total) / max(steps, 1)
            if not math.isfinite(mean):
                raise BenchError(f"training: the loss of epoch {epoch + 1} is {mean}. Lower the learning rate.")
            due = run.replay is None and ((epoch + 1) % schedule.every == 0 or epoch + 1 == epochs)
            history.waited_steps += steps
            score = _validate(model, valid, epoch) if due and not incomplete else None
            history.append(mean, score, rate)
            if score is not None:
                if history.update_best(score, epoch):
                    best = state_of(model)
                if after_valid:
                    after_valid(score)
                if schedule.exhausted(history):
                    history.stopped = "patience"
            if not incomplete:
                store.save(model, optimizer, asdict(history), best)
            if watch.expired and not history.stopped and (incomplete or epoch + 1 < epochs):
                history.stopped = "deadline"  # set after saving the checkpoint, so that training can be resumed
                if score is None and run.replay is None:
                    history.valid[-1] = score = _validate(model, valid, epoch)
                    if history.update_best(score, epoch):
                        best = state_of(model)
            write(epoch)
            watch.log_epoch(history)
    history.stopped = history.stopped or "epochs"
    if run.replay is None:
        model.load_state_dict(best)
    model.eval()
    watch.log_end(history)
    return history


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of the first parameter group, and scale those of the others by the same factor."""
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
