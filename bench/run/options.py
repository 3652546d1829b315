"""Requests and environment options shared by all commands that write records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from bench.errors import BenchError
from bench.protocols import LANES, Engine, Lane
from bench.registry import create
from bench.resolver import Resolver


@dataclass(frozen=True)
class Data:
    """The tracks and listening data of a request.

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
    """Where and how the work is done; apart from `max_time`, results do not depend on it beyond a tolerance."""

    cache: Path
    results: Path = Path("results")
    device: str = "auto"
    dtype: str = "float32"
    batch: int | None = None
    workers: int | None = None
    retry_failed: bool = False
    again: bool = False
    max_time: float | None = None
    """Time limit of each training in seconds; results that hit it are valid only for this limit."""
    engine: Engine = field(default_factory=lambda: create("engines", "local"))
    """Where vectors and cells are computed."""
    log_dir: Path | None = None
    """Folder of training curves; None: beside the checkpoints, which are removed once the record is written."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """Everything that determines the numbers of an experiment, as typed; stored in the record."""

    data: Data
    extractors: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    lane: Lane = "corrected"
    treat: str = ""
    controls: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values for the record."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Create a request from the values of `as_json`.

        Raises
        ------
        BenchError
            When a field is missing or unknown.

        """
        try:
            given: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in content.items()}
            return cls(**{**given, "data": Data(**content["data"])})
        except (KeyError, TypeError) as error:
            raise BenchError(f"the record does not say what was asked ({error}); it cannot be repeated.") from error

    def resolver(self) -> Resolver:
        """Return the resolver of this request's plugins; raise BenchError for an unknown lane or treatment."""
        if self.lane not in LANES:
            raise BenchError(f"--lane {self.lane} is not one of {', '.join(LANES)}.")
        return Resolver(self.lane, self.treat)
