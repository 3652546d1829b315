import numpy as np
import pytest

from bench.errors import BenchError
from bench.items import ItemTable
from bench.protocols import Interactions, RunContext
from bench.registry import create
from bench.testing import RecommenderContract

SMALL = "width=16,ffn=16,max_len=20,batch=32,rate=0.003"


class TestFull(RecommenderContract):
    spec = f"sasrec:epochs=2,{SMALL}"


class TestGBCE(RecommenderContract):
    spec = f"sasrec:epochs=1,loss=gbce,negatives=32,items=trainable,{SMALL}"


def cycle(lengths, n_items=8):
    """Listeners who play the items in a fixed round: what comes next is certain."""
    rng = np.random.default_rng(0)
    starts = rng.integers(0, n_items, len(lengths))
    user = np.repeat(np.arange(len(lengths)), lengths).astype(np.int32)
    item = np.concatenate([(s + np.arange(n)) % n_items for s, n in zip(starts, lengths, strict=True)]).astype(np.int32)
    rank = np.arange(len(item), dtype=np.int64)
    return Interactions(user, item, rank, rank, np.ones(len(item), np.int32), len(lengths), n_items)


def empty(n_items=8):
    there = np.ones(n_items, bool)
    return ItemTable([f"{i}" for i in range(n_items)], np.zeros((n_items, 0), np.float32), there.copy(), there, {})


@pytest.mark.parametrize("loss", ["chunked", "sampled", "gbce"])
def test_it_learns_what_follows_what(loss):
    train = cycle([2 + u % 5 for u in range(200)])
    model = create("recommenders", f"sasrec:width=16,ffn=16,batch=32,rate=0.02,epochs=15,loss={loss},negatives=6")
    rising = iter(range(100))
    model.fit(train, empty(), valid=lambda _: float(next(rising)), run=RunContext())
    users = np.arange(200, dtype=np.int32)
    last = train.item[train.indptr[1:] - 1]
    assert (model.score(users).argmax(1).numpy() == (last + 1) % 8).mean() > 0.7


def test_listeners_of_one_track_teach_nothing_and_are_scored():
    train = cycle([1, 3, 4])
    model = create("recommenders", f"sasrec:{SMALL},epochs=1")
    model.fit(train, empty(), valid=lambda _: 0.0, run=RunContext())
    assert np.isfinite(model.score(np.arange(3, dtype=np.int32)).numpy()).all()
    with pytest.raises(BenchError, match="no listener has 2 known tracks"):
        model.fit(cycle([1, 1]), empty(), valid=lambda _: 0.0, run=RunContext())


def test_there_is_no_published_lane():
    with pytest.raises(BenchError, match="no published lane"):
        create("recommenders", "sasrec", lane="published")
