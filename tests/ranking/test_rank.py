from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.ranking.rank import Candidates, rank
from bench.ranking.topk import tie_ranks


def history(rows):
    lengths = [len(row) for row in rows]
    item = np.array([i for row in rows for i in row], np.int32)
    return SimpleNamespace(indptr=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), item=item)


def sets(n_items, **masks):
    return [Candidates(name, np.asarray(mask, bool)) for name, mask in (masks or {"hot": np.ones(n_items)}).items()]


def ranked(scores, k, *, seen=None, candidates=None, users=None, seed=0, **options):
    n_users, n_items = scores.shape
    users = np.arange(n_users, dtype=np.int32) if users is None else users
    return rank(
        lambda block: scores[block],
        users,
        history=history([[]] * n_users if seen is None else seen),
        candidates=candidates or sets(n_items),
        k=k,
        seed=seed,
        **options,
    )


def brute(scores, k, seen, mask, seed):
    """Sort everything: score descending, then tie rank."""
    ties = tie_ranks(scores.shape[1], seed)
    out = np.full((len(scores), k), -1, np.int32)
    for user, row in enumerate(scores.astype(np.float64)):
        row[~mask] = row[seen[user]] = -np.inf
        order = np.lexsort((ties, -row))
        kept = order[row[order] > -np.inf][:k]
        out[user, : len(kept)] = kept
    return out


def held(seed, n_users, n_items, most):
    """Held-out items of each user, of any candidate set: some users have none, some have most."""
    rng = np.random.default_rng(seed + 1)
    return history([rng.permutation(n_items)[: rng.choice([0, 1, 2, most])].tolist() for _ in range(n_users)])


def check_ranks(got, held_out, scores, seen, masks, seed):
    """Every rank is the place of the item among all items sorted; the lists agree."""
    for name, mask in masks.items():
        every = brute(scores, scores.shape[1], seen, mask, seed)
        user = np.repeat(np.arange(len(scores)), np.diff(held_out.indptr))
        place = every[user] == held_out.item[:, None]
        expected = np.where(place.any(axis=1), place.argmax(axis=1) + 1, 0)
        assert got.ranks[name].tolist() == expected.tolist()
        k = got.topk[name].shape[1]
        listed = (expected > 0) & (expected <= k)
        assert (got.topk[name][user[listed], expected[listed] - 1] == held_out.item[listed]).all()


def case(seed, n_users, n_items, values, most):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-values, values + 1, (n_users, n_items)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.05] = -np.inf
    seen = [rng.permutation(n_items)[: rng.integers(0, most + 1)].tolist() for _ in range(n_users)]
    cold = rng.random(n_items) < rng.choice([0.02, 0.5, 0.95])
    cold[rng.integers(n_items)] = True
    return scores, seen, cold


@given(st.integers(0, 2**32 - 1), st.integers(1, 90), st.integers(1, 12), st.sampled_from([0, 1, 3, 40, 10**6]))
@settings(max_examples=80, deadline=None)
def test_equal_to_sorting_everything(seed, n_items, k, values):
    scores, seen, cold = case(seed, 9, n_items, values, n_items // 2)
    masks = {"cold": cold, "mixed": np.ones(n_items, bool)}
    wanted = held(seed, 9, n_items, n_items)
    got = ranked(
        scores, k, seen=seen, candidates=sets(n_items, **masks), seed=seed % 100, held_out=dict.fromkeys(masks, wanted)
    )
    for name, mask in masks.items():
        assert got.topk[name].tolist() == brute(scores, k, seen, mask, seed % 100).tolist()
    check_ranks(got, wanted, scores, seen, masks, seed % 100)


@pytest.mark.parametrize("k", [2, 10, 60])
@pytest.mark.parametrize("values", [0, 1, 30, 400, 3000, 10**6])
def test_equal_to_sorting_everything_in_wide_rows(values, k):
    """Wide enough for groups of columns, narrow and crowded ties alike."""
    scores, seen, cold = case(values, 24, 3000, values, 900)
    scores[3] = -np.inf
    scores[4] = 7
    scores[5, 10:] = 0
    masks = {"hot": ~cold, "cold": cold, "mixed": np.ones(3000, bool)}
    wanted = held(values, 24, 3000, 40)
    got = ranked(scores, k, seen=seen, candidates=sets(3000, **masks), held_out=dict.fromkeys(masks, wanted))
    for name, mask in masks.items():
        assert got.topk[name].tolist() == brute(scores, k, seen, mask, 0).tolist()
    check_ranks(got, wanted, scores, seen, masks, 0)


def test_zero_and_minus_zero_are_equal_scores():
    scores = np.where(np.random.default_rng(0).random((1, 40)) < 0.5, 0.0, -0.0).astype(np.float32)
    wanted = history([list(range(40))])
    got = ranked(scores, 40, held_out={"hot": wanted})
    assert got.topk["hot"][0][got.ranks["hot"] - 1].tolist() == list(range(40))


@pytest.mark.parametrize("order", [1, -1])
def test_sorted_scores_in_wide_rows(order):
    scores = np.tile(np.arange(5000, dtype=np.float32)[::order], (3, 1))
    assert ranked(scores, 20).topk["hot"].tolist() == [np.argsort(-scores[0])[:20].tolist()] * 3


@pytest.mark.parametrize("values", [3, 10**6])
def test_best_scores_in_few_groups_of_columns(values):
    """The worst case for the bound: hundreds of scores above it."""
    scores, seen, _ = case(0, 4, 3008, values, 100)
    scores[:, np.arange(3008) % 94 < 9] += 3 * values
    mask = np.ones(3008, bool)
    got = ranked(scores, 10, seen=seen)
    assert got.topk["hot"].tolist() == brute(scores, 10, seen, mask, 0).tolist()


@pytest.mark.parametrize("n_best", [9, 10, 11])
def test_as_many_best_scores_as_places_among_ties(n_best):
    """One fewer group than places holds them, so that the bound is that of the ties."""
    scores = np.zeros((1, 3008), np.float32)
    scores[0, np.arange(n_best) % 8 + 94 * (np.arange(n_best) // 8)] = 1
    got = ranked(scores, 10, seen=[[]])
    assert got.topk["hot"].tolist() == brute(scores, 10, [[]], np.ones(3008, bool), 0).tolist()


def test_ties_that_straddle_the_last_place():
    scores = np.zeros((1, 50), np.float32)
    scores[0, :3] = [5, 9, 5]
    ties = tie_ranks(50, 7)
    rest = [i for i in np.argsort(ties) if i > 2]
    first = [0, 2] if ties[0] < ties[2] else [2, 0]
    assert ranked(scores, 6, seed=7).topk["hot"].tolist() == [[1, *first, *rest[:3]]]


def test_another_seed_orders_ties_otherwise():
    scores = np.zeros((1, 50), np.float32)
    assert ranked(scores, 9, seed=0).topk["hot"].tolist() != ranked(scores, 9, seed=1).topk["hot"].tolist()


def test_the_order_of_items_does_not_matter(monkeypatch):
    """Columns renamed, with ties renamed alike: the same items in the same places."""
    scores, seen, _ = case(11, 12, 400, 5, 60)
    ties = np.random.default_rng(0).permutation(400)
    shuffle = np.random.default_rng(1).permutation(400)
    new = np.argsort(shuffle)  # old item i is column new[i]
    monkeypatch.setattr("bench.ranking.rank.tie_ranks", lambda n, seed: ties)
    before = ranked(scores, 15, seen=seen).topk["hot"]
    monkeypatch.setattr("bench.ranking.rank.tie_ranks", lambda n, seed: ties[shuffle])
    after = ranked(scores[:, shuffle], 15, seen=[[new[i] for i in row] for row in seen]).topk["hot"]
    assert np.where(after >= 0, shuffle[after], -1).tolist() == before.tolist()


@pytest.mark.parametrize("block", [1, 5, 1000])
def test_block_sizes_change_nothing(block, monkeypatch):
    scores, seen, cold = case(2, 40, 2500, 60, 200)
    masks = {"hot": ~cold, "cold": cold}
    options = {"seen": seen, "candidates": sets(2500, **masks), "held_out": {"hot": held(2, 40, 2500, 30)}}
    expected = ranked(scores, 10, **options)
    monkeypatch.setattr("bench.ranking.topk._SCRATCH", 70_000)
    got = ranked(scores, 10, **options, block=block)
    assert all((got.topk[name] == expected.topk[name]).all() for name in masks)
    assert list(got.ranks) == ["hot"]
    assert got.ranks["hot"].tolist() == expected.ranks["hot"].tolist()


def test_blocks_follow_the_memory_and_nobody_else_is_scored():
    asked = []

    def score(users):
        asked.append(users.tolist())
        return np.random.default_rng(0).random((len(users), 100), np.float32)

    users = np.array([7, 3, 3, 9, 1], np.int32)
    got = rank(score, users, history=history([[]] * 10), candidates=sets(100), k=3, seed=0, memory=2 * 400)
    assert asked == [[7, 3], [3, 9], [1]]
    assert got.topk["hot"].shape == (5, 3)


def test_history_is_never_recommended_and_short_lists_are_padded():
    scores = np.arange(6, dtype=np.float32)[None].repeat(2, 0)
    got = ranked(scores, 4, seen=[[5, 3, 5], [0, 1, 2, 4, 5]])
    assert got.topk["hot"].tolist() == [[4, 2, 1, 0], [3, -1, -1, -1]]


def test_minus_infinity_is_not_recommended():
    scores = np.array([[1, -np.inf, 3, -np.inf]], np.float32)
    assert ranked(scores, 3).topk["hot"].tolist() == [[2, 0, -1]]


def test_the_lowest_finite_score_is_recommended():
    scores = np.full((1, 4), np.finfo(np.float32).min)
    scores[0, 1] = -np.inf
    assert sorted(ranked(scores, 4).topk["hot"][0].tolist()) == [-1, 0, 2, 3]


def test_items_without_a_vector_are_no_candidates():
    scores = np.arange(5, dtype=np.float32)[None]
    present = np.array([True, True, True, False, True])
    assert ranked(scores, 3, present=present).topk["hot"].tolist() == [[4, 2, 1]]


def test_candidate_sets_share_one_score_call():
    calls = []

    def score(users):
        calls.append(len(users))
        return np.arange(8, dtype=np.float32)[None].repeat(len(users), 0)

    candidates = sets(8, hot=[1, 1, 1, 1, 1, 1, 0, 0], cold=[0, 0, 0, 0, 0, 0, 1, 1], mixed=[1] * 8)
    users = np.arange(2, dtype=np.int32)
    got = rank(score, users, history=history([[5], []]), candidates=candidates, k=3, seed=0)
    assert calls == [2]
    assert got.topk["hot"].tolist() == [[4, 3, 2], [5, 4, 3]]
    assert got.topk["cold"].tolist() == [[7, 6, -1], [7, 6, -1]]
    assert got.topk["mixed"].tolist() == [[7, 6, 4], [7, 6, 5]]


@pytest.mark.parametrize("make", [np.array, torch.tensor, lambda x: np.broadcast_to(x, (3, 30))])
def test_the_models_array_is_left_as_it_is(make):
    row = np.random.default_rng(0).random((1, 30)).astype(np.float32)
    scores = make(row.repeat(3, 0) if make is np.array or make is torch.tensor else row)
    before = np.array(scores)
    masks = {"hot": np.arange(30) < 25, "cold": np.arange(30) >= 28}
    rank(
        lambda users: scores,
        np.arange(3, dtype=np.int32),
        history=history([[1, 2], [3], []]),
        candidates=sets(30, **masks),
        k=5,
        seed=0,
    )
    assert (np.array(scores) == before).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda x: torch.tensor(x, requires_grad=True),
        lambda x: torch.tensor(x).bfloat16(),
        lambda x: torch.tensor(x).double(),
        lambda x: x.astype(np.int64),
        lambda x: np.asfortranarray(x),
    ],
)
def test_any_kind_of_scores(make):
    x = np.random.default_rng(0).integers(0, 100, (4, 60)).astype(np.float32)
    got = rank(
        lambda users: make(x),
        np.arange(4, dtype=np.int32),
        history=history([[]] * 4),
        candidates=sets(60),
        k=5,
        seed=0,
    )
    assert (got.topk["hot"] == ranked(x, 5).topk["hot"]).all()


@pytest.mark.parametrize("n_items", [40, 3000])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite_scores_raise_and_name_the_place(value, n_items):
    scores = np.random.default_rng(0).random((5, n_items), np.float32)
    scores[3, 17] = value
    with pytest.raises(BenchError, match=f"knn gave {value} for user 3, item row 17"):
        ranked(scores, 4, who="knn", block=2)
    with pytest.raises(BenchError, match="for user dora, "):
        ranked(scores, 4, labels=["a", "b", "c", "dora", "e"])


def test_not_finite_scores_of_items_that_are_no_candidates_do_not_matter():
    scores = np.random.default_rng(0).random((3, 40), np.float32)
    scores[0, 1], scores[1, 2], scores[2, 3] = np.nan, np.inf, np.nan
    mask = np.ones(40, bool)
    mask[3] = False
    ranked(scores, 4, seen=[[1], [2], []], candidates=sets(40, hot=mask))
    ranked(scores, 4, candidates=sets(40, cold=np.arange(40) > 36))


def test_users_with_one_score_for_all_candidates_are_told():
    scores = np.random.default_rng(0).random((6, 3000)).astype(np.float32)
    scores[1, :2990] = 0.5
    scores[4, 1:] = -3  # what is left after masking is constant
    scores[5, 2990:] = -np.inf
    candidates = sets(3000, hot=np.arange(3000) < 2990, cold=np.arange(3000) >= 2990)
    got = ranked(scores, 5, seen=[[], [], [], [], [0], []], candidates=candidates, who="cf")
    assert {name: np.flatnonzero(same).tolist() for name, same in got.constant.items()} == {
        "hot": [1, 4],
        "cold": [4, 5],
    }


def test_popular_ties_at_the_top_are_not_constant():
    scores = np.zeros((3, 3000), np.float32)
    scores[:, 5] = -1
    scores[1, 7] = 1
    for few in (ranked(scores, 5), ranked(np.zeros((1, 1), np.float32), 1)):
        assert not any(same.any() for same in few.constant.values())


def test_bad_arguments_are_refused():
    scores = np.zeros((2, 4), np.float32)
    with pytest.raises(BenchError, match="'cold' has no items"):
        ranked(scores, 1, candidates=sets(4, cold=[0, 0, 0, 0]))
    with pytest.raises(BenchError, match="no items"):
        ranked(scores, 1, present=np.zeros(4, bool))
    with pytest.raises(BenchError, match="k = 0"):
        ranked(scores, 0)
    with pytest.raises(BenchError, match=r"0\.\.1"):
        ranked(scores, 1, users=np.array([2], np.int32))
    with pytest.raises(BenchError, match=r"shape \(2, 4\) for 2 users and 5 items"):
        ranked(scores, 1, candidates=sets(5))


def test_no_users_no_lists():
    assert ranked(np.zeros((2, 4), np.float32), 3, users=np.zeros(0, np.int32)).topk["hot"].shape == (0, 3)
