import itertools
import math

import numpy as np
import pytest
from scipy import stats as oracle

from bench.stats import holm, paired_t, sign_flip


@pytest.mark.parametrize("n", [2, 3, 10, 200, 6092])
@pytest.mark.parametrize("shift", [0.0, 0.05, 1.0, 20.0])
def test_the_t_test_is_scipys(n, shift):
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=n) + shift, rng.normal(size=n)
    got, wanted = paired_t(a, b), oracle.ttest_rel(a, b)
    assert got.t == pytest.approx(wanted.statistic, rel=1e-10)
    assert got.p == pytest.approx(wanted.pvalue, rel=1e-11, abs=1e-290)
    assert got.df == n - 1
    assert got.mean == pytest.approx((a - b).mean())


def test_differences_without_spread():
    a = np.arange(5.0)
    assert paired_t(a, a) == (0.0, 0.0, 4, 1.0)
    assert paired_t(a + 1, a)[1:] == (math.inf, 4, 0.0)
    assert sign_flip(a, a).p == 1.0


def test_flipping_all_signs_is_exact():
    difference = np.array([0.3, -0.1, 0.7, 0.2, 0.2, 0.0, 1.1, -0.4])
    sums = [abs((np.array(signs) * difference).sum()) for signs in itertools.product((1, -1), repeat=8)]
    got = sign_flip(difference, np.zeros(8))
    assert got.p == np.mean(np.array(sums) >= difference.sum() - 1e-12)
    assert (got.exact, got.patterns, got.n) == (True, 256, 8)


def test_drawn_signs_agree_with_t_and_are_seeded():
    rng = np.random.default_rng(0)
    a, b = rng.random(3000) + 0.012, rng.random(3000)
    got = sign_flip(a, b, seed=1)
    assert got.p == pytest.approx(paired_t(a, b).p, abs=0.01)
    assert got == sign_flip(a, b, seed=1)
    assert not got.exact
    assert sign_flip(a + 1, b).p == 1 / 10_001


def test_p_is_uniform_when_nothing_differs():
    """Many zeros, as NDCG has: the share of p <= .1 is .1."""
    rng = np.random.default_rng(2)
    hits = 0
    for seed in range(300):
        difference = rng.normal(size=60) * (rng.random(60) < 0.3)
        hits += sign_flip(difference, np.zeros(60), resamples=300, seed=seed).p <= 0.1
    assert 0.05 < hits / 300 < 0.16


def test_holm_by_hand_and_within_families():
    p = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}
    assert holm(p) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert list(holm(p)) == list(p)
    families = {"a": "ndcg", "b": "ndcg", "c": "recall", "d": "recall"}
    assert holm(p, families) == pytest.approx({"a": 0.02, "b": 0.04, "c": 0.03, "d": 0.01})
    assert holm({"a": 0.6, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}
    with pytest.raises(ValueError, match="differ in e"):
        holm(p, families | {"e": "recall"})
    with pytest.raises(ValueError, match="p = 2"):
        holm({"a": 2.0})


def test_bad_values_are_refused():
    for test in (paired_t, sign_flip):
        with pytest.raises(ValueError, match="same users"):
            test(np.ones(3), np.ones(4))
        with pytest.raises(ValueError, match="at least two"):
            test(np.ones(1), np.ones(1))
        with pytest.raises(ValueError, match="1 users' values are not finite"):
            test(np.array([1, np.nan]), np.ones(2))
