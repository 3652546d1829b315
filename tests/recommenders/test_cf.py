"""The collaborative baselines against their formulas written out, and against planted truth."""

import time

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.protocols import Shape
from bench.registry import create
from bench_recommenders import _cooccurrence as cooccurrence
from bench_recommenders import _pair_loss, ease, elsa

from .conftest import PlantedWorld, fit, interactions, scores

NATIVE = ["ease", "itemknn", "elsa", "bpr"]


@pytest.fixture(scope="module")
def train():
    """60 users of 40 tracks, the last 4 of which nobody heard; histories in no order of items."""
    rng = np.random.default_rng(0)
    heard = [rng.permutation(36)[: rng.integers(2, 15)] for _ in range(60)]
    user = np.repeat(np.arange(60), [len(h) for h in heard])
    return interactions(user, np.concatenate(heard), 60, 40, rng.integers(1, 9, len(user)))


def dense(train):
    x = np.zeros((train.n_users, train.n_items))
    x[train.user, train.item] = 1.0
    return x


@pytest.mark.parametrize("small_blocks", [False, True])
def test_ease_is_the_closed_form(train, small_blocks, monkeypatch):
    if small_blocks:
        monkeypatch.setattr(cooccurrence, "CELLS", 100)
        monkeypatch.setattr(ease, "BLOCK", 5)
    x = dense(train)[:, :36]
    inverse = np.linalg.inv(x.T @ x + 30 * np.eye(36))
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    found = scores(fit("ease:l2=30", train), [5, 0, 59])
    np.testing.assert_allclose(found[:, :36], (x @ weights)[[5, 0, 59]], atol=1e-5)
    assert np.isneginf(found[:, 36:]).all()


def test_ease_refuses_what_does_not_fit_and_says_what_would(train):
    with pytest.raises(BenchError, match=r"36 tracks.* 5.18e-06 GB.* 4e-06 GB memory=.* 31 tracks.*elsa"):
        fit("ease:memory=4e-6", train)
    wide = interactions(np.zeros(300_000), np.arange(300_000), 1, 300_000)
    with pytest.raises(BenchError, match=r"300000 tracks.* 360 GB.*cpu"):
        fit("ease", wide)


def test_ease_estimates_its_time_and_refuses_what_takes_longer_than_granted(monkeypatch):
    monkeypatch.setattr(ease, "_operations_per_second", lambda device: 1e9)
    sizes = {"users": 10, "items": 6_000, "hot": 6_000, "pairs": 100, "width": 0, "lengths": np.full(10, 10)}
    model = create("recommenders", "ease:memory=10")
    (note,) = model.plan(Shape(**sizes)).notes  # 6000 ** 3 / 1e9 = 216 s
    assert "about 4 min on cpu" in note
    assert model.plan(Shape(**sizes, seconds=145.0)).notes == [note]
    with pytest.raises(BenchError, match=r"about 4 min on cpu.*2 min"):
        model.plan(Shape(**sizes, seconds=140.0))
    long = {**sizes, "lengths": np.full(10, 200_000)}  # 4e11 additions
    assert "about 30 min on cpu" in model.plan(Shape(**long)).notes[0]


def test_ease_stops_between_steps_when_the_next_takes_longer_than_granted(train, monkeypatch):
    monkeypatch.setattr(ease, "_operations_per_second", lambda device: 36**3 / 1000.0)  # 1000 s
    with pytest.raises(BenchError, match=r"--max-time.* 36 tracks"):
        fit("ease", train, deadline=time.monotonic() + 600)
    fit("ease", train, deadline=time.monotonic() + 900)


def test_ease_says_that_a_matrix_is_singular():
    same = interactions(np.repeat(np.arange(7), 50), np.tile(np.arange(50), 7), 7, 50)  # tracks with the same listeners
    with pytest.raises(BenchError, match=r"l2=1e-12.* 50 tracks"):
        fit("ease:l2=1e-12", same)


def test_the_speed_of_inverting_is_measured():
    assert 1e7 < ease._operations_per_second("cpu") < 1e15


@pytest.mark.parametrize("spec", ["ease", "itemknn"])
def test_a_deadline_ends_the_counting_of_pairs(train, spec, monkeypatch):
    monkeypatch.setattr(cooccurrence, "CELLS", 100)
    with pytest.raises(BenchError, match=r"--max-time.* 36 tracks"):
        fit(spec, train, deadline=time.monotonic())


@pytest.mark.parametrize("neighbours", [5, 100])
def test_itemknn_is_the_brute_force(train, neighbours, monkeypatch):
    monkeypatch.setattr(cooccurrence, "CELLS", 150)
    x = dense(train)[:, :36]
    both, own = x.T @ x, x.sum(axis=0)
    alike = (both / (np.sqrt(np.outer(own, own)) + 10)).astype(np.float32)
    np.fill_diagonal(alike, 0)
    for row in alike:  # one row a target
        row[row < np.sort(row)[::-1][min(neighbours, 36) - 1]] = 0
    found = scores(fit(f"itemknn:neighbours={neighbours},shrink=10", train), range(60))
    np.testing.assert_allclose(found[:, :36], x @ alike.T, atol=1e-5)
    assert np.isneginf(found[:, 36:]).all()


@pytest.mark.parametrize("factors", [4, 64])  # fewer and more than users: both ways to the length of y
def test_elsa_loss_and_gradient_are_the_dense_ones(train, factors):
    matrix = cooccurrence.InteractionMatrix(train, "elsa")
    users = np.array([7, 3, 30, 31, 2, 59], np.int32)
    columns, starts, lengths = matrix.histories(torch.from_numpy(users.astype(np.int64)), matrix.lengths[users].sum())
    torch.manual_seed(0)
    a = torch.nn.functional.normalize(torch.randn(36, factors, dtype=torch.float64), dim=1)
    ours, plain = a.clone().requires_grad_(), a.clone().requires_grad_()
    loss = elsa.loss(ours, columns, starts, lengths.double())
    x = torch.from_numpy(dense(train)[users][:, :36])
    y = x @ plain @ plain.T - x
    unit = torch.nn.functional.normalize
    expected = 36 * torch.nn.functional.mse_loss(unit(y, dim=1), unit(x, dim=1))
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, plain.grad)


def test_elsa_scores_are_the_dense_ones(train):
    model = fit("elsa:factors=8,epochs=2", train)
    a = np.asarray(model._items)
    np.testing.assert_allclose(np.linalg.norm(a, axis=1), 1, atol=1e-5)
    x = dense(train)[[4, 9]][:, :36]
    np.testing.assert_allclose(scores(model, [4, 9])[:, :36], x @ a @ a.T - x, atol=1e-4)


def test_ials_scores_are_those_of_implicit(train):
    pytest.importorskip("implicit")
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    found = scores(fit("ials:factors=8,weight=log,threads=1", train, seed=3), [11, 2])
    cells = (1 + np.log(train.count)).astype(np.float32)
    matrix = csr_matrix((cells, (train.user, train.item)), (60, 36))
    theirs = AlternatingLeastSquares(8, 10.0, 2.0, iterations=15, num_threads=1, random_state=3)
    theirs.fit(matrix, show_progress=False)
    ids, values = theirs.recommend(np.array([11, 2]), matrix[[11, 2]], N=36, filter_already_liked_items=False)
    np.testing.assert_allclose(np.take_along_axis(found, ids, axis=1), values, rtol=1e-4, atol=1e-5)
    assert np.isneginf(found[:, 36:]).all()


def test_ials_keeps_what_it_has_at_the_deadline(train):
    pytest.importorskip("implicit")
    said = []
    fit("ials:threads=1", train, deadline=0.0, log=said.append)
    assert said[-1] == "ials: stopped at the deadline"
    assert len(said) == 2


@pytest.mark.parametrize("device", ["cpu", "other"])
def test_bpr_loss_and_gradient_are_the_plain_ones(device, monkeypatch):
    if device == "other":  # sums as on a GPU
        monkeypatch.setattr(_pair_loss, "weighted_sums", _pair_loss.added_rows)
    torch.manual_seed(0)
    user, played, other = torch.tensor([0, 0, 3, 2]), torch.tensor([1, 4, 4, 0]), torch.tensor([2, 2, 0, 4])
    ours = [torch.randn(size, requires_grad=True) for size in ((4, 8), (5, 8), (5, 1))]
    plain = [each.detach().double().requires_grad_() for each in ours]
    loss = 3 * _pair_loss.pair_loss(*ours, user, played, other, 0.1)
    users, items, bias = plain
    u, i, j = users[user], items[played], items[other]
    difference = (u * (i - j)).sum(dim=1) + (bias[played] - bias[other])[:, 0]
    lengths = (u.square() + i.square() + j.square()).sum(dim=1)
    expected = 3 * (0.1 * lengths - torch.nn.functional.logsigmoid(difference)).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    loss.backward()
    expected.backward()
    for mine, theirs in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad.float(), rtol=1e-5, atol=1e-6)


def test_bpr_draws_no_known_track(train):
    from bench_recommenders._negatives import KnownPairs, sample_negatives

    user, item = (torch.from_numpy(part.astype(np.int64)) for part in (train.user, train.item))
    known = KnownPairs(user, item, train.n_items)
    x = torch.from_numpy(dense(train)).bool()
    drawn = sample_negatives(item, torch.arange(36), 30, lambda pair, other: known(user[pair], other))
    mistaken = x[user[:, None], drawn]
    assert mistaken.float().mean() < 0.002  # nine draws in a row, at the longest history of 14 tracks of 36
    assert (drawn == item[:, None])[mistaken].all()  # then the pair's own track, which teaches nothing
    assert known(user, item).all()
    every_user, every_item = torch.meshgrid(torch.arange(60), torch.arange(40), indexing="ij")
    assert torch.equal(known(every_user, every_item), x)


@pytest.mark.parametrize("name", NATIVE)
def test_without_pairs_there_is_a_message(name):
    with pytest.raises(BenchError, match=name):
        fit(name, interactions([], [], 3, 4))


def test_users_of_one_track_are_refused_by_elsa_alone():
    with pytest.raises(BenchError, match=r"elsa.*two"):
        fit("elsa", interactions([0, 1, 2], [0, 1, 0], 3, 4))
    pairs = interactions([0, 0, 1, 2, 2], [0, 1, 2, 1, 3], 3, 5)  # user 1 has one play
    for name in NATIVE:
        found = scores(fit(name, pairs), [0, 1, 2])
        assert np.isfinite(found[:, :4]).all(), name
        assert np.isneginf(found[:, 4]).all(), name


@pytest.fixture(scope="module")
def world():
    return PlantedWorld(300, 500, 8, seed=1, plays=30_000)


@pytest.fixture(scope="module")
def floor(world):
    return world.measure("popularity", "none", 20).metrics["hot"]["ndcg@20"]


@pytest.mark.parametrize("spec", ["ease", "itemknn", "elsa:epochs=10", "bpr:epochs=10", "ials:threads=1"])
def test_it_knows_more_than_popularity(world, floor, spec):
    if spec.startswith("ials"):
        pytest.importorskip("implicit")
    found = world.measure(spec, "none", 20)
    assert found.metrics["hot"]["ndcg@20"] > 2 * floor
    assert found.unranked == ["cold"]  # tracks not played in training have no score
    assert found.metrics["mixed"]["ndcg@20"] > 0
