import numpy as np
import pytest

from bench.ranking.rank import Candidates, rank

from .conftest import fit, interactions


def test_popularity_counts_listeners_not_plays():
    train = interactions([0, 0, 1, 2, 2], [1, 3, 1, 1, 0], 3, 5, count=[1, 900, 1, 1, 1])
    scores = fit("popularity", train).score(np.array([2, 0], np.int32))
    assert scores.tolist() == [[1, 3, 0, 1, 0]] * 2  # tracks without listeners, cold ones among them: 0


def test_popularity_of_a_large_catalogue_needs_no_memory():
    train = interactions([0], [5], 1, 200_000)
    scores = fit("popularity", train).score(np.zeros(20_000, np.int32))
    assert scores.shape == (20_000, 200_000)
    assert scores.strides[0] == 0
    assert not scores.flags.writeable


def test_popularity_ranks_cold_tracks_by_the_seed_alone():
    """The chance level of cold tracks, by the same code as every model."""
    train = interactions([0, 1, 1], [0, 0, 1], 2, 60)
    cold = Candidates("cold", np.arange(60) >= 2)
    model, users = fit("popularity", train), np.array([0, 1], np.int32)
    lists = [rank(model.score, users, history=train, candidates=[cold], k=10, seed=s).topk["cold"] for s in (0, 1)]
    assert (lists[0][0] == lists[0][1]).all()
    assert (lists[0] != lists[1]).any()


@pytest.fixture(scope="module")
def random():
    return fit("random", interactions([0], [0], 300, 2_000))


USERS = np.arange(300, dtype=np.int32)


def test_random_scores_are_uniform(random):
    scores = random.score(USERS).astype(np.float64)
    n = scores.size
    assert scores.min() >= 0
    assert scores.max() < 1
    assert abs(scores.mean() - 0.5) < 4 * np.sqrt(1 / 12 / n)
    assert abs(scores.var() - 1 / 12) < 4 * np.sqrt(1 / 180 / n)
    counts = np.histogram(scores, 64, (0, 1))[0]
    assert ((counts - n / 64) ** 2 / (n / 64)).sum() < 63 + 5 * np.sqrt(2 * 63)


def test_random_rows_columns_and_seeds_are_independent(random):
    scores = random.score(USERS).astype(np.float64)
    other = fit("random", interactions([0], [0], 300, 2_000), seed=1).score(USERS)
    by_row = np.corrcoef(scores)
    assert np.abs(by_row[np.triu_indices(300, 1)]).max() < 6 / np.sqrt(2_000)
    for left, right in ((scores[:, 1:], scores[:, :-1]), (scores[1:], scores[:-1]), (scores, other)):
        assert abs(np.corrcoef(left.ravel(), right.ravel())[0, 1]) < 5 / np.sqrt(left.size)
    assert len(np.unique(scores)) > 0.98 * scores.size  # 24 bits: ties are rare


def test_each_track_comes_first_equally_often(random):
    first = np.bincount(
        fit("random", interactions([0], [0], 6_000, 20)).score(np.arange(6_000)).argmax(1), minlength=20
    )
    assert ((first - 300) ** 2 / 300).sum() < 19 + 5 * np.sqrt(2 * 19)


def test_a_random_row_depends_on_seed_and_listener_alone(random):
    every = random.score(USERS)
    some = np.array([271, 3, 3, 0], np.int32)
    assert np.array_equal(random.score(some), every[some])
    assert np.array_equal(np.concatenate([random.score(USERS[i : i + 1]) for i in range(5)]), every[:5])
    more = interactions([0, 299, 299], [5, 6, 7], 300, 2_000, count=[3, 1, 2])
    assert np.array_equal(fit("random", more).score(USERS), every)
    assert not np.array_equal(fit("random", more, seed=1).score(USERS), every)


def mix(x):
    """SplitMix64's output function after one step, in whole numbers."""
    x = (x + 0x9E3779B97F4A7C15) % 2**64
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)


def test_random_numbers_are_the_same_everywhere():
    scores = fit("random", interactions([0], [0], 9, 5), seed=42).score(np.array([0, 8], np.int32))
    expected = [[(mix(mix(user * 5 + item) ^ mix(42)) >> 40) / 2**24 for item in range(5)] for user in (0, 8)]
    assert scores.tolist() == expected
    assert mix(0) == 0xE220A8397B1DCDAF  # the first number of the published generator from state 0
