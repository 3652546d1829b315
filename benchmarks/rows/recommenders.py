"""Recommenders without item vectors against implicit, LensKit and SciPy; sequence models against RecBole."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from bench.items.item_table import ItemTable
from bench.protocols import Interactions, Recommender, RunContext
from bench.registry import create
from rows.row import PEERS, Case, Cost, Row, cpu

L2 = 500.0


def listening(users: int, items: int, pairs: int) -> Interactions:
    """Return random pairs: users are equally active, tracks are played by a power law, each of them once at least."""
    rng = np.random.default_rng([users, items, pairs])
    weight = (np.arange(items) + 10.0) ** -0.7
    user = np.concatenate([rng.integers(0, users, pairs), rng.integers(0, users, items)])
    item = np.concatenate([rng.choice(items, pairs, p=weight / weight.sum()), np.arange(items)])
    user, item = np.divmod(rng.permutation(np.unique(user * items + item)), items)
    order = np.argsort(user, kind="stable")
    user, item = user[order].astype(np.int32), item[order].astype(np.int32)
    time = np.arange(len(user), dtype=np.int64)
    return Interactions(user, item, time, time, np.ones(len(user), np.int32), users, items)


def table(items: int, width: int = 0) -> ItemTable:
    vectors = np.random.default_rng(0).standard_normal((items, width), np.float32)
    there = np.ones(items, np.bool_)
    return ItemTable([f"{i:07d}" for i in range(items)], vectors, there, there.copy(), {})


def matrix(train: Interactions) -> Any:
    ones = np.ones(len(train), np.float32)
    return sparse.csr_matrix((ones, (train.user, train.item)), (train.n_users, train.n_items))


def fitted(spec: str, train: Interactions, items: ItemTable | None = None) -> Recommender:
    model = create("recommenders", spec)
    model.fit(train, items or table(train.n_items), valid=lambda _: 0.5, run=RunContext())
    return model


def some(train: Interactions, number: int = 200) -> NDArray[np.int32]:
    return np.arange(min(number, train.n_users), dtype=np.int32)


def itemknn(folder: Path, users: int, items: int, pairs: int, neighbours: int) -> Case:
    from implicit.nearest_neighbours import CosineRecommender

    train = listening(users, items, pairs)
    counts, who = matrix(train), some(train)

    def implicit() -> Any:
        # A track counts as its own neighbour.
        model = CosineRecommender(neighbours + 1, num_threads=1)
        model.fit(counts, show_progress=False)
        return model

    def check(found: Mapping[str, Any]) -> str:
        similarity = found["implicit"].similarity
        others = similarity - sparse.diags(similarity.diagonal())
        theirs = (counts[who] @ others.T).toarray()
        near = np.corrcoef(np.asarray(found["bench"].score(who)).ravel(), theirs.ravel())[0, 1]
        assert near > 0.999, near  # which of equally near tracks are kept differs
        return f"scores correlate to {near:.5f}"

    spec = f"itemknn:neighbours={neighbours},shrink=0"
    return Case(lambda: fitted(spec, train), {"implicit": implicit}, check)


def bpr(folder: Path, users: int, items: int, pairs: int, factors: int, epochs: int) -> Case:
    from implicit.bpr import BayesianPersonalizedRanking

    train = listening(users, items, pairs)
    counts = matrix(train)

    def implicit() -> Callable[[NDArray[np.int32]], NDArray[np.float32]]:
        model = BayesianPersonalizedRanking(
            factors, iterations=epochs, num_threads=1, use_gpu=False, learning_rate=0.05, random_state=0
        )
        model.fit(counts, show_progress=False)
        return lambda who: model.user_factors[who] @ model.item_factors.T

    def ours() -> Callable[[NDArray[np.int32]], Any]:
        model = fitted(f"bpr:factors={factors},epochs={epochs},patience=none,every={epochs}", train)
        return lambda who: np.asarray(model.score(who))

    def check(found: Mapping[str, Any]) -> str:
        who = some(train)
        known = counts[who].toarray() > 0
        places = {name: score(who).argsort(axis=1).argsort(axis=1) for name, score in found.items()}
        auc = {name: float(rank[known].mean() - rank[~known].mean()) / items + 0.5 for name, rank in places.items()}
        return "AUC of training pairs " + " / ".join(f"{value:.3f}" for value in auc.values())

    return Case(ours, {"implicit": implicit}, check)


def ease_against(peer: str) -> Callable[..., Case]:
    def prepare(folder: Path, users: int, items: int, pairs: int) -> Case:
        train = listening(users, items, pairs)
        counts = matrix(train)
        work = scipy_ease(counts) if peer == "SciPy" else lenskit_ease(train)

        def check(found: Mapping[str, Any]) -> str:
            who = some(train)
            ours, theirs = np.asarray(found["bench"].score(who)), counts[who] @ found[peer]
            gap = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
            assert gap < 1e-3, gap
            return f"scores differ by {gap:.0e} of the largest"

        return Case(lambda: fitted(f"ease:l2={L2:g}", train), {peer: work}, check)

    return prepare


def scipy_ease(counts: Any) -> Callable[[], NDArray[np.float32]]:
    """Steck's closed form with LAPACK's spotrf and spotri, and the least copies."""

    def work() -> NDArray[np.float32]:
        gram = np.asfortranarray((counts.T @ counts).toarray())
        gram[np.diag_indices_from(gram)] += np.float32(L2)
        factor, _ = linalg.lapack.spotrf(gram, lower=1, overwrite_a=1)
        inverse, _ = linalg.lapack.spotri(factor, lower=1, overwrite_c=1)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        inverse /= -np.diag(inverse)
        np.fill_diagonal(inverse, 0)
        return inverse

    return work


def lenskit_ease(train: Interactions) -> Callable[[], NDArray[np.float32]]:
    import pandas as pd
    from lenskit.data import from_interactions_df
    from lenskit.knn.ease import EASEScorer

    data = from_interactions_df(pd.DataFrame({"user_id": train.user, "item_id": train.item}))

    def work() -> NDArray[np.float32]:
        model = EASEScorer(regularization=L2)
        model.train(data)
        order = np.argsort(model.items.ids())
        return np.asarray(model.weights)[np.ix_(order, order)]

    return work


def recbole_python() -> str | None:
    """Return the interpreter that has RecBole: this one, or that of RECBOLE_PYTHON."""
    return sys.executable if importlib.util.find_spec("recbole") else os.environ.get("RECBOLE_PYTHON")


def no_recbole() -> str | None:
    if recbole_python():
        return None
    return "RecBole is missing: `bench doctor` prints how to install it; RECBOLE_PYTHON names its interpreter"


def sequences(name: str, spec: str) -> Callable[..., Case]:
    """Compare training: seconds an epoch, as the difference of two trainings, a million targets."""

    def prepare(folder: Path, users: int, items: int, pairs: int, width: int, length: int) -> Case:
        train, vectors = listening(users, items, pairs), table(items, width)
        lengths = np.minimum(np.diff(train.indptr), length)
        own = f"{spec}:width={width},max_len={length},layers=2,heads=2,ffn={4 * width},patience=none,batch=128"
        params = f"n_layers=2,n_heads=2,inner_size={4 * width},loss_type=CE"
        peer = f"recbole:{name},max_len={length},batch=128,patience=0,width={width},python={recbole_python()}"
        peer += f",params=({params})"
        # RecBole makes a sequence of every prefix. SASRec: its next track is the one target; bench has one at every
        # place of a sequence. BERT4Rec: a fifth of the places of either.
        prefixes = np.concatenate([np.minimum(np.arange(1, n), length) for n in np.diff(train.indptr)])
        places = {"sasrec": (lengths.sum(), len(prefixes)), "bert4rec": (0.2 * lengths.sum(), 0.2 * prefixes.sum())}

        def epoch(text: str, targets: float) -> Cost:
            spent = []
            for epochs in (1, 3):
                before = cpu()
                model = fitted(f"{text},epochs={epochs},every={epochs}", train, vectors)
                if hasattr(model, "_process"):
                    model._process.end()  # a child counts once it has ended
                spent.append(cpu() - before)
            return Cost(1e6 * (spent[1] - spent[0]) / 2 / targets)

        first, second = places[spec]
        peers = {"RecBole": lambda: epoch(peer, second)}
        return Case(lambda: epoch(own, first), peers, lambda _: "loss, width, layers, heads, batch alike")

    return prepare


IMPLICIT, LENSKIT = {"implicit": PEERS}, {"lenskit": PEERS, "pandas": PEERS}
LOG = {"users": 20_000, "items": 10_000, "pairs": 1_500_000}
FEW = {"users": 80, "items": 40, "pairs": 900}
SEQUENCES = {"users": 400, "items": 2_000, "pairs": 20_000, "width": 64, "length": 50}
ROWS = [
    Row("itemknn", "cosine of all pairs of tracks, the nearest 100 kept; implicit stops at 100, bench keeps ties",
        1.0, itemknn, LOG | {"neighbours": 100}, FEW | {"neighbours": 39}, 40, needs=IMPLICIT),
    Row("bpr", "an epoch: for each pair another track that the user does not know, 64 factors and a bias",
        1.0, bpr, LOG | {"factors": 64, "epochs": 1}, FEW | {"factors": 8, "epochs": 1}, 30, needs=IMPLICIT),
    Row("ease-scipy", "X'X, its inverse and the weights, float32; SciPy calls spotrf and spotri in place",
        1.2, ease_against("SciPy"), LOG | {"items": 6_000}, FEW, 60),
    Row("ease-lenskit", "the same, LensKit's EASEScorer",
        1.0, ease_against("LensKit"), LOG | {"items": 3_000, "pairs": 600_000}, FEW, 60, needs=LENSKIT),
    Row("sasrec-recbole", "an epoch of the full softmax, 2 layers, 2 heads; seconds a million targets",
        1.0, sequences("SASRec", "sasrec"), SEQUENCES, FEW | {"width": 8, "length": 10}, 150, rounds=1,
        missing=no_recbole),
    Row("bert4rec-recbole", "an epoch of masked tracks, full softmax, 2 layers, 2 heads; seconds a million targets",
        1.0, sequences("BERT4Rec", "bert4rec"), SEQUENCES, FEW | {"width": 8, "length": 10}, 150, rounds=1,
        missing=no_recbole),
]  # fmt: skip
