"""Ranking against the bare product, metrics against LensKit and rs_metrics, MFCC against librosa."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.metrics import Truth, evaluate
from bench.ranking.rank import Candidates, rank
from rows.row import PEERS, Case, Row

METRICS = ("hitrate", "recall", "ndcg", "mrr", "precision")


def ranking(
    folder: Path, users: int, items: int, dim: int, k: int, held_out: Mapping[str, Truth] | None = None
) -> Case:
    """Rank made-up vectors (the cost does not depend on them) in blocks of 256 MiB of scores."""
    rng = np.random.default_rng(0)
    people, history = np.arange(users, dtype=np.int32), min(300, items // 10)
    left, right = (torch.from_numpy(rng.standard_normal((n, dim), np.float32)) for n in (users, items))
    seen = Truth.of(np.repeat(people, history), rng.integers(0, items, users * history), users)
    sets = [Candidates("hot", np.ones(items, bool))]
    block = max(1, (256 << 20) // (4 * items))

    def score(batch: NDArray[np.int32]) -> torch.Tensor:
        return left[torch.from_numpy(batch)] @ right.T

    def product() -> None:
        for start in range(0, users, block):
            score(people[start : start + block])

    def ours() -> object:
        return rank(score, people, history=seen, candidates=sets, k=k, seed=0, block=block, held_out=held_out)

    return Case(ours, {"bare product": product}, lambda _: "mask and top k besides the same product")


def ranks(folder: Path, users: int, items: int, dim: int, k: int, held_out: int) -> Case:
    """Rank made-up vectors with and without the ranks of held-out items."""
    alone = ranking(folder, users, items, dim, k).bench
    people = np.arange(users, dtype=np.int32)
    wanted = Truth.of(np.repeat(people, held_out), np.random.default_rng(1).integers(0, items, users * held_out), users)
    return Case(ranking(folder, users, items, dim, k, {"hot": wanted}).bench, {"lists alone": alone}, _ranked)


def _ranked(found: Mapping[str, Any]) -> str:
    both = [found[name].topk["hot"] for name in ("bench", "lists alone")]
    assert (both[0] == both[1]).all()
    return f"{len(found['bench'].ranks['hot'])} ranks from the same pass"


def made_lists(users: int, items: int, k: int) -> tuple[NDArray[np.int32], Truth]:
    """Return lists (users, k), and held-out items of which one in twenty is in its user's list."""
    rng = np.random.default_rng(1)
    topk = rng.integers(0, items - k, (users, 1)) + rng.permuted(np.tile(np.arange(k), (users, 1)), axis=1)
    rows = np.repeat(np.arange(users), rng.integers(1, 45, users))
    near = topk[rows, rng.integers(0, k, len(rows))]
    held = np.where(rng.random(len(rows)) < 0.05, near, rng.integers(0, items, len(rows)))
    return topk.astype(np.int32), Truth.of(rows, held, users)


def metrics(peer: Callable[..., tuple[str, Callable[[], list[float]]]]) -> Callable[..., Case]:
    def prepare(folder: Path, users: int, items: int, k: int) -> Case:
        topk, truth = made_lists(users, items, k)
        name, theirs = peer(topk, truth, k)

        def ours() -> list[float]:
            return [float(values.mean()) for values in evaluate(topk, truth, [k], METRICS).values()]

        def check(found: Mapping[str, Any]) -> str:
            gap = float(np.abs(np.subtract(found["bench"], found[name])).max())
            assert gap < 1e-6, found
            return f"means differ by {gap:.0e}"

        return Case(ours, {name: theirs}, check)

    return prepare


def of_users(truth: Truth) -> list[NDArray[np.int32]]:
    return np.split(truth.item, truth.indptr[1:-1])


def lenskit(topk: NDArray[np.int32], truth: Truth, k: int) -> tuple[str, Callable[[], list[float]]]:
    from lenskit.data import ItemList, ItemListCollection
    from lenskit.metrics import NDCG, Hit, Precision, Recall, RecipRank, RunAnalysis
    from lenskit.metrics.ranking import LogRankWeight

    outputs = ItemListCollection.from_dict({u: ItemList(row, ordered=True) for u, row in enumerate(topk)}, "user_id")
    tests = ItemListCollection.from_dict({u: ItemList(held) for u, held in enumerate(of_users(truth))}, "user_id")

    def work() -> list[float]:
        ndcg = NDCG(k, weight=LogRankWeight(offset=1))  # 1 / log2(rank + 1)
        analysis = RunAnalysis(Hit(k), Recall(k), ndcg, RecipRank(k), Precision(k))
        return analysis.measure(outputs, tests).list_metrics().mean().tolist()

    return "LensKit", work


def rs_metrics(topk: NDArray[np.int32], truth: Truth, k: int) -> tuple[str, Callable[[], list[float]]]:
    import rs_metrics as theirs

    true = {u: held.tolist() for u, held in enumerate(of_users(truth))}
    pred = dict(enumerate(topk.tolist()))
    return "rs_metrics", lambda: [float(getattr(theirs, name)(true, pred, k=k)) for name in METRICS]


def mfcc(folder: Path, clips: int) -> Case:
    from clip_folder import make
    from extract import model_jobs

    ours, theirs = model_jobs(make(folder, "wav", clips), 16)

    def check(found: Mapping[str, Any]) -> str:
        near = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(found["bench"], found["librosa"], strict=True)])
        assert near > 0.998, near  # librosa cuts 80 dB below the loudest frame
        return f"vectors correlate to {near:.5f}"

    return Case(ours, {"librosa": theirs}, check)


STUDY, FEW = {"users": 12_151, "items": 56_193, "k": 50}, {"users": 20, "items": 300, "k": 50}
ROWS = [
    Row("ranking", "scores, mask of the history, top k; the peer computes the scores alone, with torch",
        1.1, ranking, {"users": 128, "items": 1_000_000, "dim": 200, "k": 50},
        {"users": 8, "items": 500, "dim": 8, "k": 5}, 40),
    Row("ranks", "as before, with the ranks of 5 held-out items of each user; the peer makes the lists alone",
        2.0, ranks, {"users": 3_000, "items": 10_000, "dim": 64, "k": 50, "held_out": 5},
        {"users": 8, "items": 500, "dim": 8, "k": 5, "held_out": 5}, 40),
    Row("ranks-large", "the same, of many more items", 2.0, ranks,
        {"users": 128, "items": 1_000_000, "dim": 200, "k": 50, "held_out": 5},
        {"users": 8, "items": 500, "dim": 8, "k": 5, "held_out": 5}, 40),
    Row("metrics-lenskit", "HitRate, Recall, NDCG, MRR and Precision at k of every user", 0.05, metrics(lenskit),
        STUDY, FEW, 40, rounds=1, needs={"lenskit": PEERS}),
    Row("metrics-rs", "the same", 0.05, metrics(rs_metrics), STUDY, FEW, 10, needs={"rs_metrics": PEERS}),
    Row("mfcc", "mean and covariance of 13 MFCC of decoded clips of 30 s",
        1.0, mfcc, {"clips": 12}, {"clips": 1}, 30, needs={"librosa": PEERS}),
]  # fmt: skip
