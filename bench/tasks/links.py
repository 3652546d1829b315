"""Link prediction: are the vectors of tracks similar if the same users listen to the tracks?

Conventions: the tracks are the held-out ones (`bench.holdout`) of the co-listen graph (`bench.listening.co_listen`),
which knows the whole log and all tracks. If they are at most 2 x `pairs`, all pairs of them are ranked by the cosine of
their vectors. Otherwise `sets` sets of `pairs` edges each are drawn among them; no track is in two of the edges, and
in each set all pairs of its tracks are ranked. All edges between the tracks of a set are positives
(`positives=sampled`: sets are always drawn, and only the drawn edges are positives; other edges count as negatives).
AP and ROC-AUC are means over the sets; their intervals come from resampling the tracks of each set. Nothing is
trained. The upper bound is a matrix factorisation of the graph, which includes the positives.

Reference: Huang et al. (ICASSP 2020), section 4.3: two sets of 1,250 pairs.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.listening.co_listen import Graph, GraphSettings, co_listen
from bench.metrics.link_prediction import ranked_sets
from bench.protocols import Dataset, Task, TaskData


@dataclass(frozen=True)
class LinkSettings(GraphSettings):
    """The settings of the graph, and how many of its edges to draw."""

    pairs: int = 1250
    sets: int = 2
    positives: Literal["known", "sampled"] = "known"
    draw: int = 0

    def __post_init__(self) -> None:
        """Check that the sets are not empty."""
        super().__post_init__()
        if min(self.pairs, self.sets) < 1:
            raise ValueError("pairs and sets must be at least 1")

    def graph(self) -> GraphSettings:
        """Return the settings of the graph alone."""
        values = asdict(self)
        return GraphSettings(**{one.name: values[one.name] for one in fields(GraphSettings)})


class Links(Task):
    """Predict which tracks have the same listeners, by the cosine of their vectors."""

    Settings: ClassVar[type[Any]] = LinkSettings
    name = "links"
    version = "3"
    kind = "links"
    of = "data"
    primary = "average_precision"
    convention = "all pairs of held-out tracks by cosine; every known edge is to be found; means over the sets"
    license = "the dataset's"
    source = "the log of the dataset that --data names; protocol: Huang et al., ICASSP 2020"
    layout = "none of its own"

    def __init__(self, settings: Any = None) -> None:
        """Store the settings; `read` reads the data."""
        super().__init__(settings)
        self._graph: Graph | None = None

    def prepare(self, root: Path | None) -> Path:
        """Return `root`; the task needs no files besides the dataset."""
        return root or Path()

    def read(self, root: Path, dataset: Dataset | None = None) -> TaskData:
        """Build the graph and choose the sets; the truth (E, 3) holds the positives and each track with itself.

        Raises
        ------
        BenchError
            Without dataset or hold-out, or if no two held-out tracks are linked.

        """
        if dataset is None or self.hold_out is None:
            raise BenchError(f"{self.name} needs a dataset: give --data NAME, or --listens.")
        catalog = dataset.catalog(root)
        known = None if catalog is None else catalog["track_id"].to_list()
        self._graph = graph = co_listen(dataset.listens(root), self.settings.graph(), known)
        held = np.isin(graph.ids, list(self.hold_out.held))
        edges = graph.edges[held[graph.edges].all(axis=1)]
        notes = [
            f"co-listen graph of {len(graph.ids):,} tracks and {len(graph.edges):,} edges; {len(edges):,} between the "
            f"{held.sum():,} held-out tracks"
        ]
        of = self._sets(np.flatnonzero(held), edges, notes)
        chosen = np.flatnonzero(of >= 0)
        row = np.full(len(of), -1)
        row[chosen] = np.arange(len(chosen))
        if self.settings.positives == "sampled":
            edges = self._drawn(edges)
        edges = edges[(of[edges[:, 0]] == of[edges[:, 1]]) & (of[edges[:, 0]] >= 0)]
        pairs = np.concatenate([edges, np.repeat(chosen, 2).reshape(-1, 2)])
        truth = np.column_stack([row[pairs], of[pairs[:, 0]]]).astype(np.int64)
        items = pl.DataFrame({"track_id": [graph.ids[node] for node in chosen.tolist()]})
        items = items.with_columns(part=pl.lit("test"), group=pl.Series(of[chosen]).cast(pl.String))
        sizes = np.bincount(of[chosen])
        chance = np.mean(np.bincount(of[edges[:, 0]], minlength=len(sizes)) / (sizes * (sizes - 1) / 2))
        every = ", ".join(f"{size * (size - 1) // 2:,}" for size in sizes.tolist())
        notes.append(f"{len(edges):,} links among {every} pairs: average precision by chance {chance:.4f}")
        return TaskData(items, truth, ["linked"], notes=notes)

    def _sets(self, held: NDArray[np.int64], edges: NDArray[np.int64], notes: list[str]) -> NDArray[np.int64]:
        """Return the set of each track of the graph (N,), -1 for those in none; append notes about few edges."""
        own, graph = self.settings, self._graph
        assert graph is not None
        of = np.full(len(graph.ids), -1)
        if len(held) <= 2 * own.pairs and own.positives == "known":
            if not 0 < len(edges) < len(held) * (len(held) - 1) // 2:
                raise BenchError(
                    f"{self.name}: {len(edges):,} edges between {len(held):,} held-out tracks leave nothing to rank. "
                    "Change listeners=, plays= or least=, or hold out more tracks (a column part in the metadata)."
                )
            of[held] = 0
            return of
        drawn = self._drawn(edges)
        each = len(drawn) // own.sets
        of[drawn.ravel()] = np.repeat(np.arange(own.sets), 2 * each)
        if each < own.pairs:
            notes.append(
                f"only {each:,} pairs a set instead of {own.pairs:,}: the graph has no more without a track twice"
            )
        return of

    def _drawn(self, edges: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the drawn edges (P, 2), those of the first set first; P is a multiple of the number of sets."""
        own = self.settings
        drawn = matching(edges, own.pairs * own.sets, np.random.default_rng(own.draw))
        each = len(drawn) // own.sets
        if not each:
            raise BenchError(f"{self.name}: the held-out tracks have too few edges for {own.sets} sets.")
        return drawn[: each * own.sets]

    def evaluate(self, truth: Any, prediction: Any, names: Sequence[str] = ()) -> dict[str, float]:
        """Return AP and ROC-AUC over all pairs in each set, by the cosine of `prediction` (N, D), and their means.

        Raises
        ------
        BenchError
            If `truth` (E, 3) names rows that `prediction` lacks, or a vector is not finite.

        """
        truth, prediction = np.asarray(truth), np.asarray(prediction, np.float32)
        if truth.ndim != 2 or truth.shape[1] != 3 or not len(truth):
            raise BenchError(f"{self.name}: expected positives of shape (E, 3), got {truth.shape}.")
        if prediction.ndim != 2 or truth[:, :2].min() < 0 or truth[:, :2].max() >= len(prediction):
            raise BenchError(f"{self.name}: the labels name rows that the vectors {prediction.shape} lack.")
        if not np.isfinite(prediction).all():
            raise BenchError(f"{self.name}: a vector is not finite.")
        out: dict[str, list[float]] = {"average_precision": [], "roc_auc": []}
        each = {}
        for one, pairs in ranked_sets(truth, prediction):
            found = pairs.scores()._asdict()
            if not np.isfinite(found["roc_auc"]):
                which = "all" if pairs.links else "none of the"
                raise BenchError(
                    f"{self.name}: {which} {pairs.n} tracks of a set are linked: there is nothing to rank."
                )
            for name, value in found.items():
                out[name].append(value)
                each[f"{name}:set {one}"] = value
        means = {name: float(np.mean(values)) for name, values in out.items()}
        return means | each if len(out["roc_auc"]) > 1 else means

    @property
    def ceiling_name(self) -> str | None:
        """The name of `ceiling` in tables; None if ``implicit`` is not installed."""
        return "wmf" if importlib.util.find_spec("implicit") else None

    def ceiling(self, data: TaskData, *, seed: int) -> NDArray[np.float32]:
        """Return vectors (N, D) fitted to the complete graph, including the positives: an upper bound.

        Weighted matrix factorisation (Hu, Koren and Volinsky 2008): 128 factors, alpha 40, regularisation 10,
        15 iterations. A track's vector is the sum of its row's and its column's factors, because the model fits the
        product of one track's row and the other's column: the rows alone say little of an edge in a sparse graph.
        """
        from implicit.cpu.als import AlternatingLeastSquares
        from scipy.sparse import coo_matrix

        graph = self._graph
        assert graph is not None, "call read before ceiling"
        a, b = graph.edges.T
        n = len(graph.ids)
        both = np.ones(2 * len(a), np.float32), (np.concatenate([a, b]), np.concatenate([b, a]))
        model = AlternatingLeastSquares(
            factors=min(128, n), alpha=40.0, regularization=10.0, iterations=15, random_state=seed, num_threads=1
        )
        model.fit(coo_matrix(both, shape=(n, n)).tocsr(), show_progress=False)
        place = {one: at for at, one in enumerate(graph.ids)}
        rows = [place[one] for one in data.items["track_id"].to_list()]
        return np.asarray(model.user_factors + model.item_factors, np.float32)[rows]


def matching(edges: NDArray[np.int64], most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw at most `most` edges (P, 2) in random order, so that no node is in two of them.

    The result is that of a greedy pass over the shuffled edges. For speed, each round takes all edges that come
    first at both of their nodes, and then removes the edges that share a node with them.
    """
    left = edges[rng.permutation(len(edges))]
    chosen = [np.empty((0, 2), np.int64)]
    taken = np.zeros(int(edges.max(initial=-1)) + 1, np.bool_)
    place = [np.empty(0, np.int64)]
    order = np.arange(len(left))
    while len(left):
        first = np.full(len(taken), len(edges))
        np.minimum.at(first, left.ravel(), np.repeat(order, 2))
        now = (first[left] == order[:, None]).all(axis=1)
        chosen.append(left[now])
        place.append(order[now])
        taken[left[now].ravel()] = True
        free = ~taken[left].any(axis=1)
        left, order = left[free], order[free]
    every = np.concatenate(chosen)[np.argsort(np.concatenate(place))]
    return every[:most]
