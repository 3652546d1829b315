"""Link prediction: the drawn pairs, the scores against a direct computation, and the upper bound."""

import numpy as np
import pytest

from bench.errors import BenchError
from bench.registry import create
from bench.tasks.links import matching

SPEC = "links:least=1,listeners=2,pairs=8"


def direct(pairs, vectors):
    """Return AP and ROC-AUC over all pairs of one set, for vectors without ties."""
    nodes = sorted({int(node) for pair in pairs for node in pair})
    linked = {tuple(sorted(map(int, pair))) for pair in pairs}
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    every = [(float(unit[a] @ unit[b]), (a, b) in linked) for i, a in enumerate(nodes) for b in nodes[i + 1 :]]
    every.sort(reverse=True)
    hits = np.array([hit for _, hit in every])
    precision = (np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean()
    below = [(~hits[at:]).sum() for at in np.flatnonzero(hits)]
    return precision, np.mean(below) / (~hits).sum()


def test_scores_equal_the_direct_computation():
    rng = np.random.default_rng(0)
    truth = np.array([(0, 1, 0), (2, 3, 0), (0, 4, 0), (5, 6, 1), (7, 8, 1)])
    vectors = rng.standard_normal((9, 5)).astype(np.float32)
    found = create("tasks", "links").evaluate(truth, vectors)
    sets = [direct(truth[truth[:, 2] == one, :2], vectors) for one in (0, 1)]
    assert np.allclose([found["average_precision:set 0"], found["roc_auc:set 0"]], sets[0])
    assert np.allclose([found["average_precision"], found["roc_auc"]], np.mean(sets, axis=0))


def test_no_track_is_in_two_pairs_or_two_sets(small_dataset, tmp_path):
    data = create("tasks", SPEC).read(small_dataset.prepare(None, tmp_path), small_dataset)
    assert data.items["track_id"].is_unique().all()
    assert data.items.height == 2 * 2 * 8
    group = data.items["group"].cast(int).to_numpy()
    assert np.array_equal(group[data.truth[:, 0]], data.truth[:, 2])
    assert np.array_equal(group[data.truth[:, 1]], data.truth[:, 2])
    sampled = create("tasks", SPEC + ",positives=sampled").read(small_dataset.prepare(None, tmp_path), small_dataset)
    assert len(sampled.truth) == 16
    assert len(np.unique(sampled.truth[:, :2])) == 32
    known = {tuple(sorted(pair)) for pair in data.truth[:, :2].tolist()}
    assert {tuple(sorted(pair)) for pair in sampled.truth[:, :2].tolist()} <= known


def test_matching_equals_the_greedy_pass():
    rng = np.random.default_rng(1)
    edges = np.unique(np.sort(rng.integers(0, 60, (300, 2)), axis=1), axis=0)
    edges = edges[edges[:, 0] != edges[:, 1]]
    order = np.random.default_rng(7).permutation(len(edges))
    taken, expected = set(), []
    for a, b in edges[order].tolist():
        if not taken & {a, b}:
            taken |= {a, b}
            expected.append((a, b))
    assert matching(edges, 1000, np.random.default_rng(7)).tolist() == [list(pair) for pair in expected]
    assert matching(edges, 5, np.random.default_rng(7)).tolist() == [list(pair) for pair in expected[:5]]


def test_planted_neighbours_are_found(small_dataset, tmp_path):
    task = create("tasks", SPEC)
    data = task.read(small_dataset.prepare(None, tmp_path), small_dataset)
    n = data.items.height
    # The eigenvectors of the graph reproduce its edges.
    graph = np.zeros((n, n))
    graph[data.truth[:, 0], data.truth[:, 1]] = graph[data.truth[:, 1], data.truth[:, 0]] = 1
    value, vector = np.linalg.eigh(graph)
    best = task.evaluate(data.truth, (vector * np.sqrt(np.abs(value)) * (value > 0)).astype(np.float32))
    noise = task.evaluate(data.truth, np.random.default_rng(0).standard_normal((n, 16)).astype(np.float32))
    assert best["roc_auc"] > noise["roc_auc"] + 0.2
    flat = task.evaluate(data.truth, np.ones((n, 1), np.float32))
    assert flat["roc_auc"] == 0.5


def test_the_upper_bound_is_above_noise(small_dataset, tmp_path):
    pytest.importorskip("implicit")
    task = create("tasks", SPEC)
    data = task.read(small_dataset.prepare(None, tmp_path), small_dataset)
    assert task.ceiling_name == "wmf"
    vectors = task.ceiling(data, seed=0)
    assert vectors.shape[0] == data.items.height
    noise = task.evaluate(data.truth, np.random.default_rng(0).standard_normal(vectors.shape).astype(np.float32))
    assert task.evaluate(data.truth, vectors)["roc_auc"] > noise["roc_auc"] + 0.1


def test_wrong_shapes_and_sets_without_negatives_are_refused():
    task, truth = create("tasks", "links"), np.array([(0, 5, 0)])
    with pytest.raises(BenchError, match=r"\(3, 2\)"):
        task.evaluate(truth, np.ones((3, 2), np.float32))
    with pytest.raises(BenchError, match="all 2 tracks"):
        task.evaluate(np.array([(0, 1, 0)]), np.eye(2, dtype=np.float32))
