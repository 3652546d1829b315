import itertools
from math import comb

import numpy as np
import pytest

from bench.metrics import METRICS, Truth, chance, evaluate


def enumerated(n, relevant, ks):
    """Mean of every metric over all orders of n items; longer lists end with -1."""
    longest = max(ks)
    orders = np.array(list(itertools.permutations(range(n))), np.int32)[:, :longest]
    topk = np.full((len(orders), longest), -1, np.int32)
    topk[:, : orders.shape[1]] = orders
    rows = np.repeat(np.arange(len(orders)), relevant)
    truth = Truth.of(rows, np.tile(np.arange(relevant), len(orders)), len(orders))
    return {name: values.mean() for name, values in evaluate(topk, truth, ks).items()}


@pytest.mark.parametrize(("n", "relevant"), [(1, 1), (2, 1), (5, 1), (5, 2), (6, 3), (6, 5), (6, 6)])
def test_equal_to_the_mean_over_all_orders(n, relevant):
    ks = [1, 2, 3, 5, 8]
    got = chance(np.array([n]), np.array([relevant]), ks)
    assert got == pytest.approx(enumerated(n, relevant, ks), abs=1e-12)
    assert {name.split("@")[0] for name in got} == set(METRICS)


def test_close_to_simulation():
    n, relevant, draws = 300, 12, 20000
    rng = np.random.default_rng(0)
    topk = rng.permuted(np.tile(np.arange(n, dtype=np.int32), (draws, 1)), axis=1)[:, :50]
    truth = Truth.of(np.repeat(np.arange(draws), relevant), np.tile(np.arange(relevant), draws), draws)
    simulated = evaluate(topk, truth, [10, 50])
    exact = chance(np.array([n]), np.array([relevant]), [10, 50])
    for name, values in simulated.items():
        assert abs(values.mean() - exact[name]) < 5 * values.std() / draws**0.5, name


def test_hitrate_is_hypergeometric_and_recall_k_over_n():
    got = chance(np.array([55893]), np.array([23]), [50])
    assert got["hitrate@50"] == pytest.approx(1 - comb(55893 - 23, 50) / comb(55893, 50), abs=1e-12)
    assert got["recall@50"] == pytest.approx(50 / 55893)
    assert got["precision@50"] == pytest.approx(23 / 55893)


def test_averaged_over_users():
    both = chance(np.array([10, 40]), np.array([3, 5]), [4])
    apart = [chance(np.array([n]), np.array([t]), [4]) for n, t in ((10, 3), (40, 5))]
    assert both == pytest.approx({name: (apart[0][name] + apart[1][name]) / 2 for name in both})


def test_held_out_items_that_cannot_be_reached_count_as_missed():
    rng = np.random.default_rng(1)
    topk = rng.permuted(np.tile(np.arange(12, dtype=np.int32), (40000, 1)), axis=1)[:, :5]
    rows = np.repeat(np.arange(40000), 4)
    truth = Truth.of(rows, np.tile([0, 1, 12, 13], 40000), 40000)
    exact = chance(np.array([12]), np.array([4]), [5], reachable=np.array([2]))
    for name, values in evaluate(topk, truth, [5]).items():
        assert abs(values.mean() - exact[name]) < 5 * values.std() / 200, name
    assert set(chance(np.array([12]), np.array([4]), [5], np.array([0])).values()) == {0.0}


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="1 of 2 users"):
        chance(np.array([5, 5]), np.array([0, 1]), [2])
    with pytest.raises(ValueError, match="reachable"):
        chance(np.array([5]), np.array([6]), [2])
    with pytest.raises(ValueError, match="at least 1"):
        chance(np.array([5]), np.array([1]), [0, 2])
