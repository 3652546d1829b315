import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as oracle

from bench.stats import (
    Components,
    PairScores,
    Part,
    difference,
    equivalence,
    item_clusters,
    pair_weights,
    paired_test,
    two_way,
    two_way_tests,
    wilson,
)

FOLDER = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(FOLDER))
try:
    coverage = importlib.import_module("coverage")
finally:
    sys.path.remove(str(FOLDER))


def scattered(seed=0, seeds=3, pairs=60, listeners=9, clusters=7):
    """Pairs of listeners and clusters of unequal size, with listeners and clusters that have no pair."""
    rng = np.random.default_rng(seed)
    listener, cluster = rng.integers(1, listeners, pairs), rng.integers(0, clusters, pairs) * 2
    effects = rng.normal(size=listeners)[listener] + rng.normal(size=2 * clusters)[cluster]
    return PairScores(rng.normal(size=(seeds, pairs)) + effects, pair_weights(listener), listener, cluster)


def by_hand(scores, code):
    """Sum the squared totals of weighted residuals, group by group."""
    square = sum(scores.weight[code == group].sum() ** 2 for group in set(code))
    mean = np.mean([sum(w * y for w, y in zip(scores.weight, each, strict=True)) for each in scores.values])
    found = 0.0
    for group in set(code):
        w, total = 0.0, 0.0
        for at in range(len(code)):
            if code[at] == group:
                w += scores.weight[at]
                total += scores.weight[at] * (scores.values[:, at].mean() - mean)
        found += total**2 / (1 - 2 * w + square)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_variances_are_sums_over_groups(seed):
    scores = scattered(seed)
    found = two_way(scores)
    cell = np.array([100 * u + c for u, c in zip(scores.listener, scores.cluster, strict=True)])
    parts = {"listeners": scores.listener, "clusters": scores.cluster, "pairs": cell}
    for name, code in parts.items():
        part = getattr(found, name)
        assert part.variance == pytest.approx(by_hand(scores, code), rel=1e-10)
        assert part.n == len(set(code.tolist()))
    seeds = (scores.values * scores.weight).sum(axis=1)
    assert found.seeds == pytest.approx((seeds.var(ddof=1) / 3, 2, 3))
    assert found.mean == pytest.approx(seeds.mean())
    one, other, both = (getattr(found, name).variance for name in parts)
    assert found.variance == pytest.approx(max(one, other, one + other - both) + found.seeds.variance)


def test_the_pigeonhole_bootstrap_in_closed_form():
    """Drawing listeners and clusters of a full table again and again spreads as the parts say."""
    rng = np.random.default_rng(3)
    listeners, clusters = 12, 8
    table = rng.normal(size=(listeners, 1)) + rng.normal(size=(1, clusters)) + rng.normal(size=(listeners, clusters))
    code = np.divmod(np.arange(table.size), clusters)
    found = two_way(PairScores(table.reshape(1, -1), np.full(table.size, 1 / table.size), *code))
    rows = rng.multinomial(listeners, np.full(listeners, 1 / listeners), 100_000)
    columns = rng.multinomial(clusters, np.full(clusters, 1 / clusters), 100_000)
    drawn = np.einsum("bu,uc,bc->b", rows, table - table.mean(), columns, optimize=True) / table.size
    fewer, less = 1 - 1 / listeners, 1 - 1 / clusters
    wanted = fewer * less * (found.listeners.variance + found.clusters.variance)
    wanted += (1 - 1 / table.size) * found.pairs.variance
    assert drawn.var() == pytest.approx(wanted, rel=0.02)


def test_unequal_groups_have_the_variance_and_degrees_of_freedom_of_their_effects():
    weight = 1 / np.arange(1, 16)
    weight /= weight.sum()
    rng = np.random.default_rng(0)
    drawn = [two_way(PairScores(y[None], weight, np.arange(15), np.arange(15))) for y in rng.normal(size=(20_000, 15))]
    variances = np.array([each.clusters.variance for each in drawn])
    assert variances.mean() == pytest.approx(weight @ weight, rel=0.03)
    assert 2 * variances.mean() ** 2 / variances.var() == pytest.approx(drawn[0].clusters.df, rel=0.08)


@pytest.mark.parametrize("alone", ["listener", "cluster"])
def test_without_shared_items_it_is_students_t_over_listeners(alone):
    """So it is without shared listeners over items: the variance over pairs takes the other one away."""
    rng = np.random.default_rng(1)
    values, group = rng.normal(size=40) + 0.2, np.arange(40) // 4
    codes = {"listener": group, "cluster": np.arange(40)}
    if alone == "cluster":
        codes = {"listener": np.arange(40), "cluster": group}
    found = two_way(PairScores(values[None], np.full(40, 1 / 40), **codes))
    wanted = oracle.ttest_1samp(values.reshape(10, 4).mean(axis=1), 0)
    assert found.df == pytest.approx(9)
    assert found.p == pytest.approx(wanted.pvalue)
    assert found.interval(0.9) == pytest.approx(tuple(wanted.confidence_interval(0.9)))
    assert two_way(PairScores.of_listeners(values[None])).df == pytest.approx(39)


def test_seeds_of_two_models_are_welchs_test():
    rng = np.random.default_rng(2)
    one, other = rng.normal(size=3), 0.1 * rng.normal(size=5) + 1
    scores = scattered()
    a, b = (
        PairScores(np.repeat(each[:, None], 60, axis=1), scores.weight, scores.listener, scores.cluster)
        for each in (one, other)
    )
    found, wanted = difference(a, b), oracle.ttest_ind(one, other, equal_var=False)
    assert found.p == pytest.approx(wanted.pvalue)
    assert found.df == pytest.approx(wanted.df)


def test_a_difference_is_paired():
    a = scattered(seeds=1)
    shift = np.random.default_rng(5).normal(0.3, 0.01, 60)
    b = PairScores(a.values - shift, a.weight, a.listener, a.cluster)
    found = difference(a, b)
    assert found.mean == pytest.approx(shift @ a.weight)
    assert found.variance < two_way(a).variance / 1000
    assert found.variance == pytest.approx(two_way(PairScores(shift[None], a.weight, a.listener, a.cluster)).variance)
    same = difference(a, a)
    assert (same.mean, same.variance, same.p, same.interval()) == (0, 0, 1, None)
    with pytest.raises(ValueError, match="differ in cluster"):
        difference(a, PairScores(a.values, a.weight, a.listener, a.cluster + 1))


def test_a_sparse_mean_has_an_interval_above_zero():
    rng = np.random.default_rng(0)
    scores = PairScores.of_listeners((rng.random((1, 60)) < 0.05).astype(float))
    found = two_way(scores)
    low, high = found.interval()
    assert 0 < low < found.mean < high
    assert low * high == pytest.approx(found.mean**2)
    assert found.df == pytest.approx(scores.values.sum()), "so many listeners have a hit"
    none = two_way(PairScores.of_listeners(np.zeros((2, 60))))
    assert none.interval() == pytest.approx(wilson(0.0, 60))
    many = two_way(PairScores.of_listeners(rng.random((1, 5000))))
    assert many.interval() == pytest.approx(oracle.norm.interval(0.95, many.mean, many.variance**0.5), abs=1e-4)


@pytest.mark.parametrize("codes", [(np.zeros(8, int), np.arange(8)), (np.arange(8), np.zeros(8, int))])
def test_a_single_listener_or_artist_shows_no_variance(codes):
    found = two_way(PairScores(np.arange(8.0)[None], np.full(8, 1 / 8), *codes))
    assert (found.df, found.p, found.interval()) == (0, 1, None)
    assert not equivalence(found, 100).equivalent


def test_equivalence_is_two_one_sided_tests():
    rng = np.random.default_rng(4)
    values = rng.normal(0.1, 1, 50)
    found = two_way(PairScores.of_listeners(values[None]))
    for margin in (0.1, 0.3, 0.5, 1.0):
        sides = [
            oracle.ttest_1samp(values, bound, alternative=side).pvalue
            for bound, side in ((margin, "less"), (-margin, "greater"))
        ]
        got = equivalence(found, margin)
        assert got.p == pytest.approx(max(sides))
        assert got.equivalent == (max(sides) <= 0.05)
        low, high = found.interval(0.9)
        assert got.equivalent == (-margin <= low and high <= margin)
    with pytest.raises(ValueError, match="positive"):
        equivalence(found, 0)


def test_the_test_takes_the_larger_p():
    a, b = scattered(1), scattered(2)
    b = PairScores(b.values + 1.5, a.weight, a.listener, a.cluster)
    ((test, found), (again, _)) = two_way_tests([(a, b), (b, a)])
    # Listener 0 has no pair, and is not one of the 8 that are tested.
    own = paired_test(*(coverage.by_listener(each)[:, 1:] * 8 / 9 for each in (a, b)))
    assert (test.n, test.mean) == (8, pytest.approx(own.mean))
    assert test.p == pytest.approx(max(own.p, found.p))
    assert again.p == pytest.approx(test.p)
    assert found.mean == pytest.approx(test.mean)


def test_degrees_of_freedom_by_hand():
    found = Components(0.5, Part(2.0, 10, 11), Part(3.0, 6, 9), Part(1.0, 40, 60), Part(1.0, 2, 3))
    assert found.variance == 2 + 3 - 1 + 1
    assert found.df == pytest.approx(25 / (4 / 10 + 9 / 6 - 1 / 40 + 1 / 2))
    apart = Components(0.5, Part(2.0, 10, 11), Part(0.5, 6, 9), Part(1.0, 40, 60), Part(0.0, np.inf, 1))
    assert apart.variance == 2, "never below the variance over listeners"


def test_weights_of_folds_and_clusters_of_items():
    listener, fold = np.array([0, 0, 0, 1, 2, 2, 0]), np.array([0, 0, 1, 1, 1, 1, 1])
    wanted = [1 / (2 * 1 * 2)] * 2 + [1 / (2 * 3 * n) for n in (2, 1, 2, 2, 2)]
    assert pair_weights(listener, fold) == pytest.approx(wanted)
    assert pair_weights(listener) == pytest.approx([1 / (3 * n) for n in (4, 4, 4, 1, 2, 2, 4)])
    found = item_clusters(np.array([1, -1, 1, -1, -1, 0]), np.array([3, 4, 5, 4, 6, 7]))
    assert [found.tolist().index(each) for each in found.tolist()] == [0, 1, 0, 1, 4, 5]


def test_bad_scores_are_refused():
    good = scattered()
    for values in (good.values[:, 1:], good.values[0], good.values[:0]):
        with pytest.raises(ValueError, match="by seed and pair"):
            PairScores(values, good.weight, good.listener, good.cluster)
    with pytest.raises(ValueError, match="sum to 1"):
        PairScores(good.values, good.weight / 2, good.listener, good.cluster)
    with pytest.raises(ValueError, match="not finite"):
        PairScores(good.values * np.nan, good.weight, good.listener, good.cluster)


@pytest.mark.parametrize(
    ("outcome", "listeners", "items"), [("real", 100, 100), ("ndcg", 100, 300), ("sparse", 40, 300)]
)
def test_intervals_hold_the_truth_where_those_over_listeners_do_not(outcome, listeners, items):
    world = coverage.World(outcome, listeners, items, coverage.EFFECTS, coverage.BY_SEED)
    rng, draws = np.random.default_rng(7), 250
    found = {"mean 3": 0, "mean 10": 0, "difference 3": 0, "difference 10": 0, "listeners": 0}
    for _ in range(draws):
        by_seeds, truth = coverage.drawn(world, rng)
        for n in (3, 10):
            a, b = by_seeds[n]
            found[f"mean {n}"] += coverage.holds(two_way(a).interval(), truth)
            found[f"difference {n}"] += coverage.holds_no_difference(difference(a, b))
        found["listeners"] += coverage.holds(coverage.over_listeners(by_seeds[3][0]), truth)
    shares = {name: count / draws for name, count in found.items()}
    assert shares.pop("listeners") < 0.9
    noise = 3 * (0.93 * 0.07 / draws) ** 0.5
    assert min(shares.values()) > 0.93 - noise
    if outcome == "real":
        assert max(shares.values()) < 0.985


def test_cold_items_are_no_difference_where_listeners_alone_find_one():
    """Equally good models: artists make a difference for all listeners together."""
    world = coverage.World("real", 100, 100, coverage.EFFECTS, coverage.BY_SEED)
    rng, draws = np.random.default_rng(8), 250
    alone = both = 0
    for _ in range(draws):
        a, b = coverage.drawn(world, rng)[0][10]
        alone += paired_test(coverage.by_listener(a), coverage.by_listener(b)).p <= 0.05
        both += two_way_tests([(a, b)])[0][0].p <= 0.05
    assert both / draws <= 0.06 + 2 * (0.06 * 0.94 / draws) ** 0.5
    assert alone / draws > 0.15
