"""The history of a training, its progress messages, its deadline and its curves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from bench.protocols import RunContext
from bench.training.tensorboard import Events


@dataclass
class History:
    """Values per epoch: loss, validation (None if not validated), learning rate, and time of its end.

    An epoch that a deadline interrupted has values here, but no checkpoint.
    """

    loss: list[float] = field(default_factory=list)
    valid: list[float | None] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    """Seconds since 1970."""
    best: float = -math.inf
    best_epoch: int = -1
    waited: int = 0
    """Number of validations since the best one."""
    waited_steps: int = 0
    """Number of optimizer steps since the best validation."""
    stopped: str = ""
    """epochs | patience | deadline"""

    def append(self, loss: float, score: float | None, rate: float) -> None:
        """Add an epoch that ends now."""
        self.loss.append(loss)
        self.valid.append(score)
        self.rate.append(rate)
        self.ended.append(time.time())

    def update_best(self, score: float, epoch: int) -> bool:
        """Record a validation value, and return whether it is the best so far."""
        if score <= self.best:
            self.waited += 1
            return False
        self.best, self.best_epoch, self.waited, self.waited_steps = score, epoch, 0, 0
        return True


class Watch:
    """Checks the deadline of a training and logs its progress."""

    def __init__(self, run: RunContext, start: int, epochs: int):
        self._run, self._start, self._epochs = run, start, epochs
        self._began = time.monotonic()
        if start:
            run.log(f"training goes on after epoch {start}")

    @property
    def expired(self) -> bool:
        """Whether the deadline has passed."""
        return self._run.deadline is not None and time.monotonic() > self._run.deadline

    def log_epoch(self, history: History) -> None:
        """Log the results of the last epoch and the remaining time at most."""
        done, score = len(history.loss), history.valid[-1]
        now = time.monotonic()
        left = (now - self._began) / (done - self._start) * (self._epochs - done)
        if self._run.deadline is not None:
            left = min(left, max(0.0, self._run.deadline - now))
        shown = f", validation {score:.4f}" if score is not None else ""
        if score is not None and history.best_epoch + 1 == done:
            shown += " (best)"
        self._run.log(
            f"epoch {done} of at most {self._epochs}: loss {history.loss[-1]:.4f}{shown}, "
            f"rate {history.rate[-1]:.3g}, {left:.0f} s left at most"
        )

    def log_end(self, history: History) -> None:
        """Fill ``run.trained`` with the result of the training, and log it."""
        done = len(history.loss)
        # Without validation, the last state is used.
        best = done if self._run.replay is not None else history.best_epoch + 1
        self._run.trained.update(epochs=done, best_epoch=best, stopped=history.stopped, rates=history.rate[:best])
        used = f"epoch {best} is kept, validation {history.best:.4f}" if history.best_epoch >= 0 else "the last is kept"
        self._run.log(f"trained for {done} epochs, ended by {history.stopped}: {used}")


@contextmanager
def curves(run: RunContext, history: History) -> Iterator[Callable[[int], None]]:
    """Yield a function that writes an epoch of `history` to the TensorBoard log; earlier epochs are written first."""
    folder = run.curves or run.folder
    if folder is None:
        yield lambda _epoch: None
        return
    with closing(Events(folder)) as events:

        def write(epoch: int) -> None:
            values = {"loss": history.loss[epoch], "rate": history.rate[epoch]}
            if (score := history.valid[epoch]) is not None:
                values["validation"] = score
            events.scalars(epoch + 1, history.ended[epoch], values)

        for epoch in range(len(history.loss)):
            write(epoch)
        yield write
