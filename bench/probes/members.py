"""Settings of the networks that are trained together, and for how long."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Member:
    """One network: features, dropout, hidden layers with ReLU and dropout, outputs.

    hidden : widths of the hidden layers; none is a linear probe
    scale : standardise every feature by its mean and deviation over train
    batch : training rows a step
    lr : Adam's learning rate
    l2 : Adam's weight decay, added to the gradient of weights and biases
    dropout : share of hidden units zeroed in training, and of features where `input_dropout`
    """

    hidden: tuple[int, ...] = ()
    scale: bool = True
    batch: int = 256
    lr: float = 1e-3
    l2: float = 0.0
    dropout: float = 0.0
    input_dropout: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        if (
            self.batch < 1
            or self.lr <= 0
            or self.l2 < 0
            or not 0 <= self.dropout < 1
            or min(self.hidden, default=1) < 1
        ):
            raise ValueError("batch, lr and hidden must be positive, l2 not negative, dropout in [0, 1)")

    @property
    def stream(self) -> tuple[Any, ...]:
        """Members with one stream see the same inputs, dropped features included."""
        return (self.scale, self.batch, self.dropout if self.input_dropout else 0.0, self.dropout)

    def settings(self) -> dict[str, Any]:
        """Return the settings as they go into a record."""
        return asdict(self) | {"hidden": list(self.hidden)}


@dataclass(frozen=True)
class Schedule:
    """How long a member trains, and on which rows.

    every : steps between validations; None: an epoch
    patience : a member stops after this many validations without a better one
    limit : at most this many validations; None: until patience ends it
    rows : ``draw`` takes each batch from all training rows; ``epoch`` goes through them in random order
    plateau : (factor, patience) by which a member's learning rate falls while it does not improve
    watch : what patience and plateau count: the chief metric, or the validation loss; the state that is
        kept is always the one with the best chief metric
    """

    every: int | None = 8
    patience: int = 256
    limit: int | None = None
    rows: Literal["draw", "epoch"] = "draw"
    plateau: tuple[float, int] | None = None
    watch: Literal["metric", "loss"] = "metric"

    def __post_init__(self) -> None:
        """Refuse schedules that never validate or never end."""
        if (
            self.patience < 1
            or (self.every is not None and self.every < 1)
            or (self.limit is not None and self.limit < 1)
        ):
            raise ValueError("every, patience and limit must be positive")


def stacks(members: Sequence[Member], n_features: int, n_outputs: int, *, weights: int = 1 << 25) -> list[list[int]]:
    """Return members (by index) to train together: one shape each, at most `weights` parameters, streams adjacent.

    A linear grid is one stack; networks with hidden layers are cut so that parameters, both of Adam's
    moments and the best state fit in about 20 bytes a weight.
    """
    order = sorted(range(len(members)), key=lambda i: (members[i].hidden, members[i].stream, i))
    out: list[list[int]] = []
    room = 0
    for i in order:
        widths = [n_features, *members[i].hidden, n_outputs]
        size = sum(a * b + b for a, b in itertools.pairwise(widths))
        if not out or members[out[-1][0]].hidden != members[i].hidden or size > room:
            out.append([])
            room = max(weights, size)
        out[-1].append(i)
        room -= size
    return out
