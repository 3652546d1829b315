"""The settings of the Shallow Net, and their values in each lane and reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from bench.protocols import Lane

_PAPER: dict[str, Any] = {
    "tower": "shared",
    "hidden": 0,
    "margin": 0.2,
    "negatives": "users",
    "count": 20,
    "exclude_known": False,
    "drawn": "all",
    "user_init": "mean",
    "items": "frozen",
    "users": "trainable",
    "lr": 1e-3,
    "batch": 10_000,
}
_CODE: dict[str, Any] = {**_PAPER, "items": "trainable", "users": "frozen", "drawn": "all_but_last"}
_CORRECTED: dict[str, Any] = {**_PAPER, "negatives": "both", "exclude_known": True, "batch": 0}


@dataclass(frozen=True)
class ShallowSettings:
    """All choices of the paper and its code; None stands for the value of the lane.

    reading : in the published lane, what the paper says (text: item vectors frozen, users trained) or
        what its released code does (code: the reverse, and the last user is never a negative)
    tower : one layer for both users and items, or one for each
    hidden : width of the layer's output; 0: that of the vectors
    margin : of the hinge
    negatives : other users for the item, other items for the user, or both
    count : negatives of each kind for a pair, drawn uniformly with replacement
    pool : how many tracks the other items of one step are drawn from, new ones each step (0: from all); each
        of them goes through the tower. All tracks stay equally likely
    exclude_known : draw no negative that is a training pair
    drawn : which users may be negatives. The released code draws below 17,052 of 17,053 users, that is all
        but the last; all_but_last does so for any number of users
    user_init : mean of the vectors of the user's tracks, or N(0, 1)
    items : frozen, trainable, or frozen plus a trained delta of bounded length
    users : frozen or trainable
    bound : largest length of a delta, as a share of the length of its vector
    dim : width of the learned vectors where the table has none (``--extractor none``)
    lr, batch : rate of Adam, and pairs a step (0: a 64th of the pairs, between 256 and 10,000). The published lane also
        takes another batch, for logs of another size, and its records say so
    epochs, every : most epochs, and epochs between validations
    patience : validations without a better value (published: hinge loss, else NDCG) after which training
        stops; none: never
    plateau, factor : validations without a better value after which the rate is multiplied by factor
    """

    lane: Lane = "corrected"
    reading: Literal["text", "code"] | None = None
    tower: Literal["shared", "separate"] | None = None
    hidden: int | None = None
    margin: float | None = None
    negatives: Literal["users", "items", "both"] | None = None
    count: int | None = None
    pool: int = 8192
    exclude_known: bool | None = None
    drawn: Literal["all", "all_but_last"] | None = None
    user_init: Literal["mean", "random"] | None = None
    items: Literal["frozen", "trainable", "delta"] | None = None
    users: Literal["frozen", "trainable"] | None = None
    bound: float = 0.5
    dim: int = 128
    lr: float | None = None
    batch: int | None = None
    epochs: int = 100
    every: int = 1
    patience: int | None = 16
    plateau: int = 5
    factor: float = 0.1

    def __post_init__(self) -> None:
        """Fill in the values of the lane; reject values that contradict it or are out of range."""
        published = self.lane == "published"
        if self.reading and not published:
            raise ValueError(f"reading={self.reading} belongs to the published lane: add lane=published")
        lane = (_CODE if self.reading == "code" else _PAPER) if published else _CORRECTED
        if published and not self.reading:
            object.__setattr__(self, "reading", "text")
        for name, value in lane.items():
            given = getattr(self, name)
            if published and given not in (None, value) and name != "batch":
                raise ValueError(f"{name}={given}: the published lane, reading={self.reading}, has {name}={value}")
            if given is None:
                object.__setattr__(self, name, value)
        positive = {name: getattr(self, name) for name in ("count", "dim", "epochs", "every", "lr")}
        for name, value in {**positive, "patience": self.patience or 1}.items():
            if value <= 0:
                raise ValueError(f"{name} must be positive, got {value}")
        if min(self.chosen("hidden"), self.chosen("batch"), self.pool, self.plateau) < 0:
            raise ValueError("hidden, batch, pool and plateau must not be negative")
        if not 0 < self.factor < 1 or not self.bound > 0:
            raise ValueError(f"factor must lie in (0, 1) and bound above 0, got {self.factor} and {self.bound}")

    @property
    def departure(self) -> str:
        """What differs from the paper in the published lane; empty: nothing."""
        if self.lane != "published" or self.batch == _PAPER["batch"]:
            return ""
        return f"batch={self.batch} departs from the published batch={_PAPER['batch']}"

    def chosen_batch(self, pairs: int) -> int:
        """Return the pairs a step for this number of training pairs."""
        return self.chosen("batch") or min(10_000, max(256, pairs // 64))

    def chosen(self, name: str) -> Any:
        """Return the value of a setting, which is never None after `__post_init__`."""
        return getattr(self, name)
