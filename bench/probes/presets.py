"""Presets of probes: the networks to train, and for how long. Each is a settings dataclass and a function.

Raise the `version` of a preset when its answers can change: records of another version are computed again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, Literal

from bench.probes.configs import Member, Schedule
from bench.probes.data import ProbeData
from bench.probes.features import Features
from bench.probes.knn import KNN, knn
from bench.probes.linear import Linear, best_line, linear
from bench.probes.objective import Objective
from bench.probes.search import SearchResult, best_network, predict, search
from bench.probes.zero_shot import ZeroShot, zero_shot
from bench.protocols import RunContext

DECAYS = (0.0, 1e-4, 1e-3)
DROPOUTS = (0.25, 0.5, 0.75)
STEADY = Schedule(every=32, patience=16)
"""Default schedule: stop 512 steps after the last improvement."""
_MANY = 4096
"""Training rows from which the network of `quick` is wide and learns slowly."""


@dataclass(frozen=True)
class Quick:
    """The default: validation chooses among linear probes, solved exactly, and a network with one hidden layer."""

    version: ClassVar[str] = "2"


def quick(data: ProbeData, settings: Quick, seed: int, run: RunContext) -> SearchResult:
    """Solve the linear probe for each penalty, and train one network, whose size and patience suit the training part.

    The network stops 12 epochs, at most 512 steps, after its last improvement.
    """
    features, objective = Features(data, run.device), Objective(data, run.device)
    line = best_line(features, objective, Linear())
    rows = len(data.x["train"])
    epoch = -(-rows // 256)
    every = min(2 * epoch, 32)
    schedule = Schedule(every=every, patience=min(12 * epoch, 512) // every)
    few = rows < _MANY
    members = [Member(hidden=(128 if few else 512,), lr=1e-2 if few else 1e-3, dropout=0.5)]
    network = best_network(data, features, objective, members, schedule, seed=seed, run=run)
    return predict(data, objective, line, network)


@dataclass(frozen=True)
class QuickV1:
    """The former default: validation chooses among six linear networks and two with one hidden layer."""

    version: ClassVar[str] = "1"

    mixture: bool = False


def quick_v1(data: ProbeData, settings: QuickV1, seed: int, run: RunContext) -> SearchResult:
    """Train the most useful settings of the full grid by gradient descent."""
    members = [Member(l2=l2, dropout=dropout) for dropout in (0.25, 0.5) for l2 in DECAYS]
    members += [Member(hidden=(512,), dropout=dropout) for dropout in (0.5, 0.75)]
    return search(data, members, STEADY, seed=seed, run=run)


@dataclass(frozen=True)
class MLP:
    """Network with hidden layers (hidden=512, 256-128 or none). By default, validation chooses dropout."""

    version: ClassVar[str] = "1"

    hidden: str = "512"
    dropout: float | None = None
    l2: float = 0.0
    lr: float = 1e-3
    batch: int = 256
    scale: bool = True
    mixture: bool = False

    def __post_init__(self) -> None:
        """Check the widths."""
        widths(self.hidden)


def mlp(data: ProbeData, settings: MLP, seed: int, run: RunContext) -> SearchResult:
    """Train a network for each dropout rate."""
    members = [
        Member(widths(settings.hidden), settings.scale, settings.batch, settings.lr, settings.l2, dropout)
        for dropout in (DROPOUTS if settings.dropout is None else (settings.dropout,))
    ]
    return search(data, members, STEADY, seed=seed, run=run)


@dataclass(frozen=True)
class JukeMIR:
    """The grid of 216 networks: scaling, hidden layer, batch, learning rate, dropout, weight decay.

    half : train all networks, only the linear ones, or only those with a hidden layer
    validations : maximum number of validations, one every 8 steps; None, as published: no maximum, a network
        stops after 256 validations without improvement
    """

    version: ClassVar[str] = "1"

    half: Literal["both", "linear", "mlp"] = "both"
    validations: int | None = None
    mixture: bool = False


def grid(half: str = "both") -> list[Member]:
    """Return the 216 members (108 for one half), in the order of the published grid."""
    hidden: list[tuple[int, ...]] = [(), (512,)] if half == "both" else [() if half == "linear" else (512,)]
    return [
        Member(h, scale, batch, lr, l2, dropout)
        for scale, h, batch, lr, dropout, l2 in product(
            (False, True), hidden, (64, 256), (1e-5, 1e-4, 1e-3), DROPOUTS, DECAYS
        )
    ]


def jukemir(data: ProbeData, settings: JukeMIR, seed: int, run: RunContext) -> SearchResult:
    """Train the grid of Castellon et al. (ISMIR 2021), section 4, as in their released configuration."""
    schedule = Schedule(every=8, patience=256, limit=settings.validations)
    return search(data, grid(settings.half), schedule, seed=seed, run=run)


@dataclass(frozen=True)
class Marble:
    """One hidden layer of 512, dropout .2, Adam; the learning rate is halved on plateaus; float32, not bfloat16."""

    version: ClassVar[str] = "1"

    lr: float = 1e-3
    batch: int = 64
    epochs: int = 100
    patience: int = 20
    plateau: int = 5
    factor: float = 0.5
    mixture: bool = False


def marble(data: ProbeData, settings: Marble, seed: int, run: RunContext) -> SearchResult:
    """Train the probe of MARBLE, version 2 (Yuan et al. 2023); there the settings depend on the task."""
    member = Member((512,), False, settings.batch, settings.lr, 0.0, 0.2, input_dropout=False)
    plateau = (settings.factor, settings.plateau)
    schedule = Schedule(None, settings.patience, settings.epochs, rows="epoch", plateau=plateau)
    return search(data, [member], schedule, seed=seed, run=run)


@dataclass(frozen=True)
class MirRef:
    """hidden: none (linear), infer (one layer, of the mean of input and output width), or widths such as 256-128."""

    version: ClassVar[str] = "1"

    hidden: str = "none"
    scale: bool = False
    mixture: bool = False

    def __post_init__(self) -> None:
        """Check the widths."""
        if self.hidden != "infer":
            widths(self.hidden)


def mir_ref(data: ProbeData, settings: MirRef, seed: int, run: RunContext) -> SearchResult:
    """Train the probe of mir_ref (Plachouras et al. 2023); Keras adds l2 |w|^2 to the loss, so the decay is 2 l2."""
    inputs, outputs = data.x["train"].shape[-1], 24 if data.kind == "keys" else len(data.names)
    middle = int(outputs + (inputs - outputs) / 2)
    hidden = (middle + middle % 2,) if settings.hidden == "infer" else widths(settings.hidden)
    member = Member(hidden, settings.scale, batch=1083, lr=1e-3, l2=2e-5)
    return search(data, [member], Schedule(None, 10, 100, rows="epoch", watch="loss"), seed=seed, run=run)


def widths(text: str) -> tuple[int, ...]:
    """Return the widths in a text such as ``512`` or ``256-128``; none for ``none``."""
    if text == "none":
        return ()
    if not all(part.isdigit() and int(part) for part in text.split("-")):
        raise ValueError(f"hidden={text} must be none, or widths such as 512 or 256-128")
    return tuple(int(part) for part in text.split("-"))


Fit = Callable[[ProbeData, Any, int, RunContext], SearchResult]
PROBES: dict[str, tuple[type[Any], Fit]] = {
    "quick": (Quick, quick),
    "quick-v1": (QuickV1, quick_v1),
    "linear": (Linear, linear),
    "mlp": (MLP, mlp),
    "knn": (KNN, knn),
    "jukemir": (JukeMIR, jukemir),
    "marble": (Marble, marble),
    "mir_ref": (MirRef, mir_ref),
    "zero-shot": (ZeroShot, zero_shot),
}
"""The settings class and the fit function of each probe, by name."""
DEFAULT = "quick"
