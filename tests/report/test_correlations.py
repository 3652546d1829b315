"""The published table of the RecSys 2024 paper gives the correlations that are known of it."""

from bench.published import paper
from bench.report.mrs_mir import of_paper

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
        pair = found[names]
        assert pair.spearman.n == 5
        assert round(pair.rho, 3) == rho
        if p is not None:
            assert round(pair.p, 3) == p
    assert all(pair.p_holm > 0.05 for pair in found.values())
    assert of_paper(paper("journal2026")) == []
