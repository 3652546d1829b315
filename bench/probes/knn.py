"""The k-nearest-neighbour probe: labels of the nearest training tracks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from bench.norms import l2
from bench.probes.data import PARTS, Part, ProbeData
from bench.probes.features import Features
from bench.probes.objective import Objective
from bench.probes.search import Best, SearchResult, predict
from bench.protocols import RunContext

KS = (1, 3, 5, 10, 20, 50, 100, 200)
_BLOCK = 1 << 24
"""Maximum number of distances, or of neighbours' labels, in memory at a time."""


@dataclass(frozen=True)
class KNN:
    """Nearest neighbours, by cosine or euclidean distance. By default, validation chooses k."""

    version: ClassVar[str] = "2"

    k: int | None = None
    metric: Literal["cosine", "euclidean"] = "cosine"
    scale: bool = True

    def __post_init__(self) -> None:
        """Check that k is positive."""
        if self.k is not None and self.k < 1:
            raise ValueError("k must be positive")


def knn(data: ProbeData, settings: KNN, seed: int, run: RunContext) -> SearchResult:
    """Average the labels of the k nearest training tracks, weighted by (1 + cosine) / 2 or 1 / (1 + distance).

    The weights of the neighbours are almost equal; they break ties. Rows at equal distance are ordered by
    index. `seed` is not used, because nothing is random.
    """
    features, objective = Features(data, "cpu"), Objective(data)
    vectors = {part: features.of(part, settings.scale).numpy() for part in PARTS}
    if settings.metric == "cosine":
        vectors = {part: l2(x) for part, x in vectors.items()}
    y = objective.y["train"].numpy()
    labels = np.eye(objective.outputs, dtype=np.float32)[y] if y.dtype.kind == "i" else y.astype(np.float32)
    ks = [k for k in KS if k <= len(y)] if settings.k is None else [min(settings.k, len(y))]

    def outputs(part: Part, numbers: Sequence[int]) -> NDArray[np.float32]:
        means = _means(vectors[part], vectors["train"], labels, numbers, settings.metric)
        if data.kind == "values":
            return means
        # Use logits, as networks do, so that the same rules join clips.
        odds = means if data.kind != "tags" else means / np.maximum(1 - means, 1e-6)
        return np.log(odds + np.float32(1e-6))

    scored = [objective.primary(table) for table in outputs("valid", ks)]
    tried = [
        {"k": k, "metric": settings.metric, "scale": settings.scale, "validation": value}
        for k, (value, _) in zip(ks, scored, strict=True)
    ]
    best = max(range(len(ks)), key=lambda i: scored[i][0])
    value, clips = scored[best]
    return predict(data, objective, Best(value, clips, tried[best], tried, lambda: outputs("test", [ks[best]])[0]))


def _means(
    vectors: NDArray[np.float32],
    train: NDArray[np.float32],
    labels: NDArray[np.float32],
    ks: Sequence[int],
    metric: str,
) -> NDArray[np.float32]:
    """Return the weighted mean labels (K, n, L) of the k nearest of `train` (N, D) for each k."""
    most = max(ks)
    out = np.empty((len(ks), len(vectors), labels.shape[1]), np.float32)
    rows = max(1, _BLOCK // max(len(train), most * labels.shape[1]))
    norms = (train**2).sum(axis=1)
    for start in range(0, len(vectors), rows):
        x = vectors[start : start + rows]
        far = x @ train.T
        if metric == "cosine":
            np.negative(far, out=far)
        else:
            far *= -2
            far += norms
            far += (x**2).sum(axis=1)[:, None]
        near = np.argpartition(far, most - 1, axis=1)[:, :most]
        near.sort(axis=1)
        at = np.take_along_axis(far, near, axis=1)
        order = np.argsort(at, axis=1, kind="stable")
        near, at = np.take_along_axis(near, order, axis=1), np.take_along_axis(at, order, axis=1)
        weight = (1 - at) / 2 if metric == "cosine" else 1 / (1 + np.sqrt(np.maximum(at, 0)))
        weight = np.maximum(weight, np.float32(1e-6))
        total = np.cumsum(labels[near] * weight[:, :, None], axis=1)
        share = total / np.cumsum(weight, axis=1)[:, :, None]
        out[:, start : start + rows] = share[:, [k - 1 for k in ks]].transpose(1, 0, 2)
    return out
