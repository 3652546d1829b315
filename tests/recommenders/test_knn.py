import numpy as np
import pytest

import bench_recommenders.knn as module
from bench.errors import BenchError
from bench.protocols import Interactions

from .conftest import PlantedWorld, fit, item_table

DAY = 86_400


def history(lengths, n_items, seed=0):
    """Listeners with so many different tracks each, played at different times and counts."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(len(lengths)), lengths).astype(np.int32)
    item = np.concatenate([rng.choice(n_items, n, replace=False) for n in lengths]).astype(np.int32)
    first = rng.integers(0, 300 * DAY, len(user))
    count = rng.integers(1, 30, len(user)).astype(np.int32)
    order = np.lexsort((first, user))
    user, item, first, count = user[order], item[order], first[order], count[order]
    last = first + rng.integers(0, 60 * DAY, len(user))
    return Interactions(user, item, first, last, count, len(lengths), n_items)


def vectors(n, dim, seed=1):
    """Vectors of unlike length around a common centre, two of them zero."""
    rng = np.random.default_rng(seed)
    found = (rng.standard_normal((n, dim)) + 0.3) * rng.lognormal(0, 1, (n, 1))
    found[[2, 5]] = 0
    return found.astype(np.float32)


def cosine(a, b):
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / norm) if norm else 0.0


def brute(train, x, *, profile, weight="none", half_life=None, other=None):
    """One listener, one track at a time, in float64."""
    x = x.astype(np.float64)
    targets = x if other is None else other.astype(np.float64)
    out = np.full((train.n_users, train.n_items), -np.inf if profile == "max" else 0.0)
    for user in range(train.n_users):
        rows = [p for p in range(len(train)) if train.user[p] == user]
        newest = max((train.last[p] for p in rows), default=0)  # age counts from the listener's own last play
        weights = [
            (np.log(1 + train.count[p]) if weight == "count" else 1.0)
            * (2 ** -((newest - train.last[p]) / DAY / half_life) if half_life else 1.0)
            for p in rows
        ]
        heard = [x[train.item[p]] for p in rows]
        if profile == "mean_normalized":
            heard = [v / np.linalg.norm(v) if v.any() else v for v in heard]
        for item in range(train.n_items):
            if profile == "max" and rows:
                near = [w * cosine(v, targets[item]) for v, w in zip(heard, weights, strict=True)]
                out[user, item] = max(near)
            elif rows:
                mean = sum(w * v for v, w in zip(heard, weights, strict=True)) / sum(weights)
                out[user, item] = cosine(mean, targets[item])
    return out


LENGTHS = [1, 12, 3, 0, 30, 2, 0, 7, 1]


@pytest.mark.parametrize("block", [4096, 13, 5, 1])
@pytest.mark.parametrize("profile", ["mean", "mean_normalized", "max"])
@pytest.mark.parametrize(("weight", "half_life"), [("none", None), ("count", None), ("none", 40.0), ("count", 100.0)])
def test_it_equals_brute_force(monkeypatch, profile, weight, half_life, block):
    monkeypatch.setattr(module, "BLOCK", block)  # also smaller than a listener's history
    train, x = history(LENGTHS, 40), vectors(40, 6)
    spec = f"knn:profile={profile},weight={weight},half_life={half_life}"
    scores = fit(spec, train, item_table(x)).score(np.arange(train.n_users, dtype=np.int32))
    expected = brute(train, x, profile=profile, weight=weight, half_life=half_life)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, atol=3e-6)


@pytest.mark.parametrize("profile", ["mean", "mean_normalized", "max"])
def test_other_vectors_are_scored_against_the_profiles_of_the_first(profile):
    train, x, other = history(LENGTHS, 40), vectors(40, 6), vectors(40, 6, seed=9)
    model = fit(f"knn:profile={profile}", train, item_table(x))
    scores = model.score(np.arange(train.n_users, dtype=np.int32), item_table(other))
    np.testing.assert_allclose(scores, brute(train, x, profile=profile, other=other), atol=3e-6)


def test_listeners_in_any_order_and_number():
    train, x = history(LENGTHS, 40), vectors(40, 6)
    model = fit("knn", train, item_table(x))
    every = model.score(np.arange(train.n_users, dtype=np.int32))
    some = np.array([7, 0, 4], np.int32)
    np.testing.assert_allclose(model.score(some), every[some], atol=1e-6)
    assert model.score(np.empty(0, np.int32)).shape == (0, 40)


def test_published_is_the_cosine_to_the_mean_of_raw_vectors():
    """Tamm & Aljanaki 2024: the loudest vectors count most."""
    train, x = history(LENGTHS, 40), vectors(40, 6)
    scores = fit("knn", train, item_table(x), lane="published").score(np.arange(train.n_users, dtype=np.int32))
    assert np.array_equal(scores, fit("knn:profile=mean", train, item_table(x)).score(np.arange(9, dtype=np.int32)))
    for user in (0, 1, 4, 7):
        mean = x[train.item[train.user == user]].mean(axis=0)
        norms = np.linalg.norm(x, axis=1)
        expected = x @ mean / np.where(norms == 0, 1, norms) / np.linalg.norm(mean)
        np.testing.assert_allclose(scores[user], expected, atol=1e-6)
    corrected = fit("knn", train, item_table(x)).score(np.arange(9, dtype=np.int32))
    assert np.abs(scores[4] - corrected[4]).max() > 0.1  # it is another model


def test_a_half_life_halves():
    """Two tracks, the older one by exactly a half-life: two thirds to one third."""
    x = np.eye(3, dtype=np.float32)
    last = np.array([0, 10 * DAY])
    train = Interactions(np.zeros(2, np.int32), np.array([0, 1], np.int32), last, last, np.ones(2, np.int32), 1, 3)
    scores = fit("knn:half_life=10", train, item_table(x)).score(np.zeros(1, np.int32))[0]
    assert scores[1] == pytest.approx(2 * scores[0])
    assert scores[2] == 0


def test_a_listener_who_stopped_long_ago_still_has_a_profile():
    x = np.eye(3, dtype=np.float32)
    last = np.array([0, 10 * DAY, 400 * DAY])
    user, item = np.array([0, 0, 1], np.int32), np.array([0, 1, 2], np.int32)
    train = Interactions(user, item, last, last, np.ones(3, np.int32), 2, 3)
    scores = fit("knn:half_life=2", train, item_table(x)).score(np.zeros(1, np.int32))[0]
    assert scores[1] > scores[0] > scores[2]


def test_a_table_of_no_columns_is_refused():
    with pytest.raises(BenchError, match="knn needs item vectors: give an --extractor other than none"):
        fit("knn", history(LENGTHS, 40), item_table(np.zeros((40, 0))))


def test_permuted_ids_give_permuted_scores():
    train, x = history([9] * 30, 40), vectors(40, 6)
    order = np.random.default_rng(3).permutation(40)
    place = np.argsort(order).astype(np.int32)
    moved = Interactions(train.user, place[train.item], train.first, train.last, train.count, 30, 40)
    users = np.arange(30, dtype=np.int32)
    for spec in ("knn", "knn:profile=max", "knn:profile=mean,weight=count"):
        straight = fit(spec, train, item_table(x)).score(users)
        np.testing.assert_allclose(fit(spec, moved, item_table(x[order])).score(users), straight[:, order], atol=2e-6)


@pytest.fixture(scope="module")
def found():
    """NDCG@10 of each planted table and of a random order, by candidate set."""
    world = PlantedWorld(400, 600, 16, seed=4, plays=40_000)
    measured = {name: world.measure("knn", name, 10) for name in ("oracle", "aligned", "noisy", "shuffled")}
    values = {
        name: {which: each.metrics[which]["ndcg@10"] for which in ("hot", "cold")} for name, each in measured.items()
    }
    return values | {"chance": {which: measured["aligned"].chance[which]["ndcg@10"] for which in ("hot", "cold")}}


@pytest.mark.parametrize("which", ["hot", "cold"])
def test_planted_truth_is_found_in_the_order_of_its_merit(found, which):
    assert found["oracle"][which] > found["aligned"][which] > found["noisy"][which]
    assert found["aligned"][which] > 2 * found["chance"][which]


@pytest.mark.parametrize("which", ["hot", "cold"])
def test_shuffled_rows_are_chance(found, which):
    """The proof that rows of the table and items of the log belong together."""
    straight, level = found["aligned"][which], found["chance"][which]
    assert abs(found["shuffled"][which] - level) < 0.15 * (straight - level)


@pytest.mark.parametrize("factor", [2.0**63, 2.0**-63])  # about 1e19: squares leave float32
@pytest.mark.parametrize("profile", ["mean", "mean_normalized", "max"])
def test_a_factor_on_all_vectors_changes_no_score(profile, factor):
    train, x = history(LENGTHS, 40), vectors(40, 6)
    users = np.arange(train.n_users, dtype=np.int32)
    expected = fit(f"knn:profile={profile}", train, item_table(x)).score(users)
    found = fit(f"knn:profile={profile}", train, item_table(x * np.float32(factor))).score(users)
    np.testing.assert_allclose(found, expected, atol=3e-6)
