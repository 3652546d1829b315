"""Recommenders: what they learn from, and what they offer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from bench.protocols.common import Plugin

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Plays:
    """One row per training play, sorted by user, time and item; times in seconds since 1970 (UTC)."""

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    time: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Lock the arrays: every model of a run trains on the same ones."""
        for array in (self.user, self.item, self.time):
            array.flags.writeable = False

    def __len__(self) -> int:
        """Return the number of plays."""
        return len(self.user)


@dataclass(frozen=True, eq=False)
class Interactions:
    """One row per (user, item), sorted by user and first play; times in seconds since 1970 (UTC).

    `plays` holds every training play where the split says ``sequence=all_plays``, else None.
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    count: NDArray[np.int32]
    n_users: int
    n_items: int
    plays: Plays | None = None

    def __post_init__(self) -> None:
        """Lock the arrays: every model of a run trains on the same ones."""
        for array in (self.user, self.item, self.first, self.last, self.count):
            array.flags.writeable = False

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.user)

    @property
    def indptr(self) -> NDArray[np.int64]:
        """Row pointers (n_users + 1,): the pairs of user u are ``indptr[u]:indptr[u + 1]``."""
        import numpy as np

        return np.searchsorted(self.user, np.arange(self.n_users + 1)).astype(np.int64)


class Items(Protocol):
    """The read-only face of an item table: row = item index, hot and cold items alike."""

    @property
    def ids(self) -> Sequence[str]:
        """Track ids (N,), sorted."""
        ...

    @property
    def vectors(self) -> NDArray[np.float32]:
        """Vectors (N, D), not writable; rows without a vector are zero (see `present`)."""
        ...

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which rows (N,) have a vector."""
        ...

    @property
    def hot(self) -> NDArray[np.bool_]:
        """Which items (N,) occur in training."""
        ...

    @property
    def meta(self) -> Mapping[str, Sequence[Any]]:
        """Columns artist, album, title, tags, genre where known, each (N,)."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of ids and vectors."""
        ...


@dataclass
class RunContext:
    """What the harness grants a fit: nothing here depends on the clock but `deadline`."""

    seed: int = 0
    device: str = "cpu"
    deadline: float | None = None
    """``time.monotonic()`` at which training must end, keeping its best state."""
    log: Callable[[str], None] = field(default=lambda _: None)
    folder: Path | None = None
    """Where checkpoints go; None keeps none."""
    curves: Path | None = None
    """Where the TensorBoard log of loss, validation and rate goes; None: beside the checkpoints."""
    replay: Sequence[float] | None = None
    """Rates of the epochs to train, without any validation: an earlier fit found how many are best."""
    trained: dict[str, Any] = field(default_factory=dict)
    """How training ended, for the record: epochs, best_epoch, stopped (epochs, patience or deadline), and the
    rates up to the best epoch. ``bench.training.loop.fit`` fills it in; so should a loop of a plugin's own."""


@dataclass(frozen=True, eq=False)
class Shape:
    """The sizes of a fit, known before it begins."""

    users: int
    items: int
    """In the table, hot and cold."""
    hot: int
    """Tracks that occur in training."""
    pairs: int
    width: int
    """Of the item vectors; 0 without any."""
    lengths: NDArray[np.int64]
    """Training tracks (users,) of each listener, or plays where the split keeps all."""
    device: str = "cpu"
    seconds: float | None = None
    """What ``--max-time`` grants the fit; None: no limit."""


@dataclass(frozen=True)
class Estimate:
    """What a fit of some shape will take."""

    bytes: int
    """At the peak on its device, beside the item table."""
    notes: Sequence[str] = ()
    """What it will do about that, and whom it leaves out, for the plan."""


class Validator(Protocol):
    """The harness's validation, as `Recommender.fit` is given it."""

    def __call__(self, model: Recommender, /) -> float:
        """Return the mean NDCG of validation users at the run's k."""

    def held_out(self) -> Interactions:
        """Return the validation pairs: for stopping rules of the published lane, which look at a loss."""


class Recommender(Plugin, ABC):
    """Learns from listening and a frozen item table; scores the whole catalogue, filters nothing."""

    needs: frozenset[str] = frozenset({"items", "vectors"})
    """``items``: it is run once for every extractor, else once in all, without any. ``vectors``: and it
    refuses the empty table of ``--extractor none``, where others would learn vectors of their own."""
    deterministic: bool = True
    """Whether the seed changes nothing: it is then run at one seed only."""
    validates: bool = False
    """Whether training stops early on `valid`: a split without validation is then refused."""
    warnings: Sequence[str] = ()
    """What a reader of its numbers must know of its settings; the plan and the record say it."""
    SPACE: ClassVar[str] = ""
    """Where ``bench tune`` searches when it is not told, such as ``lr=1e-4..1e-1(log),layers=1|2|3``."""

    @abstractmethod
    def fit(self, train: Interactions, items: Items, *, valid: Validator, run: RunContext) -> None:
        """Learn. `valid(model)` is the harness's validation NDCG at the run's k; never rank here."""

    @abstractmethod
    def score(self, users: NDArray[np.int32], items: Items | None = None) -> NDArray[np.float32] | torch.Tensor:
        """Return (B, n_items) scores, higher is better; `items` replaces the table, row by row."""

    def update_history(self, known: Interactions) -> None:
        """Let `score` read `known` as the users' histories, in place of the training pairs; learn nothing.

        The harness calls it after `fit` where validation pairs are known when the test is ranked; `known` then
        holds training and validation pairs. The default does nothing: it is for models that score without
        reading a history, such as those that have learned a vector of each user.
        """

    def plan(self, shape: Shape) -> Estimate | None:
        """Reckon what `fit` will take, before any work; None (the default): unknown.

        The harness refuses what does not fit into memory.

        Raises
        ------
        BenchError
            For settings that cannot be with that shape.

        """
        return None

    def save(self, path: Path) -> None:
        """Write the fitted model to `path`, a file or a folder that is not there yet, without any pickle.

        The default raises NotImplementedError.
        """
        raise NotImplementedError

    def load(self, path: Path) -> None:
        """Read what `save` wrote: `score` then returns the same. The default raises NotImplementedError."""
        raise NotImplementedError
