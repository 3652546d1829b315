"""Small logs, item tables and planted worlds for tests of recommenders."""

import numpy as np
import pytest
import torch

from bench.items.item_table import ItemTable
from bench.protocols import Interactions, RunContext
from bench.registry import create
from bench.run.recommend.evaluate import measure
from bench.splits.make import GlobalTemporal, make
from bench.synthetic import planted


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small products gain nothing from more threads, and on a busy machine lose much."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def interactions(user, item, n_users, n_items, count=None):
    """Pairs in the order of their times; `count` plays each, by default one."""
    user, item = np.asarray(user, np.int32), np.asarray(item, np.int32)
    when = np.arange(len(user), dtype=np.int64)
    plays = np.ones(len(user), np.int32) if count is None else np.asarray(count, np.int32)
    return Interactions(user, item, when, when, plays, n_users, n_items)


def histories(lists, n_items):
    """Interactions of users with these items, in this order."""
    user = np.repeat(np.arange(len(lists)), [len(each) for each in lists])
    return interactions(user, [i for each in lists for i in each], len(lists), n_items)


def item_table(vectors, *, cold=(), absent=()):
    """An item table of these vectors; a number instead: as many items without vectors (`--extractor none`)."""
    vectors = np.zeros((vectors, 0)) if isinstance(vectors, int) else np.array(vectors)
    hot, present = np.ones(len(vectors), bool), np.ones(len(vectors), bool)
    hot[list(cold)], present[list(absent)] = False, False
    vectors[~present] = 0
    return ItemTable([f"{i:06d}" for i in range(len(vectors))], vectors.astype(np.float32), present, hot, {})


def fit(spec, train, items=None, *, lane="corrected", valid=lambda _: 0.5, **run):
    model = create("recommenders", spec, lane=lane)
    model.fit(train, items or item_table(train.n_items), valid=valid, run=RunContext(**run))
    return model


def scores(model, users):
    return np.asarray(model.score(np.asarray(users, np.int32)))


class FixedValidation:
    """The harness's validation with one NDCG, and the pairs of the published lane."""

    def __init__(self, held, value=0.5):
        self._held, self._value = held, value

    def __call__(self, _model):
        return self._value

    def held_out(self):
        return self._held


class PlantedWorld:
    """Listening that follows planted vectors, split by time, and tables that know more or less of the truth."""

    def __init__(self, *args, **more):
        self.made = planted(*args, **more)
        self.split = make(self.made.listens.lazy(), GlobalTemporal(cut=self.made.cut.isoformat()))

    def table(self, name):
        """A planted table in the order of the split's items; none: without vectors."""
        rows = np.searchsorted(np.array(self.made.ids), np.array(self.split.items))
        vectors = np.zeros((len(rows), 0)) if name == "none" else self.made.tables[name][rows]
        there = np.ones(len(rows), bool)
        return ItemTable(list(self.split.items), np.array(vectors, np.float32), there, self.split.hot.copy(), {})

    def measure(self, spec, name, k):
        """Metrics of a recommender on one of the tables, by candidate set."""
        model = create("recommenders", spec)
        return measure(model, self.table(name), self.split, ks=[k], seed=0, device="cpu", reference=None, folder=None,
                       log=lambda _: None)  # fmt: skip
