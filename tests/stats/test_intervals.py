import numpy as np
import pytest
from scipy.stats import binomtest

from bench.stats import LEAST_USERS, bootstrap, mean_intervals, wilson


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (57, 60), (3, 5000)])
def test_wilson_is_scipys(hits, n):
    wanted = binomtest(hits, n).proportion_ci(method="wilson")
    assert wilson(hits / n, n) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_few_users_have_no_interval():
    assert mean_intervals({"ndcg@10": np.linspace(0, 1, LEAST_USERS - 1)}) == {}
    assert mean_intervals({"ndcg@10": np.linspace(0, 1, LEAST_USERS)}).keys() == {"ndcg@10"}
    assert mean_intervals({}) == {}


def test_shares_at_the_edge_have_wilsons_interval_and_others_the_bootstraps():
    values = {
        "hitrate@10": np.repeat([1.0, 0.0], [2, 58]),
        "hitrate@50": np.repeat([1.0, 0.0], [30, 30]),
        "ndcg@10": np.repeat([0.4, 0.0], [2, 58]),
        "mrr@10": np.zeros(60),
        "precision@10": np.full(60, 0.1),
    }
    found, drawn = mean_intervals(values, seed=3), bootstrap(values, seed=3)
    assert found["hitrate@10"] == wilson(2 / 60, 60)
    assert found["mrr@10"] == wilson(0.0, 60)
    assert found["mrr@10"].high > 0.03
    assert found["hitrate@50"] == drawn["hitrate@50"]
    assert found["ndcg@10"] == drawn["ndcg@10"]
    assert "precision@10" not in found
