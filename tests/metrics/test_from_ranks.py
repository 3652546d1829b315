"""Metrics from ranks are those of lists, and the values of pairs average to them."""

from types import SimpleNamespace

import numpy as np
import pytest

from bench.metrics import ALL, Truth, evaluate
from bench.metrics.from_ranks import hits_of, pair_values, per_user
from bench.metrics.ranking import values_of
from bench.ranking.rank import Candidates, rank

KS = (1, 5, 20, 50)


@pytest.fixture(scope="module", params=[3, 10**6], ids=["ties", "no ties"])
def ranked(request):
    """Lists of 200 users over 300 items, some without vectors, and the ranks of their held-out items."""
    rng = np.random.default_rng(request.param)
    users, items = 200, 300
    scores = rng.integers(0, request.param, (users, items)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.1] = -np.inf
    scores[5] = -np.inf
    sizes = rng.integers(1, 30, users)
    truth = Truth.of(np.repeat(np.arange(users), sizes), rng.integers(0, items, sizes.sum()), users)
    nothing = SimpleNamespace(indptr=np.zeros(users + 1, np.int64), item=np.empty(0, np.int32))
    found = rank(
        lambda block: scores[block],
        np.arange(users, dtype=np.int32),
        history=nothing,
        candidates=[Candidates("hot", np.ones(items, bool))],
        k=max(KS),
        seed=0,
        present=rng.random(items) < 0.8,
        held_out={"hot": truth},
    )
    return found.topk["hot"], truth, SimpleNamespace(indptr=truth.indptr, rank=found.ranks["hot"])


def test_per_user_values_are_those_of_the_lists(ranked):
    topk, truth, held_out = ranked
    expected = evaluate(topk, truth, KS)
    assert (held_out.rank == 0).any()
    together = values_of(hits_of(held_out, max(KS))[0], KS)
    for name in ALL:
        for k in KS:
            assert (per_user(name, k, held_out) == expected[f"{name}@{k}"]).all()
            assert (together[f"{name}@{k}"] == expected[f"{name}@{k}"]).all()


def test_the_order_of_a_users_pairs_does_not_matter(ranked):
    _, _, held_out = ranked
    order = np.lexsort((held_out.rank, np.repeat(np.arange(200), np.diff(held_out.indptr))))
    sorted_pairs = SimpleNamespace(indptr=held_out.indptr, rank=held_out.rank[order])
    for name in ALL:
        assert (per_user(name, 20, sorted_pairs) == per_user(name, 20, held_out)).all()
        assert (pair_values(name, 20, sorted_pairs) == pair_values(name, 20, held_out)[order]).all()


@pytest.mark.parametrize("name", ALL)
def test_the_mean_of_a_users_pairs_is_the_users_value(ranked, name):
    _, _, held_out = ranked
    for k in KS:
        y = pair_values(name, k, held_out)
        mean = np.add.reduceat(y, held_out.indptr[:-1]) / np.diff(held_out.indptr)
        assert mean == pytest.approx(per_user(name, k, held_out), abs=1e-12)
        assert not y[(held_out.rank == 0) | (held_out.rank > k)].any()


def test_hit_rate_and_mrr_are_credited_to_the_best_item():
    held_out = SimpleNamespace(indptr=np.array([0, 3, 4]), rank=np.array([7, 2, 4, 0], np.int32))
    assert pair_values("hitrate", 5, held_out).tolist() == [0, 3, 0, 0]
    assert pair_values("mrr", 5, held_out).tolist() == [0, 1.5, 0, 0]
    assert pair_values("recall", 5, held_out).tolist() == [0, 1, 1, 0]
    assert pair_values("precision", 5, held_out).tolist() == [0, 3 / 5, 3 / 5, 0]
