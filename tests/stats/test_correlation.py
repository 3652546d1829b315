import itertools

import numpy as np
import pytest
from scipy import stats as oracle

from bench.stats import (
    correlation,
    correlations,
    interval,
    rank_correlations,
    resampled_means,
)


def rank_correlation(x, y, coefficient="spearman", *, draws=None, **options):
    """Return the correlation of two columns."""
    one, other = (np.asarray(each, float)[None] for each in (x, y))
    ((found,),) = rank_correlations(one, other, coefficient, draws=[draws], **options)
    return found


MODELS = ("MusicFM", "Music2Vec", "MERT", "EncodecMAE", "Jukebox", "MusiCNN")
MIR = {
    "tags": (0.924, 0.895, 0.913, None, 0.915, 0.906),
    "genres": (None, 0.766, 0.793, 0.862, 0.797, 0.790),
    "key": (0.674, 0.508, 0.656, None, 0.667, 0.128),
}
HITRATE = {
    "bert4rec": (0.261, 0.281, 0.360, 0.349, 0.219, 0.385),
    "shallow": (0.108, 0.291, 0.291, 0.296, 0.272, 0.329),
    "knn": (0, 1, 2, 3, 4, 5),  # the order, from the last to the first
}
PUBLISHED = {
    ("bert4rec", "tags"): (-0.600, 0.350),
    ("bert4rec", "genres"): (-0.200, 0.783),
    ("bert4rec", "key"): (-0.800, 0.133),
    ("shallow", "tags"): (-0.821, None),
    ("shallow", "genres"): (-0.103, None),
    ("shallow", "key"): (-0.975, 0.033),
    ("knn", "tags"): (-0.300, None),
    ("knn", "genres"): (0.300, None),
    ("knn", "key"): (-0.600, None),
}


@pytest.mark.parametrize("pair", PUBLISHED, ids="-".join)
def test_the_table_of_tamm_and_aljanaki(pair):
    """Their Table 4 against the hit rates of Table 3: five models have both numbers."""
    recommender, task = pair
    points = [(m, h) for m, h in zip(MIR[task], HITRATE[recommender], strict=True) if m is not None]
    got = rank_correlation(*np.array(points, float).T)
    value, p = PUBLISHED[pair]
    assert (got.n, got.exact) == (5, True)
    assert round(got.value, 3) == value
    if p is not None:
        assert round(got.p, 3) == p
    assert got.p > 0.05 / 9


def random_points(n, ties, seed=0):
    rng = np.random.default_rng([n, ties, seed])
    x = rng.normal(size=n)
    y = 0.5 * x + rng.normal(size=n)
    return (np.round(2 * x) / 2, np.round(2 * y) / 2) if ties else (x, y)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [4, 7, 9, 25, 60])
def test_values_are_scipys(n, ties):
    x, y = random_points(n, ties)
    assert rank_correlation(x, y, resamples=50).value == pytest.approx(oracle.spearmanr(x, y).statistic, abs=1e-12)
    wanted = oracle.kendalltau(x, y).statistic
    assert rank_correlation(x, y, "kendall", resamples=50).value == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("coefficient", "function"), [("spearman", oracle.spearmanr), ("kendall", oracle.kendalltau)])
def test_p_counts_every_permutation(coefficient, function, ties):
    x, y = random_points(6, ties)
    observed = abs(function(x, y).statistic)
    every = [abs(function(x, np.array(order)).statistic) for order in itertools.permutations(y)]
    got = rank_correlation(x, y, coefficient, resamples=50)
    assert got.p == pytest.approx(np.mean(np.array(every) >= observed - 1e-9))


def test_kendalls_exact_p_without_ties_is_scipys():
    x, y = random_points(9, False)
    assert rank_correlation(x, y, "kendall").p == pytest.approx(oracle.kendalltau(x, y, method="exact").pvalue)


def test_drawn_permutations_agree_with_theory_and_are_seeded():
    x, y = random_points(25, False)
    got = rank_correlation(x, y, "kendall", seed=3)
    assert not got.exact
    assert got.p == pytest.approx(oracle.kendalltau(x, y, method="exact").pvalue, abs=0.015)
    assert got == rank_correlation(x, y, "kendall", seed=3)
    assert rank_correlation(x, x).p == 1 / 10_001


def test_blocks_change_nothing_but_draws(monkeypatch):
    x, y = random_points(7, True)
    whole = rank_correlation(x, y, resamples=200)
    monkeypatch.setattr(correlation, "_BLOCK", 49 * 11)
    assert rank_correlation(x, y, resamples=200).p == whole.p


def test_the_interval_is_wide_for_few_points_and_narrow_for_many():
    few, many = (rank_correlation(*random_points(n, False), resamples=1000) for n in (6, 200))
    assert few.high - few.low > 0.8
    assert many.high - many.low < 0.3
    assert many.low < many.value < many.high
    assert few.undefined < 0.01
    assert rank_correlation([1, 2], [3, 4], resamples=2000).undefined == pytest.approx(0.5, abs=0.05)


def test_users_drawn_anew_give_correlations_row_by_row():
    rng = np.random.default_rng(4)
    per_user = rng.normal(size=(300, 6)) * 2 + np.arange(6)
    mir = np.array([1, 2, 3, 5, 4, 6.0])
    draws = resampled_means(per_user, resamples=500, seed=0)
    drawn = correlations(draws, mir, "kendall")
    assert drawn.shape == (500,)
    assert drawn.mean() == pytest.approx(oracle.kendalltau(np.arange(6), mir).statistic, abs=0.02)
    got = rank_correlation(
        per_user.mean(axis=0), mir, "kendall", draws=resampled_means(per_user, resamples=500, seed=0)
    )
    assert (got.low, got.high) == tuple(interval(drawn))
    assert got.over == "users"
    few = correlations(resampled_means(per_user[:5], resamples=500, seed=0), mir, "kendall")
    assert few.std() > 2 * drawn.std()
    assert np.isnan(correlations(np.ones((2, 3)), np.arange(3), "spearman")).all()


@pytest.mark.parametrize(
    ("n", "rho", "tau"), [(5, 1.0, 1.0), (6, 0.886, 0.867), (7, 0.786, 0.714), (8, 0.738, 0.643), (9, 0.7, 0.556)]
)
def test_least_coefficients_are_the_tabled_ones(n, rho, tau):
    assert correlation.least_significant(n, "spearman") == pytest.approx(rho, abs=6e-4)
    assert correlation.least_significant(n, "kendall") == pytest.approx(tau, abs=6e-4)


@pytest.mark.parametrize("n", [4, 12])
@pytest.mark.parametrize("coefficient", ["spearman", "kendall"])
def test_many_columns_at_once_are_correlated_as_one_by_one(n, coefficient):
    rng = np.random.default_rng(n)
    xs, ys = rng.normal(size=(3, n)), rng.integers(0, 3, (2, n)).astype(float)
    draws = [xs[0] + rng.normal(size=(200, n)), None, xs[2].round() + rng.integers(0, 2, (200, n))]
    together = rank_correlations(xs, ys, coefficient, draws=draws, resamples=500)
    for x, drawn, row in zip(xs, draws, together, strict=True):
        assert row == [rank_correlation(x, y, coefficient, draws=drawn, resamples=500) for y in ys]
    without = rank_correlations(xs, ys, coefficient, resamples=500)
    assert [[(one.value, one.p, one.low) for one in row] for row in without] == [
        [(one.value, one.p, None) for one in row] for row in together
    ]
