"""Validation pairs that are known when the test is ranked: models read them, and they are not recommended."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from bench.items.item_table import ItemTable
from bench.protocols import Plays, Recommender, RunContext
from bench.registry import create
from bench.run.recommend.evaluate import measure
from bench.run.recommend.validation import Validation
from bench.splits.make import GlobalTemporal, make
from bench.splits.untimed import LeaveLastOut


def table(split, width=0):
    n = len(split.items)
    vectors = np.random.default_rng(0).standard_normal((n, width)).astype(np.float32)
    return ItemTable(list(split.items), vectors, np.ones(n, bool), split.hot.copy(), {})


class Follower(Recommender):
    """Scores highest what comes after the last track of a history in the order of ids, then that last track."""

    name = "follower"

    def fit(self, train, items, *, valid, run):
        self.update_history(train)

    def update_history(self, known):
        self.last = known.item[known.indptr[1:] - 1]

    def score(self, users, items=None):
        out = np.zeros((len(users), 20), np.float32)
        rows = np.arange(len(users))
        out[rows, self.last[users]] = 1
        out[rows, (self.last[users] + 1) % 20] = 2
        return out


class Deaf(Follower):
    """Reads the training history alone."""

    name = "deaf"

    def update_history(self, known):
        if not hasattr(self, "last"):
            super().update_history(known)


def around(settings):
    """Listeners who play tracks in the order of ids, all the way round; validation is the last but one."""
    start = 1_577_836_800  # 2020-01-01
    days = [0, 1, 2, 3, 20, 40]
    rows = [
        (f"u{u:02d}", f"i{(u + n) % 20:02d}", start + day * 86_400 + u) for u in range(20) for n, day in enumerate(days)
    ]
    frame = pl.DataFrame(rows, schema=["user", "item", "time"], orient="row")
    return make(frame.with_columns(pl.from_epoch("time").dt.replace_time_zone("UTC")).lazy(), settings)


@pytest.mark.parametrize(
    "settings",
    [LeaveLastOut(), GlobalTemporal(cut="2020-02-05", valid="period", valid_days=25)],
    ids=["leave_last_out", "period"],
)
def test_validation_is_history_and_mask_when_the_test_is_ranked(settings):
    split = around(settings)

    def measured(model, **how):
        how |= {"ks": [1], "seed": 0, "device": "cpu", "reference": None, "folder": None, "log": lambda _: None}
        found = measure(model, table(split), split, **how)
        return [of.get("hot", {}).get("hitrate@1") for of in (found.validation, found.metrics, found.chance)]

    # Four tracks train, the fifth is validation, and the sixth is the answer: 15 candidates are left.
    assert measured(Follower(None)) == [1.0, 1.0, pytest.approx(1 / 15)]
    # Who knows training alone puts the validation track first. It is masked, and all others have one score.
    assert measured(Deaf(None)) == [1.0, None, pytest.approx(1 / 15)]
    assert measured(Deaf(None), refit=True)[1] == 1.0


@pytest.mark.parametrize("spec", ["ease", "itemknn", "knn", "knn:profile=max", "elsa:epochs=2", "sasrec:epochs=1"])
def test_models_score_what_follows_the_new_history(spec):
    """As if they had been fitted on it: but for what they learned, which the other listeners decide."""
    split = around(LeaveLastOut())
    valid, items = Validation(split, None, 5, 5, 0), table(split, 8)
    model = create("recommenders", spec)
    model.fit(split.train, items, valid=valid, run=RunContext())
    user = np.array([7], np.int32)
    before = np.asarray(model.score(user)).copy()
    known = split.before_test
    model.update_history(known)
    after = np.asarray(model.score(user))
    assert not np.array_equal(before, after)
    # A listener whose training is all that the other one knows gets the same scores from then on.
    twin = np.where(known.user == 3, 7, known.user)
    keep = (known.user != 7) & (known.user != 3)
    rows = np.flatnonzero(keep | (known.user == 3))
    order = rows[np.argsort(twin[rows], kind="stable")]
    moved = replace(known, **{name: getattr(known, name)[order].copy() for name in ("item", "first", "last", "count")},
                    user=twin[order].astype(np.int32))  # fmt: skip
    third = np.asarray(model.score(np.array([3], np.int32)))
    model.update_history(moved)
    np.testing.assert_allclose(np.asarray(model.score(user)), third, rtol=1e-5, atol=1e-6)


def test_validation_pairs_follow_all_plays():
    split = around(GlobalTemporal(cut="2020-02-05", valid="period", valid_days=25, sequence="all_plays"))
    plays = Plays(split.train.user, split.train.item, split.train.first)
    known = replace(split, plays=plays).known_at_test.plays
    pairs = split.before_test
    for name, expected in (("user", pairs.user), ("item", pairs.item), ("time", pairs.first)):
        assert getattr(known, name).tolist() == expected.tolist()
