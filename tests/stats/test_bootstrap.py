import numpy as np
import pytest

from bench.stats import bootstrap, interval, two_level


def test_interval_is_that_of_the_normal_theory_on_many_users():
    values = np.random.default_rng(0).exponential(size=4000)
    low, high = bootstrap(values, resamples=4000)
    error = values.std(ddof=1) / 4000**0.5
    assert (low, high) == pytest.approx((values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=error / 8)
    narrow = bootstrap(values, level=0.5)
    assert narrow.high - narrow.low < (high - low) / 2


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(300):
        low, high = bootstrap(rng.normal(size=60), resamples=400, seed=trial, level=0.9)
        covered += low <= 0 <= high
    assert 0.83 < covered / 300 < 0.95


def test_exact_for_two_users():
    """Means of {0, 1} are 0, 1/2, 1 with chances 1/4, 1/2, 1/4."""
    assert bootstrap(np.array([0.0, 1.0]), level=0.6) == (0, 1)
    assert bootstrap(np.array([0.0, 1.0]), level=0.4) == (0.5, 0.5)


def test_the_same_seed_gives_the_same_numbers_alone_or_together():
    rng = np.random.default_rng(2)
    values = {"a": rng.random(500), "b": rng.random(500), "c": rng.random(500)}
    together = bootstrap(values, seed=5)
    assert list(together) == ["a", "b", "c"]
    assert together == bootstrap(values, seed=5)
    assert together["b"] == pytest.approx(bootstrap(values["b"], seed=5), abs=1e-12)
    assert together["a"] != bootstrap(values["a"], seed=6)


def test_several_blocks_resample_every_time():
    values = np.random.default_rng(3).random(700_000)
    low, high = bootstrap(values, resamples=6)
    assert low < high


def test_paired_difference_is_narrower_than_the_models_own_intervals():
    rng = np.random.default_rng(4)
    easy = rng.random(2000)
    a, b = easy + 0.01 + 0.01 * rng.standard_normal(2000), easy
    low, high = bootstrap(a - b)
    assert 0 < low < (a - b).mean() < high
    own = bootstrap(a)
    assert high - low < (own.high - own.low) / 10


def test_bad_values_are_refused():
    with pytest.raises(ValueError, match="not finite in \\['b'\\]"):
        bootstrap({"a": np.ones(3), "b": np.array([1, np.nan, 2])})
    with pytest.raises(ValueError, match="shapes"):
        bootstrap({"a": np.ones(3), "b": np.ones(4)})
    with pytest.raises(ValueError, match="shapes"):
        bootstrap(np.ones(0))
    with pytest.raises(ValueError, match="level"):
        bootstrap(np.ones(3), level=95)
    assert bootstrap({}) == {}


def test_every_table_draws_its_own_seeds_of_the_same_users():
    table = np.random.default_rng(6).random((4, 50, 1))
    first, second, third = two_level([table, table, table], [1, 2, 1], resamples=300)
    assert np.array_equal(first, third)
    by_seed = np.repeat(table.mean(axis=1, keepdims=True), 50, axis=1)  # users are alike: only seeds make a difference
    one, other = two_level([by_seed, by_seed], [1, 2], resamples=2000)
    assert abs(np.corrcoef(one[:, 0], other[:, 0])[0, 1]) < 0.1
    assert not np.array_equal(first, second)


def test_with_one_seed_resampling_is_the_bootstrap_of_stats():
    rng = np.random.default_rng(0)
    a, b = rng.random(700), rng.random(700)
    first, second = two_level([a[None, :, None], b[None, :, None]], [1, 2])
    assert interval(first[:, 0]) == pytest.approx(tuple(bootstrap(a)), abs=1e-12)
    assert interval(first[:, 0] - second[:, 0]) == pytest.approx(tuple(bootstrap(a - b)), abs=1e-12)


def test_resampled_seeds_spread_as_their_variance_says():
    rng = np.random.default_rng(0)
    seeds, users = 8, 400
    table = rng.normal(0, 1, (seeds, 1, 1)) + rng.normal(0, 1, (1, users, 1)) + np.zeros((seeds, users, 1))
    (means,) = two_level([table], [3], resamples=20_000)
    wanted = table.mean(axis=1).var() / seeds + table.mean(axis=0).var() / users
    assert means.var() == pytest.approx(wanted, rel=0.05)
    assert means.mean() == pytest.approx(table.mean(), abs=0.02)


def test_every_table_draws_its_own_seeds():
    """Between two equal tables only their seeds differ: the people are the same, the draws of seeds are not."""
    seeds = 8
    table = np.random.default_rng(1).normal(0, 1, (seeds, 1, 1)) + np.zeros((seeds, 50, 1))
    first, second = two_level([table, table], [1, 2], resamples=20_000)
    assert (first - second).var() == pytest.approx(2 * table.mean(axis=1).var() / seeds, rel=0.05)
    assert abs(np.corrcoef(first[:, 0], second[:, 0])[0, 1]) < 0.03


def test_resampling_refuses_different_users():
    with pytest.raises(ValueError, match="same users"):
        two_level([np.zeros((1, 3, 1)), np.zeros((1, 4, 1))], [0, 1])
