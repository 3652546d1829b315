"""What a user asks for, and where and how the work is done: what all commands that write records share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from bench.errors import BenchError
from bench.protocols import LANES, Lane
from bench.resolver import Resolver


@dataclass(frozen=True)
class Data:
    """Which tracks and which listening.

    data : a dataset's name; or `listens` with optional `columns`, `audio` (folder or list) and `meta`
    """

    data: str | None = None
    root: str | None = None
    listens: str | None = None
    columns: str | None = None
    audio: str | None = None
    meta: str | None = None


@dataclass(frozen=True)
class Environment:
    """Where and how the work is done: but for `max_time` nothing here changes the numbers beyond a tolerance."""

    cache: Path
    results: Path = Path("results")
    device: str = "auto"
    dtype: str = "float32"
    batch: int = 16
    workers: int | None = None
    retry_failed: bool = False
    again: bool = False
    max_time: float | None = None
    """Seconds after which each training ends; what such a record says holds for this time alone."""
    engine: str = "local"
    """The spec of the engine that extraction runs on."""
    log_dir: Path | None = None
    """Where training curves go; None: beside the checkpoints, which are removed with the record written."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """Everything that decides the numbers of an experiment, as typed, and small enough to stand in a record."""

    data: Data
    extractors: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    lane: Lane = "corrected"
    treat: str = ""
    controls: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return plain values for the record."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what `as_json` wrote.

        Raises
        ------
        BenchError
            When a field is absent or unknown.

        """
        try:
            given: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in content.items()}
            return cls(**{**given, "data": Data(**content["data"])})
        except (KeyError, TypeError) as error:
            raise BenchError(f"the record does not say what was asked ({error}); it cannot be repeated.") from error

    def resolver(self) -> Resolver:
        """Return what makes the plugins of this request; refuse a lane or treatment that does not exist."""
        if self.lane not in LANES:
            raise BenchError(f"--lane {self.lane} is not one of {', '.join(LANES)}.")
        return Resolver(self.lane, self.treat)
