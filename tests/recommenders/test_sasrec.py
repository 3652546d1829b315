import numpy as np
import pytest

from bench.errors import BenchError
from bench.registry import create

from .conftest import fit, histories, scores


def cycle(lengths, n_items=8):
    """Listeners who play the items in a fixed round: what comes next is certain."""
    rng = np.random.default_rng(0)
    starts = rng.integers(0, n_items, len(lengths))
    return histories([(s + np.arange(n)) % n_items for s, n in zip(starts, lengths, strict=True)], n_items)


@pytest.mark.parametrize("loss", ["chunked", "sampled", "gbce"])
def test_it_learns_what_follows_what(loss):
    train = cycle([2 + u % 5 for u in range(200)])
    rising = iter(range(100))
    spec = f"sasrec:width=16,ffn=16,batch=32,rate=0.02,epochs=15,loss={loss},negatives=6"
    model = fit(spec, train, valid=lambda _: float(next(rising)))
    last = train.item[train.indptr[1:] - 1]
    assert (scores(model, range(200)).argmax(1) == (last + 1) % 8).mean() > 0.7


def test_users_of_one_track_are_scored_but_not_trained_on():
    spec = "sasrec:width=16,ffn=16,epochs=1"
    assert np.isfinite(scores(fit(spec, cycle([1, 3, 4])), range(3))).all()
    with pytest.raises(BenchError, match=r"sasrec.* 2 known"):
        fit(spec, cycle([1, 1]))


def test_there_is_no_published_lane():
    with pytest.raises(BenchError, match="no published lane"):
        create("recommenders", "sasrec", lane="published")
