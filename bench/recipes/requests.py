"""Find out which of a paper's embeddings are available, and make the requests that evaluate them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.extract import make_ready
from bench.protocols import Lane, TableSource
from bench.published import Paper
from bench.registry import create
from bench.run.inputs import Opened
from bench.run.options import Data
from bench.run.recommend.request import RecommendRequest
from bench.specs import parse

ONION_FEATURES = {"mfcc": "id_mfcc_stats.tsv.bz2"}
"""Extractors of the paper whose vectors are a file of the data set."""


@dataclass(frozen=True)
class Backend:
    """An embedding of the paper, and the extractor that computes it or the reason why it is not available."""

    name: str
    """Name in the paper."""
    spec: str
    missing: str | None = None
    """Why the embedding is not available; None if it is."""


def backends(paper: Paper, names: Sequence[str], opened: Opened, lane: Lane, cache: Path) -> list[Backend]:
    """Return the embeddings with these `names` in the paper, prepared for use if possible.

    Weights are downloaded here, so that missing weights are known before any long computation.
    """
    return [_backend(name, paper.extractors[name], opened, lane, cache) for name in names]


def _backend(name: str, extractor: str, opened: Opened, lane: Lane, cache: Path) -> Backend:
    file = opened.root / ONION_FEATURES.get(extractor, "-")
    if file.is_file():
        return Backend(name, f"precomputed:path={file}")
    try:
        plugin = create("extractors", parse(extractor), lane=_lane_of(extractor, lane))
        if opened.catalog is None and not isinstance(plugin, TableSource):
            return Backend(name, extractor, f"{opened.dataset.name} has no audio here")
        make_ready(plugin, cache)
    except BenchError as error:
        return Backend(name, extractor, str(error))
    return Backend(name, _spec(extractor, lane))


def _lane_of(extractor: str, lane: Lane) -> Lane:
    from bench.registry import get

    lanes = get("extractors", extractor).lanes
    return lane if lane in lanes else lanes[0]


def _spec(extractor: str, lane: Lane) -> str:
    """Add the lane to the spec if the extractor does not have the run's lane; records then show mixed lanes."""
    available = _lane_of(extractor, lane)
    return extractor if available == lane else f"{extractor}:lane={available}"


def requests(
    found: Sequence[Backend],
    *,
    data: Data,
    split: str,
    k: int,
    lane: Lane,
    seeds: int,
    models: Sequence[str],
    from_scratch: Sequence[str],
) -> list[RecommendRequest]:
    """Return the requests: all embeddings with all `models`, then vectors trained from scratch.

    `models` and `from_scratch` are specs; of the latter, those that need vectors are left out.
    """
    specs = tuple(backend.spec for backend in found if backend.missing is None)
    learning = tuple(spec for spec in from_scratch if "vectors" not in create("recommenders", spec, lane=lane).needs)
    common = {"data": data, "split": split, "k": (k,), "seeds": tuple(range(seeds)), "lane": lane}
    runs: list[RecommendRequest] = []
    if specs:
        runs.append(RecommendRequest(extractors=specs, models=tuple(models), **common))  # type: ignore[arg-type]
    if learning:
        runs.append(RecommendRequest(extractors=("none",), models=learning, controls=not specs, **common))  # type: ignore[arg-type]
    return runs


def log_backends(found: Sequence[Backend], log: Callable[[str], None]) -> None:
    """Log which embeddings are evaluated, and why others are not."""
    for backend in found:
        log(
            f"{backend.name}: {backend.spec}"
            if backend.missing is None
            else f"{backend.name}: not run: {backend.missing}"
        )
