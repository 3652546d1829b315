"""Settings of the networks that are trained together, and their training schedule."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Member:
    """Settings of one network: optional input dropout, hidden layers with ReLU and dropout, output layer.

    hidden : widths of the hidden layers; an empty tuple is a linear probe
    scale : standardise each feature by its mean and deviation over train
    batch : training rows per step
    lr : learning rate of Adam
    l2 : weight decay of Adam, added to the gradients of weights and biases
    dropout : dropout rate of hidden units and, with `input_dropout`, of features
    """

    hidden: tuple[int, ...] = ()
    scale: bool = True
    batch: int = 256
    lr: float = 1e-3
    l2: float = 0.0
    dropout: float = 0.0
    input_dropout: bool = True

    def __post_init__(self) -> None:
        """Check the ranges of the settings."""
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
        """Members with equal streams get the same inputs, including the input dropout."""
        return (self.scale, self.batch, self.dropout if self.input_dropout else 0.0, self.dropout)

    def settings(self) -> dict[str, Any]:
        """Return the settings in the form of the record."""
        return asdict(self) | {"hidden": list(self.hidden)}


@dataclass(frozen=True)
class Schedule:
    """How long a member is trained, and on which rows.

    every : steps between validations; None: one epoch
    patience : a member stops after this many validations without improvement
    limit : maximum number of validations; None: no maximum
    rows : ``draw`` samples each batch from all training rows; ``epoch`` goes through all rows in random order
    plateau : (factor, patience): multiply the learning rate by factor after more than patience validations
        without improvement; None: constant learning rate
    watch : ``metric`` or ``loss``: whether patience and plateau use the primary metric or the validation loss; the
        weights with the best primary metric are always the result
    """

    every: int | None = 8
    patience: int = 256
    limit: int | None = None
    rows: Literal["draw", "epoch"] = "draw"
    plateau: tuple[float, int] | None = None
    watch: Literal["metric", "loss"] = "metric"

    def __post_init__(self) -> None:
        """Check that the intervals and limits are positive."""
        if (
            self.patience < 1
            or (self.every is not None and self.every < 1)
            or (self.limit is not None and self.limit < 1)
        ):
            raise ValueError("every, patience and limit must be positive")


def stacks(members: Sequence[Member], n_features: int, n_outputs: int, *, weights: int = 1 << 25) -> list[list[int]]:
    """Group the members into stacks that are trained together; return the indexes of the members of each stack.

    The members of a stack have the same hidden layers and together at most `weights` parameters; members with equal
    streams are adjacent. A stack needs about 20 bytes of memory per parameter.
    """
    order = sorted(range(len(members)), key=lambda i: (members[i].hidden, members[i].stream, i))
    out: list[list[int]] = []
    remaining = 0
    for i in order:
        widths = [n_features, *members[i].hidden, n_outputs]
        size = sum(a * b + b for a, b in itertools.pairwise(widths))
        if not out or members[out[-1][0]].hidden != members[i].hidden or size > remaining:
            out.append([])
            remaining = max(weights, size)
        out[-1].append(i)
        remaining -= size
    return out
