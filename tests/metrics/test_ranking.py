import math

import ir_measures
import numpy as np
import pytest
import rs_metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.metrics import METRICS, Truth, evaluate, hits


def made(seed, n_users=30, n_items=40, longest=12, short=True):
    """Random lists, some of them short or empty, and 1..20 held-out items per user."""
    rng = np.random.default_rng(seed)
    topk = np.stack([rng.permutation(n_items)[:longest] for _ in range(n_users)]).astype(np.int32)
    if short:
        length = rng.integers(0, longest + 1, n_users)
        topk[np.arange(longest) >= length[:, None]] = -1
    held = [rng.permutation(n_items)[: rng.integers(1, 21)] for _ in range(n_users)]
    rows = np.repeat(np.arange(n_users), [len(h) for h in held])
    return topk, Truth.of(rows, np.concatenate(held), n_users)


def as_dicts(topk, truth):
    true = {u: truth.item[truth.indptr[u] : truth.indptr[u + 1]].tolist() for u in range(len(topk))}
    return true, {u: [i for i in row if i >= 0] for u, row in enumerate(topk.tolist())}


def test_golden_example():
    a, b, c, x, y = range(5)
    got = evaluate(np.array([[x, a, y, b]], np.int32), Truth.of(np.zeros(3, int), np.array([a, b, c]), 1), [4])
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    expected = {
        "hitrate@4": 1,
        "precision@4": 2 / 4,
        "recall@4": 2 / 3,
        "mrr@4": 1 / 2,
        "ndcg@4": (1 / math.log2(3) + 1 / math.log2(5)) / ideal,
        "map@4": (1 / 2 + 2 / 4) / 3,
        "map_min@4": (1 / 2 + 2 / 4) / 3,
    }
    assert {name: values.item() for name, values in got.items()} == pytest.approx(expected, abs=1e-15)
    assert round(expected["ndcg@4"], 4) == 0.4982


def test_truth_of_pairs_in_any_order():
    truth = Truth.of(np.array([2, 0, 2, 2]), np.array([5, 1, 3, 5]), 4)
    assert truth.indptr.tolist() == [0, 1, 1, 3, 3]
    assert truth.item.tolist() == [1, 3, 5]
    assert truth.sizes.tolist() == [1, 0, 2, 0]


def test_truth_refuses_rows_and_items_out_of_range():
    with pytest.raises(ValueError, match=r"0\.\.1"):
        Truth.of(np.array([2]), np.array([0]), 2)
    with pytest.raises(ValueError, match="negative"):
        Truth.of(np.array([0]), np.array([-1]), 2)
    with pytest.raises(ValueError, match="indptr"):
        Truth(np.array([0, 3]), np.array([1], np.int32))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_hits_are_set_membership(seed):
    topk, truth = made(seed)
    true, _ = as_dicts(topk, truth)
    expected = [[item in true[u] for item in row] for u, row in enumerate(topk.tolist())]
    assert hits(topk, truth).tolist() == expected


def test_hits_are_the_same_in_any_blocks(monkeypatch):
    topk, truth = made(0)
    whole = hits(topk, truth)
    monkeypatch.setattr("bench.metrics.truth._MARKS", 100)
    assert (hits(topk, truth) == whole).all()


def test_no_item_is_no_hit():
    truth = Truth.of(np.array([0, 1]), np.array([4, 0]), 2)
    assert not hits(np.full((2, 3), -1, np.int32), truth).any()


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_equal_to_ir_measures(seed, k):
    topk, truth = made(seed)
    true, pred = as_dicts(topk, truth)
    qrels = {str(u): {str(i): 1 for i in held} for u, held in true.items()}
    run = {str(u): {str(i): -float(place) for place, i in enumerate(row)} for u, row in pred.items()}
    names = {
        "hitrate": ir_measures.Success @ k,
        "recall": ir_measures.R @ k,
        "ndcg": ir_measures.nDCG @ k,
        "mrr": ir_measures.RR @ k,
        "map": ir_measures.AP @ k,
        "precision": ir_measures.P @ k,
    }
    got = evaluate(topk, truth, [k])
    for result in ir_measures.iter_calc(list(names.values()), qrels, run):
        name = next(n for n, m in names.items() if m == result.measure)
        assert got[f"{name}@{k}"][int(result.query_id)] == pytest.approx(result.value, abs=1e-12), name


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_equal_to_rs_metrics(seed, k):
    topk, truth = made(seed, short=False)
    got = evaluate(topk, truth, [k])
    for name in ("hitrate", "recall", "ndcg", "mrr", "map", "precision"):
        metric = getattr(rs_metrics, "mapr" if name == "map" else name)
        assert got[f"{name}@{k}"].tolist() == pytest.approx(
            list(metric(*as_dicts(topk, truth), k=k, apply_mean=False)), abs=1e-12
        ), name


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
@settings(max_examples=20, deadline=None)
def test_equal_to_rs_metrics_on_short_lists_but_for_precision(seed, k):
    topk, truth = made(seed)
    topk[:, 0] = np.maximum(topk[:, 0], 0)  # rs_metrics cannot score an empty list
    got = evaluate(topk, truth, [k])
    for name in ("hitrate", "recall", "ndcg", "mrr", "map"):
        metric = getattr(rs_metrics, "mapr" if name == "map" else name)
        assert got[f"{name}@{k}"].tolist() == pytest.approx(
            list(metric(*as_dicts(topk, truth), k=k, apply_mean=False)), abs=1e-12
        ), name


def test_rs_metrics_precision_divides_by_returned_length():
    topk = np.array([[3, 7, -1, -1]], np.int32)
    truth = Truth.of(np.array([0]), np.array([3]), 1)
    assert evaluate(topk, truth, [4])["precision@4"].item() == 1 / 4
    assert rs_metrics.precision(*as_dicts(topk, truth), k=4) == 1 / 2


def test_rs_metrics_precision_of_an_empty_list_is_nan_but_ours_is_zero():
    topk = np.full((1, 4), -1, np.int32)
    truth = Truth.of(np.array([0]), np.array([3]), 1)
    assert evaluate(topk, truth, [4])["precision@4"].item() == 0
    with pytest.warns(RuntimeWarning):
        assert math.isnan(rs_metrics.precision(*as_dicts(topk, truth), k=4))


@pytest.mark.slow
def test_equal_to_ranx():
    ranx = pytest.importorskip("ranx")
    topk, truth = made(3, short=False)
    true, pred = as_dicts(topk, truth)
    qrels = ranx.Qrels({str(u): {str(i): 1 for i in held} for u, held in true.items()})
    run = ranx.Run({str(u): {str(i): 100.0 - p for p, i in enumerate(row)} for u, row in pred.items()})
    names = {"hit_rate": "hitrate", "recall": "recall", "ndcg": "ndcg", "mrr": "mrr", "map": "map"}
    names["precision"] = "precision"
    got = evaluate(topk, truth, [5, 12])
    for k in (5, 12):
        for theirs, ours in names.items():
            values = ranx.evaluate(qrels, run, f"{theirs}@{k}", return_mean=False)
            expected = dict(zip(qrels.keys(), np.atleast_1d(values), strict=True))
            ordered = [expected[str(u)] for u in range(len(topk))]
            assert got[f"{ours}@{k}"].tolist() == pytest.approx(ordered, abs=1e-12), theirs


def test_map_min_divides_by_the_most_hits_possible():
    topk, truth = made(1)
    got = evaluate(topk, truth, [3])
    assert got["map_min@3"] == pytest.approx(got["map@3"] * truth.sizes / np.minimum(truth.sizes, 3))


def test_each_k_cuts_the_list():
    """An oracle that finds its only item at rank 7 scores at 10, not at 5."""
    topk = np.arange(10, dtype=np.int32)[None]
    got = evaluate(topk, Truth.of(np.array([0]), np.array([6]), 1), [5, 10])
    for name in METRICS:
        assert got[f"{name}@5"].item() == 0, name
        assert got[f"{name}@10"].item() > 0, name


def test_a_perfect_list_scores_one():
    topk = np.arange(5, dtype=np.int32)[None]
    for held in (2, 5, 9):
        got = evaluate(topk, Truth.of(np.zeros(held, int), np.arange(held), 1), [5])
        for name in ("hitrate", "ndcg", "mrr", "map_min"):
            assert got[f"{name}@5"].item() == pytest.approx(1), (name, held)


def test_users_without_truth_are_refused_by_number():
    topk = np.zeros((3, 2), np.int32)
    with pytest.raises(ValueError, match="2 of 3 users"):
        evaluate(topk, Truth.of(np.array([1]), np.array([0]), 3), [1])


def test_bad_arguments_are_refused():
    topk, truth = made(0)
    with pytest.raises(ValueError, match=r"k = 13 is outside 1\.\.12"):
        evaluate(topk, truth, [5, 13])
    with pytest.raises(ValueError, match="k = 0"):
        evaluate(topk, truth, [0])
    with pytest.raises(ValueError, match="hitrat"):
        evaluate(topk, truth, [5], ["hitrat"])
    with pytest.raises(ValueError, match="30 users"):
        evaluate(topk[:-1], truth, [5])


def test_only_what_is_asked_for():
    topk, truth = made(0)
    assert list(evaluate(topk, truth, [3, 5], ["mrr", "ndcg"])) == ["mrr@3", "mrr@5", "ndcg@3", "ndcg@5"]
