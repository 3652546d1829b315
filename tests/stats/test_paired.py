import itertools
import math

import numpy as np
import pytest
from scipy import stats as oracle

from bench.stats import Scores, holm, paired_t, paired_test, paired_tests, sign_flip


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
    assert (got.exact, got.patterns, got.n, got.different) == (True, 128, 8, 7), "a zero has no sign"


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


KINDS = {
    "hits": lambda rng, n: (rng.random(n) < 0.3).astype(float),
    "rare hits": lambda rng, n: (rng.random(n) < 0.02).astype(float),
    "ndcg": lambda rng, n: rng.random(n) * (rng.random(n) < 0.3),
    "skewed": lambda rng, n: rng.random(n) ** 8,
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_number_of_users_makes_nothing_significant(kind):
    """Pairs of models that are equally good are told apart in at most 6 % of draws, plus what so few draws vary."""
    rng = np.random.default_rng(1)
    for n, draws in ((1, 200), (2, 200), (3, 200), (5, 400), (8, 400), (20, 400), (100, 300), (600, 200), (5000, 100)):
        pairs = ((KINDS[kind](rng, n)[None], KINDS[kind](rng, n)[None]) for _ in range(draws))
        wrong = sum(paired_test(a, b).p <= 0.05 for a, b in pairs)
        assert wrong / draws <= 0.06 + 3 * (0.06 * 0.94 / draws) ** 0.5, n
        assert wrong == 0 or n > 5


def test_a_test_still_finds_what_is_there():
    rng = np.random.default_rng(1)
    a, b = rng.random((1, 8)) + 2, rng.random((1, 8))
    assert paired_test(a, b).p == 2 / 2**8
    assert paired_test(a[:, :5], b[:, :5]).p > 0.05
    many = rng.random((1, 3000))
    assert paired_test(many + 0.05, rng.random((1, 3000))).p < 1e-6


def test_the_test_of_alike_differences_is_students():
    rng = np.random.default_rng(1)
    a, b = rng.random(2000) + 0.01, rng.random(2000)
    assert paired_test(a[None], b[None]).p == pytest.approx(oracle.ttest_rel(a, b).pvalue)
    a[:2] += 1000  # two users decide
    assert paired_test(a[None], b[None]).p == sign_flip(a, b).p


def test_users_without_a_difference_are_counted_and_change_nothing():
    a, b = np.zeros((1, 50)), np.zeros((1, 50))
    a[0, :7] = np.arange(1, 8)
    got = paired_test(a, b)
    assert (got.n, got.different, got.p) == (50, 7, 2 / 2**7)
    assert paired_test(b, b).p == 1


def test_seeds_that_differ_more_than_users_are_no_difference():
    """Trainings of equally good models: their seeds move all users together."""
    rng = np.random.default_rng(4)
    wrong, draws = 0, 300
    for _ in range(draws):
        ease = rng.random(80)
        sides = [ease + rng.normal(0, 0.1, (3, 1)) + rng.normal(0, 0.05, (3, 80)) for _ in range(2)]
        wrong += paired_test(*sides).p <= 0.05
    assert wrong / draws <= 0.06 + 3 * (0.06 * 0.94 / draws) ** 0.5
    better = ease + 0.5 + rng.normal(0, 0.05, (3, 80))
    assert paired_test(better, sides[0]).p < 0.05


def test_means_over_seeds_differ_by_more_than_rounding():
    a = np.random.default_rng(0).random((3, 40))
    assert paired_test(a, a[[2, 0, 1]]).different == 0


@pytest.mark.parametrize("users", [1, 8, 30, 100, 700])
def test_many_pairs_at_once_are_tested_as_one_by_one(users):
    rng = np.random.default_rng(users)
    shape = [(int(a), int(b)) for a, b in rng.choice([1, 3], (40, 2))]
    pairs = [(rng.random((a, users)) ** 4, (rng.random((b, users)) < 0.3) * rng.random((b, users))) for a, b in shape]
    pairs += [(a, a + (rng.random(a.shape) < 0.1) * 0.5) for a, _ in pairs[:20]]
    together = paired_tests([(Scores.of(a), Scores.of(b)) for a, b in pairs], comparisons=60)
    assert together == [paired_test(a, b, comparisons=60) for a, b in pairs]
    assert len({test.different for test in together}) > 1


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
    for a, b in ((np.ones((1, 3)), np.ones((1, 4))), (np.ones(3), np.ones(3)), (np.ones((1, 0)), np.ones((1, 0)))):
        with pytest.raises(ValueError, match="same users"):
            paired_test(a, b)
    with pytest.raises(ValueError, match="not finite"):
        paired_test(np.full((1, 3), np.nan), np.ones((1, 3)))
    for test in (paired_t, sign_flip):
        with pytest.raises(ValueError, match="same users"):
            test(np.ones(3), np.ones(4))
        with pytest.raises(ValueError, match="at least two"):
            test(np.ones(1), np.ones(1))
        with pytest.raises(ValueError, match="1 users' values are not finite"):
            test(np.array([1, np.nan]), np.ones(2))
