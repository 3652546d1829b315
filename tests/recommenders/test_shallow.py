"""Shallow Net against its plain form, its lanes, and planted truth."""

import copy
import re
from dataclasses import asdict

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.protocols import RunContext
from bench.registry import create
from bench.testing.pretend_device import NAME, pretend_device
from bench.training.plateau import Plateau
from bench_recommenders._negatives import distinct_rows, sample_negatives
from bench_recommenders._shallow_net import PairBatch, ShallowNet, dots, gathered, means

from .conftest import FixedValidation, PlantedWorld, fit, histories, interactions, item_table

USERS, ITEMS, WIDTH, PAIRS, COUNT = 30, 50, 12, 40, 7


def net(items="frozen", users=True, tower="shared", bound=0.5):
    torch.manual_seed(0)
    return ShallowNet(torch.randn(USERS, WIDTH), torch.randn(ITEMS, WIDTH), hidden=9, tower=tower, train_users=users,
               train_items=items, bound=bound, plateau=Plateau(0.1, 5))  # fmt: skip


def batch(users=True, items=False):
    torch.manual_seed(1)
    user, item = torch.randint(USERS, (PAIRS,)), torch.randint(ITEMS, (PAIRS,))
    others = torch.randint(USERS - 3, (PAIRS, COUNT)), torch.randint(ITEMS, (PAIRS, COUNT))
    return PairBatch(user, item, others[0] if users else None, others[1] if items else None)


def plain(model, batch, margin):
    """Every pair repeated, every repeat through the tower."""

    def cosine(user, item):
        left = torch.relu(model.tower(model.user[user]))
        right = torch.relu(model.item_tower(model.item[item] + (0 if model.delta is None else model.delta[item])))
        return torch.nn.functional.cosine_similarity(left, right)

    user, item = (part.repeat_interleave(COUNT) for part in (batch.user, batch.item))
    losses = []
    if batch.other_users is not None:
        losses.append(margin - cosine(user, item) + cosine(batch.other_users.flatten(), item))
    if batch.other_items is not None:
        losses.append(margin - cosine(user, item) + cosine(user, batch.other_items.flatten()))
    return torch.cat(losses).clamp(min=0).mean()


@pytest.mark.parametrize(
    ("model", "kinds"),
    [
        (net("frozen", True), (True, False)),  # the paper's text
        (net("trainable", False), (True, False)),  # the released code
        (net("trainable", True, "separate"), (True, True)),
        (net("delta", True, bound=9.0), (False, True)),
    ],
    ids=["text", "code", "both", "delta"],
)
def test_loss_and_gradients_are_the_plain_ones(model, kinds):
    other = copy.deepcopy(model)
    loss, expected = model.loss(batch(*kinds), 0.2), plain(other, batch(*kinds), 0.2)
    loss.backward()
    expected.backward()
    assert abs(loss.item() - expected.item()) < 1e-6
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert ("user" in trained, "item" in trained) == (isinstance(model.user, torch.nn.Parameter),
                                                      isinstance(model.item, torch.nn.Parameter))  # fmt: skip
    for (name, left), right in zip(model.named_parameters(), other.parameters(), strict=True):
        gap = (left.grad - right.grad).abs().max() / right.grad.abs().max()
        assert gap < 1e-5, (name, gap)


def test_sampled_products_pass_gradcheck():
    torch.manual_seed(0)
    left, table = torch.randn(6, 4, dtype=torch.float64), torch.randn(9, 4, dtype=torch.float64)
    index = torch.randint(9, (6, 4))
    torch.testing.assert_close(dots(left, table, index), (left[:, None] * table[index]).sum(-1))
    torch.testing.assert_close(gathered(left, table, index), dots(left, table, index))
    assert torch.autograd.gradcheck(lambda a, b: dots(a, b, index), (left.requires_grad_(), table.requires_grad_()))


def test_distinct_gives_each_row_once():
    rows, places = distinct_rows(10, torch.tensor([7, 2, 7]), torch.tensor([[2, 9], [9, 2]]))
    assert rows.tolist() == [2, 7, 9]
    assert [p.tolist() for p in places] == [[1, 0, 1], [[0, 2], [2, 0]]]
    assert distinct_rows(3, torch.tensor([0, 1, 2]))[0] is None


def test_deltas_stay_within_their_bound():
    model = net("delta", bound=0.25)
    with torch.no_grad():
        model.delta.normal_(std=3.0)
        model.item[4] = 0.0
    moved = (model.vectors() - model.item).norm(dim=1)
    assert (moved <= 0.25 * model.item.norm(dim=1) + 1e-5).all()
    assert moved[4] == 0
    assert moved[5] > 0


def test_plateau_is_torchs():
    values = [0.1, 0.2, 0.2, 0.2, 0.2, 0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.30001, 0.1, 0.1]
    ours, theirs = (torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0) for _ in range(2))
    plateau = Plateau(0.1, 2)
    torchs = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, "max", factor=0.1, patience=2)
    for value in values:
        plateau.step(value, ours)
        torchs.step(value)
        assert ours.param_groups[0]["lr"] == theirs.param_groups[0]["lr"]
    assert ours.param_groups[0]["lr"] < 0.02


def test_a_plateau_waits_for_no_device_and_needs_no_float64():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    with pretend_device(float64=False) as log:
        model = torch.nn.Sequential(Plateau(0.1, 1), torch.nn.Linear(2, 2)).to(NAME)
        log.clear()
        for _ in range(4):
            model[0].step(0.5, optimizer)
        assert log.total == 0  # before: 1 or 2 a validation
        assert model.state_dict()["0.best"] == 0.5
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_users_without_items_get_the_mean_of_the_others():
    table = torch.arange(8.0).view(4, 2)
    found = means(table, torch.tensor([0, 2, 3]), torch.tensor([0, 2, 2, 3]))
    assert found.tolist() == [[2.0, 3.0], [4.0, 5.0], [6.0, 7.0]]


# -- lanes and settings --------------------------------------------------------------------------------


def settings(spec, lane="corrected"):
    return asdict(create("recommenders", spec, lane=lane).settings)


def test_readings_are_what_text_and_code_say():
    text, code = settings("shallow", "published"), settings("shallow:reading=code", "published")
    assert (text["items"], text["users"], text["drawn"], text["reading"]) == ("frozen", "trainable", "all", "text")
    assert (code["items"], code["users"], code["drawn"]) == ("trainable", "frozen", "all_but_last")
    for one in (text, code):
        assert (one["tower"], one["hidden"], one["margin"], one["negatives"], one["count"]) == (
            "shared", 0, 0.2, "users", 20)  # fmt: skip
        assert (one["batch"], one["lr"], one["epochs"], one["patience"], one["plateau"]) == (10_000, 1e-3, 100, 16, 5)
        assert one["exclude_known"] is False
    assert None not in settings("shallow").values() or settings("shallow")["reading"] is None


# -- training ------------------------------------------------------------------------------------------


def small(seed=0, width=6, absent=()):
    """20 users of 3 to 9 of 25 tracks; the last 3 tracks are cold."""
    rng = np.random.default_rng(seed)
    train = histories([rng.permutation(22)[: rng.integers(3, 10)] for _ in range(20)], 25)
    return train, item_table(rng.standard_normal((25, width)), cold=range(22, 25), absent=absent)


HELD = interactions([0, 1], [3, 7], 20, 25)


def fitted(spec, train, items, lane="corrected", valid=None, **run):
    return fit(spec, train, items, lane=lane, valid=valid or FixedValidation(HELD), **run)


def drawn_users(spec, lane):
    train, items = small()
    model = fitted(spec, train, items, lane)
    user, item = (torch.from_numpy(part.astype(np.int64)) for part in (train.user, train.item))
    found = list(model._batches(user, item)(0))
    assert sum(len(b.user) for b in found) == len(train)
    return train, torch.cat([torch.cat([b.user[:, None], b.item[:, None], b.other_users], 1) for b in found])


def test_the_released_code_never_draws_the_last_user():
    _, code = drawn_users("shallow:epochs=1,reading=code", "published")
    assert set(code[:, 2:].flatten().tolist()) == set(range(19))
    _, text = drawn_users("shallow:epochs=1", "published")
    assert set(text[:, 2:].flatten().tolist()) == set(range(20))


def test_other_items_of_a_step_come_from_a_pool_drawn_anew():
    train, items = small()
    model = fitted("shallow:epochs=1,pool=5,negatives=items,batch=16,exclude_known=no", train, items)
    user, item = (torch.from_numpy(part.astype(np.int64)) for part in (train.user, train.item))
    pools = [
        frozenset(b.other_items.flatten().tolist()) for epoch in range(3) for b in model._batches(user, item)(epoch)
    ]
    assert max(map(len, pools)) == 5
    assert len(set(pools)) > 3
    assert set().union(*pools) == set(train.item.tolist())


def test_known_pairs_are_no_negatives():
    train, rows = drawn_users("shallow:epochs=1", "corrected")
    known = set(zip(train.user.tolist(), train.item.tolist(), strict=True))
    for own, item, *others in rows.tolist():
        assert not [u for u in others if (u, item) in known and u != own]


def test_a_user_who_knows_everything_gets_the_own_pair_as_negative():
    drawn = sample_negatives(
        torch.tensor([3, 4]), torch.arange(9), 5, lambda pair, other: torch.ones_like(pair, dtype=torch.bool)
    )
    assert drawn.tolist() == [[3] * 5, [4] * 5]


def test_tracks_without_a_vector_are_left_out_and_logged():
    train, items = small(absent=range(4))
    said = []
    model = fitted("shallow:epochs=1", train, items, log=said.append)
    pairs = int((train.item < 4).sum())
    assert any(re.search(rf"\b4 tracks.*\b{pairs} pairs", line) for line in said)
    assert np.isfinite(np.asarray(model.score(np.arange(20, dtype=np.int32)))).all()
    train, items = small(absent=range(25))
    with pytest.raises(BenchError, match=f"none of the {len(train)} "):
        fitted("shallow:epochs=1", train, items)


def test_single_plays_train_and_a_single_user_is_refused():
    _, items = small()
    alone = fitted("shallow:epochs=2", interactions([0, 1, 1, 3], [0, 1, 2, 3], 4, 25), items)
    assert np.isfinite(np.asarray(alone.score(np.arange(4, dtype=np.int32)))).all()
    with pytest.raises(BenchError, match=r"negatives=both.* users.* 1\."):
        fitted("shallow:epochs=1", interactions([0, 0], [1, 2], 1, 25), items)


@pytest.mark.parametrize("lane", ["published", "corrected"])
def test_without_vectors_it_learns_its_own_and_cannot_score_cold_tracks(lane):
    train, items = small(width=0)
    model = fitted("shallow:epochs=2,dim=7", train, items, lane)
    scores = np.asarray(model.score(np.arange(20, dtype=np.int32)))
    assert np.isneginf(scores[:, 22:]).all()
    assert np.isfinite(scores[:, np.unique(train.item)]).all()
    assert isinstance(model._net.item, torch.nn.Parameter)
    assert model._net.item.shape == (25, 7)


def test_another_width_is_refused():
    train, items = small()
    with pytest.raises(BenchError, match=r"\(25, 6\).*\(25, 3\)"):
        fitted("shallow:epochs=1", train, items).score(np.arange(2, dtype=np.int32), small(width=3)[1])


def test_what_was_trained_stays_added_to_another_table():
    train, items = small()
    for how in ("trainable", "delta"):
        model = fitted(f"shallow:epochs=2,items={how}", train, items)
        users = np.arange(20, dtype=np.int32)
        np.testing.assert_allclose(model.score(users), model.score(users, items), atol=1e-5)


def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path):
    train, items = small()
    users = np.arange(20, dtype=np.int32)

    def run(epochs, folder):
        values = iter(np.linspace(0.9, 0.1, 8).tolist())  # never better: the rate falls on the way
        spec = f"shallow:epochs={epochs},plateau=1,factor=0.5,batch=32"
        folder.mkdir(exist_ok=True)
        return fitted(spec, train, items, valid=lambda _: next(values), folder=folder)

    straight = run(6, tmp_path / "a")
    run(3, tmp_path / "b")
    model = create("recommenders", "shallow:epochs=6,plateau=1,factor=0.5,batch=32")
    rest = iter(np.linspace(0.9, 0.1, 8).tolist()[3:])
    model.fit(train, items, valid=lambda _: next(rest), run=RunContext(folder=tmp_path / "b"))
    assert model.history.loss == straight.history.loss
    np.testing.assert_array_equal(straight.score(users), model.score(users))


def test_the_published_lane_ends_by_the_hinge_of_validation_pairs():
    train, items = small()
    model = fitted("shallow:epochs=4,patience=2", train, items, lane="published")
    assert all(-0.5 < value < 0 for value in model.history.valid)
    assert len(set(model.history.valid)) == 4  # new negatives each time
    same = fitted("shallow:epochs=4,patience=2", train, items, lane="published")
    assert same.history.valid == model.history.valid
    torch.manual_seed(0)
    user, item = (torch.from_numpy(part.astype(np.int64)) for part in (HELD.user, HELD.item))
    (batch,) = model._batches(user, item)(0)
    assert batch.other_users.shape == (2, 20)
    others = batch.other_users[:, :, None].expand(-1, -1, model._net.users().shape[1])
    users, tracks = model._net.users(), model._net.items()
    positive = (users[batch.user] * tracks[batch.item]).sum(1, keepdim=True)
    negative = (users[:, None].expand(-1, 20, -1).gather(0, others) * tracks[batch.item][:, None]).sum(2)
    expected = (0.2 - positive + negative).clamp(min=0).mean()
    torch.testing.assert_close(model._net.loss(batch, 0.2), expected)


def test_the_published_lane_needs_validation_pairs_whose_tracks_train():
    train, _ = small()
    with pytest.raises(BenchError, match="none of the 2 "):
        fitted("shallow:epochs=1", train, small(absent=(3, 7))[1], lane="published")


# -- planted truth -------------------------------------------------------------------------------------


def in_order(spec, world):
    """Check that more knowledge is better for heard, cold and all tracks."""

    def ndcgs(spec, name):
        metrics = world.measure(spec, name, 20).metrics
        return np.array([metrics[which]["ndcg@20"] for which in ("hot", "cold", "mixed")])

    found = [ndcgs(spec, name) for name in ("oracle", "aligned", "noisy", "shuffled")]
    assert (np.diff(found, axis=0) < 0).all(), found
    # Distinct vectors that know nothing still help with tracks heard before; with cold tracks they are chance.
    chance = ndcgs("random", "aligned")
    assert found[3][0] > chance[0]
    assert found[2][1] > 1.3 * chance[1]


def test_planted_truth_comes_out_in_order_hot_and_cold():
    in_order("shallow:epochs=6", PlantedWorld(300, 500, 8, seed=2, plays=36_000))


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["shallow", "shallow:lane=published", "shallow:lane=published,reading=code"])
def test_planted_truth_comes_out_in_order_for_every_reading(spec):
    in_order(spec, PlantedWorld(500, 1000, 16, seed=1, plays=60_000))


def test_vectors_whose_squares_leave_float32_are_refused():
    rng = np.random.default_rng(0)
    train, x = interactions([0, 0, 1, 2], [0, 1, 2, 3], 3, 6), rng.standard_normal((6, 4)) * 1e19
    with pytest.raises(BenchError, match="--treat"):
        fit("shallow:epochs=1", train, item_table(x))


def test_another_batch_in_the_published_lane_is_allowed_and_named():
    own = create("recommenders", "shallow:lane=published,batch=512")
    assert own.settings.chosen_batch(10**6) == 512
    assert [("512" in text, "10000" in text) for text in own.warnings] == [(True, True)]
    for spec in ("shallow:lane=published", "shallow:lane=published,batch=10000", "shallow:batch=512"):
        assert not create("recommenders", spec).warnings
    assert own.settings.lr == create("recommenders", "shallow:lane=published").settings.lr
