"""Relations of two columns, and those of the published table of the RecSys 2024 paper."""

import numpy as np
import pytest

from bench.published import paper
from bench.report.relate import relate
from bench.report.versus import of_paper


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
