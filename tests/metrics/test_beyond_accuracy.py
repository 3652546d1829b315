from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest

from bench.errors import BenchError
from bench.metrics import Lists, evaluate_beyond
from bench.metrics.beyond_accuracy import arp, artist_entropy, coverage, gini, ild, lift, novelty

ALL = np.ones(6, bool)
TOPK = np.array([[0, 1, 2], [1, 2, -1], [3, -1, -1], [-1, -1, -1]], np.int32)


def test_coverage_counts_candidates_alone():
    assert coverage(TOPK, ALL) == 4 / 6
    assert coverage(TOPK, np.array([1, 1, 1, 1, 0, 0], bool)) == 1


def test_gini_of_counts_with_zeros():
    # counts ascending: 0 0 1 1 2 2, weights -5 -3 -1 1 3 5
    assert gini(TOPK, ALL) == pytest.approx((-1 + 1 + 6 + 10) / (6 * 6))
    assert gini(np.arange(6, dtype=np.int32)[None], ALL) == pytest.approx(0)
    assert gini(np.zeros((9, 1), np.int32), ALL) == pytest.approx(5 / 6)
    assert gini(np.full((2, 3), -1, np.int32), ALL) is None


def test_no_candidates_are_refused():
    with pytest.raises(ValueError, match="no candidates"):
        coverage(TOPK, ~ALL)


def test_arp_and_novelty():
    listeners = np.array([8, 4, 2, 1, 0, 0])
    popularity = arp(TOPK, listeners, 8)
    assert popularity.values[:3] == pytest.approx([14 / 24, 6 / 16, 1 / 8])
    assert popularity.undefined == 1
    assert popularity.mean == pytest.approx((14 / 24 + 6 / 16 + 1 / 8) / 3)
    assert novelty(TOPK, listeners, 8).values[:3] == pytest.approx([1, 1.5, 3])
    unseen = novelty(np.array([[4]], np.int32), listeners, 8)
    assert unseen.values.item() == pytest.approx(np.log2(9))


def test_lift_relates_the_list_to_the_profile():
    listeners = np.array([8, 4, 2, 1, 0, 0])
    # Profiles: user 0 {2}, user 1 none, user 2 {3, 3-like 1}
    profile = SimpleNamespace(indptr=np.array([0, 1, 1, 3]), item=np.array([2, 1, 3], np.int32))
    topk = np.array([[0], [0], [0]], np.int32)
    got = lift(topk, listeners, profile, np.array([2, 1, 0]))
    assert got.values[[0, 2]] == pytest.approx([8 / 2.5 - 1, 8 / 2 - 1])
    assert got.defined.tolist() == [True, False, True]


def test_ild_is_the_mean_over_pairs():
    rng = np.random.default_rng(0)
    reference = rng.standard_normal((20, 7)).astype(np.float32)
    topk = np.stack([rng.permutation(20)[:5] for _ in range(9)]).astype(np.int32)
    topk[4, 3:] = -1
    unit = reference / np.linalg.norm(reference, axis=1, keepdims=True)
    expected = [np.mean([1 - unit[a] @ unit[b] for a, b in combinations(row[row >= 0], 2)]) for row in topk]
    assert ild(topk, reference).values == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("factor", [2.0**63, 2.0**-63])  # about 1e19: squares leave float32
def test_ild_is_a_distance_of_directions(factor):
    rng = np.random.default_rng(0)
    reference = rng.standard_normal((20, 7)).astype(np.float32)
    topk = np.stack([rng.permutation(20)[:5] for _ in range(9)]).astype(np.int32)
    found = ild(topk, reference * np.float32(factor)).values
    assert found == pytest.approx(ild(topk, reference).values, abs=1e-6)


def test_ild_is_the_same_in_any_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    reference = rng.standard_normal((20, 7)).astype(np.float32)
    topk = np.stack([rng.permutation(20)[:5] for _ in range(9)]).astype(np.int32)
    whole = ild(topk, reference).values
    monkeypatch.setattr("bench.metrics.beyond_accuracy._BLOCK", 300)
    assert ild(topk, reference).values == pytest.approx(whole, abs=1e-7)


def test_ild_leaves_out_items_without_a_vector():
    reference = np.array([[1, 0], [0, 1], [0, 0], [2, 0]], np.float32)
    topk = np.array([[0, 1, 2], [0, 2, -1], [0, 3, 2]], np.int32)
    assert ild(topk, reference).defined.tolist() == [True, False, True]
    assert ild(topk, reference).values[[0, 2]] == pytest.approx([1, 0])
    absent = ild(topk, reference, np.array([True, False, True, True]))
    assert absent.defined.tolist() == [False, False, True]
    assert ild(np.full((3, 3), -1, np.int32), reference).mean is None


def test_ild_never_scores_a_broken_vector():
    reference = np.array([[1, 0], [np.nan, 1]], np.float32)
    with pytest.raises(BenchError, match="item 1"):
        ild(np.array([[0, 1]], np.int32), reference)


def test_artist_entropy_in_bits():
    artists = np.array([0, 0, 1, 2, -1, 1])
    topk = np.array([[0, 1, 4], [0, 1, 2], [0, 2, 3], [4, -1, -1], [0, 2, -1]], np.int32)
    got = artist_entropy(topk, artists)
    third = -(2 / 3 * np.log2(2 / 3) + 1 / 3 * np.log2(1 / 3))
    assert got.values[[0, 1, 2, 4]] == pytest.approx([0, third, np.log2(3), 1])
    assert got.defined.tolist() == [True, True, True, False, True]


def test_everything_at_every_k():
    profile = SimpleNamespace(indptr=np.array([0, 2, 3, 4, 5]), item=np.array([0, 1, 2, 3, 4], np.int32))
    lists = Lists(
        topk=TOPK,
        candidates=ALL,
        listeners=np.array([1, 1, 1, 1, 1, 0]),
        profile=profile,
        users=np.arange(4),
        artists=np.array([0, 1, 1, 2, 2, -1]),
        references={"mfcc": np.eye(6, dtype=np.float32)},
    )
    got = evaluate_beyond(lists, [1, 3])
    names = ["coverage", "gini", "arp", "lift", "novelty", "artist_entropy", "ild:mfcc"]
    assert list(got) == [f"{name}@{k}" for k in (1, 3) for name in names]
    assert got["coverage@1"] == 0.5
    assert got["ild:mfcc@1"].undefined == 4
    with pytest.raises(ValueError, match="k = 4"):
        evaluate_beyond(lists, [4])
    plain = evaluate_beyond(replace(lists, artists=None, references={}), [3])
    assert list(plain) == [f"{name}@3" for name in names[:5]]
