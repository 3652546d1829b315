"""Scores of ranked pairs against the metrics of labels, and weights against copies of recordings."""

import numpy as np

from bench.metrics.classification import ranked
from bench.metrics.link_prediction import RankedPairs, ranked_sets
from bench.norms import l2


def drawn(n=14, seed=0, *, ties=False):
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-1, 2, (n, 2)) if ties else rng.standard_normal((n, 3))
    a, b = np.triu_indices(n, 1)
    links = np.column_stack([a, b])[rng.random(len(a)) < 0.3]
    return vectors.astype(np.float32), links


def test_scores_equal_those_of_a_label():
    for ties in (False, True):
        vectors, links = drawn(ties=ties)
        unit = l2(vectors)
        above = np.triu_indices(len(vectors), 1)
        linked = np.zeros((len(vectors), len(vectors)), bool)
        linked[links[:, 0], links[:, 1]] = True
        area, precision = ranked(linked[above][:, None], (unit @ unit.T)[above][:, None])
        pairs = RankedPairs(vectors, links[:, ::-1])
        assert np.allclose(pairs.scores(), (precision[0], area[0]))
        assert np.allclose(pairs.scores(np.ones(len(vectors), np.int64)), pairs.scores())
        assert (pairs.links, pairs.pairs) == (len(links), 91)


def test_weights_equal_copies_without_pairs_of_copies():
    vectors, links = drawn()
    times = np.random.default_rng(3).integers(0, 3, len(vectors))
    rows = np.repeat(np.arange(len(vectors)), times)
    unit = l2(vectors)
    known = {tuple(link) for link in links.tolist()}
    truth, scores = [], []
    for i, a in enumerate(rows):
        for b in rows[i + 1 :]:
            if a != b:
                truth.append((min(a, b), max(a, b)) in known)
                scores.append((unit @ unit.T)[min(a, b), max(a, b)])
    area, precision = ranked(np.array(truth)[:, None], np.array(scores)[:, None])
    assert np.allclose(RankedPairs(vectors, links).scores(times), (precision[0], area[0]))


def test_nothing_to_rank_is_nan():
    vectors = np.eye(3, dtype=np.float32)
    assert np.isnan(RankedPairs(vectors, np.array([[0, 0]])).scores()).all()
    assert np.isnan(RankedPairs(vectors, np.array([[0, 1], [0, 2], [1, 2]])).scores()).all()
    assert np.isnan(RankedPairs(vectors[:1], np.array([[0, 0]])).scores()).all()


def test_a_row_paired_with_itself_joins_its_set():
    truth = np.array([(0, 1, 0), (2, 2, 0), (3, 4, 1)])
    found = {one: (pairs.n, pairs.links) for one, pairs in ranked_sets(truth, np.eye(5, dtype=np.float32))}
    assert found == {0: (3, 1), 1: (2, 1)}
