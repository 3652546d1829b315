"""Which of a paper's embeddings can be had here, and the requests that run what can."""

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
"""Of the paper's vectors, those that lie ready-made in the data set's folder."""


@dataclass(frozen=True)
class Backend:
    """An embedding of the paper: how it is made here, or why it is not."""

    name: str
    """As printed."""
    spec: str
    missing: str | None = None


def backends(paper: Paper, names: Sequence[str], opened: Opened, lane: Lane, cache: Path) -> list[Backend]:
    """Return every embedding of `names` (printed), made ready where that can be done.

    Weights are brought now, so that what is absent is known before anything that takes long.
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
    """Name the lane where the extractor has only another one; the record then says that lanes are mixed."""
    only = _lane_of(extractor, lane)
    return extractor if only == lane else f"{extractor}:lane={only}"


def requests(
    paper: Paper,
    found: Sequence[Backend],
    *,
    data: Data,
    split: str,
    k: int,
    lane: Lane,
    seeds: int,
    models: Sequence[str],
    more: Sequence[str],
) -> list[RecommendRequest]:
    """Return the runs: all embeddings with all `models` (printed) and `more`, then vectors learnt from nothing.

    `more` are recommenders (specs) that the paper lacks. Nothing is learnt by models that have nothing to learn.
    """
    specs = tuple(backend.spec for backend in found if backend.missing is None)
    named = [paper.models[model] for model in models]
    learning = tuple(name for name in named if "vectors" not in create("recommenders", name, lane=lane).needs)
    common = {"data": data, "split": split, "k": (k,), "seeds": tuple(range(seeds)), "lane": lane}
    runs: list[RecommendRequest] = []
    if specs:
        runs.append(RecommendRequest(extractors=specs, models=(*named, *more), **common))  # type: ignore[arg-type]
    if learning:
        runs.append(RecommendRequest(extractors=("none",), models=learning, controls=not specs, **common))  # type: ignore[arg-type]
    return runs


def tell(found: Sequence[Backend], say: Callable[[str], None]) -> None:
    """Say which embeddings are measured, and why others are not."""
    for backend in found:
        say(
            f"{backend.name}: {backend.spec}"
            if backend.missing is None
            else f"{backend.name}: not run: {backend.missing}"
        )
