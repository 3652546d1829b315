"""The collaborative baselines against their formulas written out, and against planted truth."""

import numpy as np
import pytest
import torch

from bench.data.split import GlobalTemporal, make
from bench.data.synthetic import planted
from bench.errors import BenchError
from bench.items import ItemTable
from bench.protocols import Interactions, RunContext
from bench.registry import create
from bench.run.recommend.evaluate import measure
from bench.testing import RecommenderContract
from bench_recommenders import _counts as counts
from bench_recommenders import elsa

NATIVE = ["ease", "itemknn", "elsa", "bpr"]


def log(user, item, n_users, n_items, count=None):
    user, item = np.asarray(user, np.int32), np.asarray(item, np.int32)
    when = np.arange(len(user), dtype=np.int64)
    plays = np.ones(len(user), np.int32) if count is None else np.asarray(count, np.int32)
    return Interactions(user, item, when, when, plays, n_users, n_items)


@pytest.fixture(scope="module")
def train():
    """60 users of 40 tracks, the last 4 of which nobody heard; histories in no order of items."""
    rng = np.random.default_rng(0)
    heard = [rng.permutation(36)[: rng.integers(2, 15)] for _ in range(60)]
    user = np.repeat(np.arange(60), [len(h) for h in heard])
    return log(user, np.concatenate(heard), 60, 40, rng.integers(1, 9, len(user)))


def dense(train):
    x = np.zeros((train.n_users, train.n_items))
    x[train.user, train.item] = 1.0
    return x


def table(n_items):
    return ItemTable([f"{i:04d}" for i in range(n_items)], np.zeros((n_items, 0), np.float32),
                     np.ones(n_items, bool), np.ones(n_items, bool), {})  # fmt: skip


def fitted(spec, train, valid=lambda _: 0.5, **run):
    model = create("recommenders", spec)
    model.fit(train, table(train.n_items), valid=valid, run=RunContext(**run))
    return model


def scores(model, users):
    return np.asarray(model.score(np.asarray(users, np.int32)))


class TestEASE(RecommenderContract):
    spec = "ease"


class TestItemKNN(RecommenderContract):
    spec = "itemknn:neighbours=20"


class TestELSA(RecommenderContract):
    spec = "elsa:factors=16,epochs=3"


class TestBPR(RecommenderContract):
    spec = "bpr:epochs=3"


@pytest.mark.parametrize("small_blocks", [False, True])
def test_ease_is_the_closed_form(train, small_blocks, monkeypatch):
    if small_blocks:
        monkeypatch.setattr(counts, "CELLS", 100)
    x = dense(train)[:, :36]
    inverse = np.linalg.inv(x.T @ x + 30 * np.eye(36))
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    found = scores(fitted("ease:l2=30", train), [5, 0, 59])
    np.testing.assert_allclose(found[:, :36], (x @ weights)[[5, 0, 59]], atol=1e-5)
    assert np.isneginf(found[:, 36:]).all()


def test_ease_refuses_what_does_not_fit_and_says_what_would(train):
    with pytest.raises(BenchError, match=r"36 tracks need 2 matrices of 5.18e-06 GB.*memory= allows.*22 tracks.*elsa"):
        fitted("ease:memory=4e-6", train)
    wide = log(np.zeros(300_000), np.arange(300_000), 1, 300_000)
    with pytest.raises(BenchError, match=r"300000 tracks need 2 matrices of 360 GB = 720 GB.*are free on cpu"):
        fitted("ease", wide)


@pytest.mark.parametrize("neighbours", [5, 100])
def test_itemknn_is_the_brute_force(train, neighbours, monkeypatch):
    monkeypatch.setattr(counts, "CELLS", 150)
    x = dense(train)[:, :36]
    both, own = x.T @ x, x.sum(axis=0)
    alike = (both / (np.sqrt(np.outer(own, own)) + 10)).astype(np.float32)
    np.fill_diagonal(alike, 0)
    for row in alike:  # one row a target
        row[row < np.sort(row)[::-1][min(neighbours, 36) - 1]] = 0
    found = scores(fitted(f"itemknn:neighbours={neighbours},shrink=10", train), range(60))
    np.testing.assert_allclose(found[:, :36], x @ alike.T, atol=1e-5)
    assert np.isneginf(found[:, 36:]).all()


@pytest.mark.parametrize("factors", [4, 64])  # fewer and more than users: both ways to the length of y
def test_elsa_loss_and_gradient_are_the_dense_ones(train, factors):
    heard = counts.Heard(train, "elsa")
    users = np.array([7, 3, 30, 31, 2, 59], np.int32)
    columns, starts = heard.rows(users)
    lengths = np.diff(np.append(starts, len(columns))).astype(np.float64)
    torch.manual_seed(0)
    a = torch.nn.functional.normalize(torch.randn(36, factors, dtype=torch.float64), dim=1)
    ours, plain = a.clone().requires_grad_(), a.clone().requires_grad_()
    loss = elsa.loss(ours, *(torch.from_numpy(part) for part in (columns, starts, lengths)))
    x = torch.from_numpy(dense(train)[users][:, :36])
    y = x @ plain @ plain.T - x
    unit = torch.nn.functional.normalize
    expected = 36 * torch.nn.functional.mse_loss(unit(y, dim=1), unit(x, dim=1))
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, plain.grad)


def test_elsa_scores_are_the_dense_ones(train):
    model = fitted("elsa:factors=8,epochs=2", train)
    a = np.asarray(model._items)
    np.testing.assert_allclose(np.linalg.norm(a, axis=1), 1, atol=1e-5)
    x = dense(train)[[4, 9]][:, :36]
    np.testing.assert_allclose(scores(model, [4, 9])[:, :36], x @ a @ a.T - x, atol=1e-4)


def test_ials_scores_are_those_of_implicit(train):
    pytest.importorskip("implicit")
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    found = scores(fitted("ials:factors=8,weight=log,threads=1", train, seed=3), [11, 2])
    cells = (1 + np.log(train.count)).astype(np.float32)
    matrix = csr_matrix((cells, (train.user, train.item)), (60, 36))
    theirs = AlternatingLeastSquares(8, 10.0, 2.0, iterations=15, num_threads=1, random_state=3)
    theirs.fit(matrix, show_progress=False)
    ids, values = theirs.recommend(np.array([11, 2]), matrix[[11, 2]], N=36, filter_already_liked_items=False)
    np.testing.assert_allclose(np.take_along_axis(found, ids, axis=1), values, rtol=1e-4, atol=1e-5)
    assert np.isneginf(found[:, 36:]).all()


def test_ials_keeps_its_contract_and_its_deadline(train):
    pytest.importorskip("implicit")
    contract = type("Check", (RecommenderContract,), {"spec": "ials:factors=8,threads=1"})()
    for name in [n for n in dir(contract) if n.startswith("test_")]:
        getattr(contract, name)()
    said = []
    fitted("ials:threads=1", train, deadline=0.0, log=said.append)
    assert said[-1] == "ials: stopped at the deadline"
    assert len(said) == 2


def test_bpr_draws_no_known_track(train):
    from bench_recommenders._pairs import Known, draw

    user, item = (torch.from_numpy(part.astype(np.int64)) for part in (train.user, train.item))
    known = Known(user, item, train.n_items)
    x = torch.from_numpy(dense(train)).bool()
    drawn = draw(item, torch.arange(36), 30, lambda pair, other: known(user[pair], other))
    mistaken = x[user[:, None], drawn]
    assert mistaken.float().mean() < 0.002  # nine draws in a row, at the longest history of 14 tracks of 36
    assert (drawn == item[:, None])[mistaken].all()  # then the pair's own track, which teaches nothing
    assert known(user, item).all()


@pytest.mark.parametrize("name", NATIVE)
def test_without_pairs_there_is_a_message(name):
    with pytest.raises(BenchError, match=name):
        fitted(name, log([], [], 3, 4))


def test_elsa_says_that_single_plays_teach_nothing_and_others_bear_them():
    with pytest.raises(BenchError, match="no user has two"):
        fitted("elsa", log([0, 1, 2], [0, 1, 0], 3, 4))
    pairs = log([0, 0, 1, 2, 2], [0, 1, 2, 1, 3], 3, 5)  # user 1 has one play
    for name in NATIVE:
        found = scores(fitted(name, pairs), [0, 1, 2])
        assert np.isfinite(found[:, :4]).all(), name
        assert np.isneginf(found[:, 4]).all(), name


@pytest.mark.parametrize("name", [*NATIVE, "ials"])
def test_it_knows_more_than_popularity(world, name):
    if name == "ials":
        pytest.importorskip("implicit")
    split, empty, floor = world
    spec = {"elsa": "elsa:epochs=10", "bpr": "bpr:epochs=10", "ials": "ials:threads=1"}.get(name, name)
    found = measure(create("recommenders", spec), empty, split, ks=[20], seed=0, device="cpu", reference=None,
                    folder=None, log=lambda _: None)  # fmt: skip
    assert found.metrics["hot"]["ndcg@20"] > 2 * floor
    assert found.metrics["cold"]["hitrate@20"] == 0.0  # nothing to say of tracks that nobody heard
    assert found.metrics["mixed"]["ndcg@20"] > 0


@pytest.fixture(scope="module")
def world():
    made = planted(300, 500, 8, seed=1, plays=30_000)
    split = make(made.listens.lazy(), GlobalTemporal(cut=made.cut.isoformat()))
    n = len(split.items)
    empty = ItemTable(list(split.items), np.zeros((n, 0), np.float32), np.ones(n, bool), split.hot.copy(), {})
    found = measure(create("recommenders", "popularity"), empty, split, ks=[20], seed=0, device="cpu", reference=None,
                    folder=None, log=lambda _: None)  # fmt: skip
    return split, empty, found.metrics["hot"]["ndcg@20"]
