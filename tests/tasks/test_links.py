"""Link prediction: the drawn pairs, the scores against a direct computation, and the upper bound."""

import numpy as np
import pytest

from bench.errors import BenchError
from bench.holdout import hold_out
from bench.registry import create
from bench.tasks.links import matching

SPEC = "links:least=1,listeners=6,pairs=4"


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


@pytest.fixture
def opened(small_dataset, tmp_path):
    def of(spec):
        task, root = create("tasks", spec), small_dataset.prepare(None, tmp_path)
        task.hold_out = hold_out(small_dataset, root, tmp_path, share=0.6)
        return task, task.read(root, small_dataset)

    return of


def links_of(data):
    return data.truth[data.truth[:, 0] != data.truth[:, 1]]


def test_all_pairs_of_few_held_out_tracks_are_ranked(opened):
    task, data = opened("links:least=1,listeners=4")
    ids, links = data.items["track_id"].to_list(), links_of(data)
    assert set(ids) <= task.hold_out.held
    assert set(ids) == {one for one in task._graph.ids if one in task.hold_out.held}
    assert {(ids[a], ids[b]) for a, b, _ in links.tolist()} == {
        (task._graph.ids[a], task._graph.ids[b])
        for a, b in task._graph.edges.tolist()
        if {task._graph.ids[a], task._graph.ids[b]} <= task.hold_out.held
    }
    # All scores equal: the precision is the share of linked pairs, also of tracks without a link.
    n = len(ids)
    flat = task.evaluate(data.truth, np.ones((n, 1), np.float32))
    assert flat == {"average_precision": pytest.approx(len(links) / (n * (n - 1) / 2)), "roc_auc": 0.5}
    assert f"by chance {flat['average_precision']:.4f}" in data.notes[-1]


def test_no_track_is_in_two_pairs_or_two_sets(opened):
    _, data = opened(SPEC)
    assert data.items["track_id"].is_unique().all()
    assert data.items.height == 2 * 2 * 4
    group = data.items["group"].cast(int).to_numpy()
    assert np.array_equal(group[data.truth[:, 0]], data.truth[:, 2])
    assert np.array_equal(group[data.truth[:, 1]], data.truth[:, 2])
    _, sampled = opened(SPEC + ",positives=sampled")
    assert len(links_of(sampled)) == 8
    assert len(np.unique(links_of(sampled)[:, :2])) == 16
    known = {tuple(sorted(pair)) for pair in links_of(data)[:, :2].tolist()}
    assert {tuple(sorted(pair)) for pair in links_of(sampled)[:, :2].tolist()} <= known


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


def test_planted_neighbours_are_found(opened):
    task, data = opened("links:least=1,listeners=4")
    n = data.items.height
    # The eigenvectors of the graph reproduce its edges.
    graph = np.zeros((n, n))
    a, b, _ = links_of(data).T
    graph[a, b] = graph[b, a] = 1
    value, vector = np.linalg.eigh(graph)
    best = task.evaluate(data.truth, (vector * np.sqrt(np.abs(value)) * (value > 0)).astype(np.float32))
    noise = task.evaluate(data.truth, np.random.default_rng(0).standard_normal((n, 16)).astype(np.float32))
    assert best["roc_auc"] > noise["roc_auc"] + 0.2
    flat = task.evaluate(data.truth, np.ones((n, 1), np.float32))
    assert flat["roc_auc"] == 0.5


def test_the_upper_bound_is_above_noise(opened):
    pytest.importorskip("implicit")
    task, data = opened("links:least=1,listeners=4")
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
