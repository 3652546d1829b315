"""Rank correlations against scipy, and against the published table of the RecSys 2024 paper."""

import numpy as np
import pytest
from scipy import stats as reference

from bench.published import paper
from bench.report.relate import holm, least, relate
from bench.report.versus import of_paper


@pytest.mark.parametrize("n", [3, 5, 8, 12])
@pytest.mark.parametrize("tied", [False, True])
def test_both_coefficients_are_those_of_scipy(n, tied):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(2, n))
    if tied:
        x, y = np.round(x), np.round(y * 2)
    found = relate(x, y)
    assert found.spearman == pytest.approx(reference.spearmanr(x, y).statistic, abs=1e-12)
    assert found.kendall == pytest.approx(reference.kendalltau(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_p_is_exact(n):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(2, n))
    found = relate(x, y)
    exact = reference.permutation_test(
        (x,), lambda a: reference.spearmanr(a, y).statistic, permutation_type="pairings", n_resamples=np.inf
    )
    assert found.spearman_p == pytest.approx(exact.pvalue, abs=1e-9)
    assert found.kendall_p == pytest.approx(reference.kendalltau(x, y, method="exact").pvalue, abs=1e-9)


def test_many_models_are_permuted_at_random_and_never_give_zero():
    x = np.arange(30.0)
    found = relate(x, x)
    assert 0 < found.spearman_p < 1e-4
    assert relate(x, x) == found
    shuffled = np.random.default_rng(1).permutation(x)
    assert relate(x, shuffled).spearman_p == pytest.approx(reference.spearmanr(x, shuffled).pvalue, abs=0.02)


def test_too_few_or_constant_columns_have_no_order():
    assert relate(np.array([1.0, 2.0]), np.array([1.0, 2.0])) is None
    assert relate(np.ones(4), np.arange(4.0)) is None
    assert relate(np.arange(4.0), np.ones(4)) is None


def test_the_interval_is_over_users_where_their_draws_are_known():
    x, y = np.array([0.1, 0.2, 0.3, 0.4]), np.arange(4.0)
    steady = relate(x, y, np.tile(x, (100, 1)))
    assert (steady.low, steady.high) == pytest.approx((1, 1))
    assert steady.over == "users"
    rng = np.random.default_rng(0)
    loose = relate(x, y, x + rng.normal(0, 0.2, (500, 4)))
    assert loose.low < 0.5 < loose.high
    assert relate(x, y).over == "models"


@pytest.mark.parametrize(("n", "limit"), [(3, None), (4, None), (5, 1.0), (6, 0.886), (7, 0.786), (8, 0.738)])
def test_what_so_many_models_can_reach(n, limit):
    """Critical values of Spearman's rho at 0.05, two-sided, as in printed tables."""
    assert least(n) == (limit if limit is None else pytest.approx(limit, abs=5e-4))


def test_holm_by_hand():
    assert holm(np.array([0.04, 0.01, 0.03])).tolist() == pytest.approx([0.06, 0.03, 0.06])
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]
    assert holm(np.array([])).tolist() == []


# Of the paper's Table 4 with the HitRate@50 of each recommender in its Table 3: Spearman, exact p where given.
PAPER = {
    ("BERT4Rec", "tags"): (-0.600, 0.350),
    ("BERT4Rec", "genres"): (-0.200, 0.783),
    ("BERT4Rec", "key"): (-0.800, 0.133),
    ("Shallow Net", "tags"): (-0.821, None),
    ("Shallow Net", "genres"): (-0.103, None),
    ("Shallow Net", "key"): (-0.975, 0.033),
    ("KNN", "tags"): (-0.300, None),
    ("KNN", "genres"): (0.300, None),
    ("KNN", "key"): (-0.600, None),
}


def test_the_papers_own_table_gives_its_known_correlations():
    (comparison,) = of_paper(paper("recsys2024"))
    found = {(p.mrs.group, p.mir.heading.rpartition(" ")[2]): p for p in comparison.pairs}
    assert set(found) == set(PAPER)
    for names, (rho, p) in PAPER.items():
        relation = found[names].relation
        assert relation.n == 5
        assert round(relation.spearman, 3) == rho
        if p is not None:
            assert round(relation.spearman_p, 3) == p
    assert all(pair.spearman_holm > 0.05 for pair in found.values())
    assert of_paper(paper("journal2026")) == []
