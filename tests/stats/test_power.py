import numpy as np
import pytest
from scipy import stats as oracle

from bench.stats import (
    Components,
    PairScores,
    Part,
    difference,
    least_different,
    needed,
    smallest_detectable,
    two_way_tests,
    undecided,
)

PARTS = Components(
    0.01, Part(1e-4, 199, 200), Part(4e-4, 59, 60), Part(0.5e-4, 1999, 2000), Part(1e-5, 8, 5)
)  # fmt: skip


@pytest.mark.parametrize(("alpha", "power"), [(0.05, 0.8), (0.05 / 7, 0.8), (0.05, 0.5)])
def test_the_smallest_difference_is_found_with_the_power_asked_for(alpha, power):
    least = smallest_detectable(PARTS, alpha=alpha, power=power)
    critical = oracle.t.isf(alpha / 2, PARTS.df)
    assert oracle.nct.sf(critical, PARTS.df, least / PARTS.variance**0.5) == pytest.approx(power, abs=1e-6)


def test_many_degrees_of_freedom_are_the_normal_distribution():
    large = Components(0.0, Part(1.0, 1e9, 10**9), *(Part(0.0, 1e9, 10**9),) * 2, Part(0.0, np.inf, 1))
    assert smallest_detectable(large) == pytest.approx(1.959964 + 0.841621, abs=1e-5)


def test_a_planted_difference_is_found_in_so_many_draws():
    rng = np.random.default_rng(0)
    found, draws = 0, 300
    listener, cluster = np.divmod(np.arange(20 * 15), 15)
    weight = np.full(300, 1 / 300)
    truth = Components(0.0, Part(1 / 20, 19, 20), Part(1 / 15, 14, 15), Part(0.0, 299, 300), Part(0.0, np.inf, 1))
    least = smallest_detectable(truth)
    for _ in range(draws):
        apart = least + rng.normal(size=20)[listener] + rng.normal(size=15)[cluster]
        zero = PairScores(np.zeros((1, 300)), weight, listener, cluster)
        scores = PairScores(apart[None], weight, listener, cluster)
        found += difference(scores, zero).p <= 0.05
    assert 0.72 < found / draws < 0.88


def test_needed_numbers_are_the_smallest_that_suffice():
    wanted = needed(PARTS, 0.05)
    assert wanted.listeners is None, "the artists alone vary too much"
    assert wanted.seeds is None
    assert wanted.clusters is not None

    def least(clusters):
        more = clusters / 60
        other, pairs = (4e-4 - 0.5e-4) / more + 0.5e-4 / more, 0.5e-4 / more
        one = (1e-4 - 0.5e-4) + pairs
        return smallest_detectable(
            Components(0.0, Part(one, 199, 200), Part(other, clusters - 1, clusters),
                       Part(pairs, 1999 * (2000 * more - 1) / 1999, 0), PARTS.seeds)
        )  # fmt: skip

    assert least(wanted.clusters) <= 0.05 < least(wanted.clusters - 1)
    fewer = needed(PARTS, 0.2)
    assert fewer.listeners is not None
    assert fewer.listeners < 200
    assert fewer.seeds == 2
    assert needed(PARTS, 0.05, alpha=0.01).clusters > wanted.clusters
    with pytest.raises(ValueError, match="positive"):
        needed(PARTS, 0.0)


def test_a_model_without_random_numbers_needs_no_more_seeds():
    once = Components(0.0, PARTS.listeners, PARTS.clusters, PARTS.pairs, Part(0.0, np.inf, 1))
    assert needed(once, 0.1).seeds == 1
    assert needed(once, 0.01).seeds is None
    unknown = Components(0.0, Part(0.0, 0.0, 1), PARTS.clusters, PARTS.pairs, PARTS.seeds)
    assert smallest_detectable(unknown) is None
    assert needed(unknown, 0.1) == (None, None, None)


def test_so_many_listeners_must_differ():
    assert [least_different(n) for n in (1, 2, 10, 100)] == [6, 7, 9, 12]
    for comparisons in (1, 3, 40):
        n = least_different(comparisons)
        assert 2 / 2**n * comparisons <= 0.05 < 2 / 2 ** (n - 1) * comparisons
        assert undecided(n - 1, comparisons)
        assert not undecided(n, comparisons)
    few = np.zeros(30)
    few[:5] = 1
    scores = [PairScores.of_listeners(each[None]) for each in (few, np.zeros(30))]
    ((test, _),) = two_way_tests([tuple(scores)])
    assert undecided(test.different)
    assert test.p == 2 / 2**5


def test_needed_ends_where_one_artist_has_nearly_all_pairs():
    """Plans of two or three such artists have less than one degree of freedom."""
    rng = np.random.default_rng(0)
    listener, artist = np.repeat(np.arange(20), 10), np.where(rng.random(200) < 0.9, 0, rng.integers(1, 10, 200))
    a, b = (PairScores(rng.random((3, 200)), np.full(200, 1 / 200), listener, artist) for _ in range(2))
    assert needed(difference(a, b), 1.0, alpha=0.05 / 20).clusters is not None
