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
from bench.probes.knn import KNN, knn
from bench.probes.search import SearchResult, search
from bench.protocols import RunContext

DECAYS = (0.0, 1e-4, 1e-3)
DROPOUTS = (0.25, 0.5, 0.75)
STEADY = Schedule(every=32, patience=16)
"""Default schedule: stop 512 steps after the last improvement."""


@dataclass(frozen=True)
class Quick:
    """The default: validation chooses among six linear networks and two with one hidden layer."""

    version: ClassVar[str] = "1"

    mixture: bool = False


def quick(data: ProbeData, settings: Quick, seed: int, run: RunContext) -> SearchResult:
    """Train the most useful settings of the full grid; `benchmarks/probes.py` compares the results of both."""
    members = [Member(l2=l2, dropout=dropout) for dropout in (0.25, 0.5) for l2 in DECAYS]
    members += [Member(hidden=(512,), dropout=dropout) for dropout in (0.5, 0.75)]
    return search(data, members, STEADY, seed=seed, run=run)


@dataclass(frozen=True)
class Linear:
    """Linear probe. By default, validation chooses l2, the weight decay of Adam."""

    version: ClassVar[str] = "1"

    l2: float | None = None
    lr: float = 1e-3
    batch: int = 256
    scale: bool = True
    mixture: bool = False


def linear(data: ProbeData, settings: Linear, seed: int, run: RunContext) -> SearchResult:
    """Train a linear network for each weight decay."""
    decays = (0.0, 1e-5, 1e-4, 1e-3, 1e-2) if settings.l2 is None else (settings.l2,)
    members = [Member(scale=settings.scale, batch=settings.batch, lr=settings.lr, l2=l2) for l2 in decays]
    return search(data, members, STEADY, seed=seed, run=run)


@dataclass(frozen=True)
class MLP:
    """Network with hidden layers (hidden=512, or 256-128). By default, validation chooses dropout."""

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
        if self.hidden not in ("none", "infer"):
            widths(self.hidden)


def mir_ref(data: ProbeData, settings: MirRef, seed: int, run: RunContext) -> SearchResult:
    """Train the probe of mir_ref (Plachouras et al. 2023); Keras adds l2 |w|^2 to the loss, so the decay is 2 l2."""
    inputs, outputs = data.x["train"].shape[-1], 24 if data.kind == "keys" else len(data.names)
    middle = int(outputs + (inputs - outputs) / 2)
    inferred = {"none": (), "infer": (middle + middle % 2,)}
    hidden = inferred[settings.hidden] if settings.hidden in inferred else widths(settings.hidden)
    member = Member(hidden, settings.scale, batch=1083, lr=1e-3, l2=2e-5)
    return search(data, [member], Schedule(None, 10, 100, rows="epoch", watch="loss"), seed=seed, run=run)


def widths(text: str) -> tuple[int, ...]:
    """Return the widths in a text such as ``512`` or ``256-128``."""
    if not all(part.isdigit() and int(part) for part in text.split("-")):
        raise ValueError(f"hidden={text} must be widths such as 512 or 256-128")
    return tuple(int(part) for part in text.split("-"))


Fit = Callable[[ProbeData, Any, int, RunContext], SearchResult]
PROBES: dict[str, tuple[type[Any], Fit]] = {
    "quick": (Quick, quick),
    "linear": (Linear, linear),
    "mlp": (MLP, mlp),
    "knn": (KNN, knn),
    "jukemir": (JukeMIR, jukemir),
    "marble": (Marble, marble),
    "mir_ref": (MirRef, mir_ref),
}
"""The settings class and the fit function of each probe, by name."""
DEFAULT = "quick"
