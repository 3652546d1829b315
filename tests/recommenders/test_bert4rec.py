import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.items.item_table import ItemTable
from bench.protocols import RunContext, Shape
from bench.registry import create
from bench_recommenders.sequential.batches import Group, Histories, Picked, SequenceBatch

from .conftest import FixedValidation, PlantedWorld, fit, histories, item_table

SMALL = "width=16,ffn=16,batch=32,rate=0.003"


LISTS = [[0, 1, 2, 3, 4], [5, 6, 7], [8, 9, 0, 1], [2], [4, 5, 6, 7, 8, 9, 3, 1]] * 4


def table(dim=8, absent=()):
    """12 items, the last two of them cold."""
    return item_table(np.random.default_rng(0).standard_normal((12, dim)), cold=(10, 11), absent=absent)


def validation(listeners, new=10):
    """Validation with so many new tracks of the first listener."""
    return FixedValidation(histories([list(range(new)), *[[]] * (listeners - 1)], 12), 0.0)


def fitted(settings="epochs=1", *, lane="corrected", items=None, lists=LISTS, valid=None, **run):
    spec, train = f"bert4rec:{SMALL},{settings}", histories(lists, 12)
    return fit(spec, train, items or table(), lane=lane, valid=valid or validation(len(lists)), **run)


def test_cold_items_take_no_part_in_training():
    items = table()
    moved = items.vectors.copy()
    moved[[10, 11]] += 5.0
    other = ItemTable(items.ids, moved, items.present.copy(), items.hot.copy(), {})
    one, two = fitted("epochs=2", items=items), fitted("epochs=2", items=other)
    for name, tensor in one.net.state_dict().items():
        assert torch.equal(tensor, two.net.state_dict()[name]), name
    users = np.arange(4, dtype=np.int32)
    assert torch.equal(one.score(users)[:, :10], two.score(users)[:, :10])
    assert not torch.equal(one.score(users)[:, 10:], two.score(users)[:, 10:])


@pytest.mark.parametrize(("reading", "trained"), [("text", False), ("code", True)])
def test_published_readings_differ_in_what_is_trained(reading, trained):
    items = table()
    model = fitted(f"reading={reading}", lane="published", items=items)
    side = model.net.items
    assert side.special.shape == (2, 8)  # mask and padding compete, at the width of the vectors
    assert side()[1].shape == (14, 8)
    assert side.special.requires_grad is trained
    if trained:
        assert (side.free.abs().max(dim=1).values > 0).all()  # the dense softmax reaches every row, cold ones too
        assert (side.special[1].abs() > 0).any()
    else:
        assert side.free is None
        assert torch.equal(side()[1][:12], torch.tensor(items.vectors))
        assert not side.special[1].any()


def test_the_plan_counts_the_training_of_item_vectors():
    shape = Shape(users=50, items=1_000, hot=800, pairs=1_000, width=64, lengths=np.full(50, 20))
    text, code = (
        create("recommenders", f"bert4rec:reading={reading}", lane="published").plan(shape).bytes
        for reading in ("text", "code")
    )
    assert code - text == 12 * 1_000 * 64  # gradient and Adam's two moments, in float32, of every row


def test_published_prediction_reads_49_tracks():
    lists = [list(np.random.default_rng(1).integers(0, 10, 120)), list(range(10))]
    long, short = (fitted(lane="published", lists=[each[-n:] for each in lists]) for n in (120, 49))
    assert long._predict_len == 50
    short.net = long.net
    users = np.array([0], np.int32)
    assert torch.allclose(long.score(users), short.score(users), atol=1e-5)


def test_the_published_lane_ends_by_the_masked_loss_of_users_with_ten_new_tracks():
    model = fitted("epochs=3", lane="published")
    assert len(set(model.history.valid)) == 3  # hidden anew each time
    assert all(-8 < value < 0 for value in model.history.valid)
    assert fitted("epochs=3", lane="published").history.valid == model.history.valid
    with pytest.raises(BenchError, match="at least 10 new tracks"):
        fitted(lane="published", valid=validation(len(LISTS), new=9))
    assert fitted("epochs=1,judge=ndcg", lane="published", valid=lambda _: 0.25).history.valid == [0.25]
    few = fitted("epochs=40,judged=2", lane="published", valid=validation(len(LISTS), new=2))
    assert all(value < -0.1 for value in few.history.valid)  # never 0 for want of a hidden track


def test_the_masked_loss_is_the_mean_over_hidden_tracks():
    model = fitted("epochs=1,dropout=0", lane="published")
    held = Histories.of(validation(len(LISTS)).held_out(), np.arange(12))
    torch.manual_seed(4)
    found = model._masked_loss(held, np.array([0]), "cpu")
    torch.manual_seed(4)
    hidden = torch.rand(10).numpy() < 0.2
    rows = model.net.items()[0]
    tokens = torch.where(torch.from_numpy(hidden), 12, torch.arange(10))
    batch = model._cloze(held, np.array([0]), "cpu", last=1.0)
    everything = SequenceBatch(tokens, torch.arange(10), batch.sizes, batch.groups,
                       Picked(torch.arange(10), [10], [Group(1, 10, None, None)]), torch.arange(10))  # fmt: skip
    scores = model.net.encode(everything, rows)[hidden] @ rows.T
    expected = torch.nn.functional.cross_entropy(scores, torch.arange(10)[hidden])
    assert found == pytest.approx(expected.item(), rel=1e-5)


def test_the_published_token_type_is_added_at_every_position_and_learned():
    model = fitted("epochs=1", lane="published")
    users = np.arange(4, dtype=np.int32)
    before = model.score(users)
    with torch.no_grad():
        moved = torch.linspace(-1, 1, 8) ** 3
        model.net.positions.sub_(moved)
        assert not torch.allclose(model.score(users), before, atol=1e-2)
        model.net.token_type.add_(moved)
    assert torch.allclose(model.score(users), before, atol=1e-5)
    model = create("recommenders", f"bert4rec:{SMALL}", lane="published")
    model._prepare(histories(LISTS, 12), table(), RunContext())
    model.loss(model._train_batch(np.arange(len(LISTS)), "cpu")).backward()
    shared, each = model.net.token_type.grad, model.net.positions.grad
    assert shared.abs().max() > 0
    assert torch.allclose(shared, each.sum(dim=0), atol=1e-6)
    assert fitted().net.token_type is None


def test_a_table_of_no_columns_is_learned():
    model = fitted(items=table(dim=0))
    scores = model.score(np.array([0, 3], np.int32))
    assert torch.isfinite(scores[:, :10]).all()
    assert (scores[:, 10:] == -torch.inf).all()
    assert model.net.items.free.shape == (10, 16)


def test_tracks_without_a_vector_are_left_out():
    model = fitted(items=table(absent=(0, 1)), lists=[[0, 1], *LISTS])
    assert 0 not in model.vocabulary.rows
    assert model.histories.lengths[0] == 0
    assert torch.isfinite(model.score(np.array([0, 1], np.int32))).all()


def test_a_killed_training_resumes_to_the_same_model(tmp_path):
    whole = fitted("epochs=4,plateau=1")
    calls = []

    def killed(_):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return 0.0

    with pytest.raises(KeyboardInterrupt):
        fitted("epochs=4,plateau=1", folder=tmp_path, valid=killed)
    again = fitted("epochs=4,plateau=1", folder=tmp_path)
    assert again.history.loss == whole.history.loss
    for name, tensor in whole.net.state_dict().items():
        assert torch.equal(tensor, again.net.state_dict()[name]), name


def test_full_and_chunked_train_the_same_model():
    one, two = fitted("epochs=2,loss=full"), fitted("epochs=2,loss=chunked")
    assert one.history.loss == pytest.approx(two.history.loss, rel=1e-5)


def test_a_full_loss_that_does_not_fit_is_computed_in_chunks(monkeypatch):
    monkeypatch.setattr("bench_recommenders.sequential.memory.FULL_UP_TO", 10)
    said = []
    one = fitted("loss=full", log=said.append)
    assert "using chunked" in said[0]
    assert one.history.loss == pytest.approx(fitted("loss=chunked").history.loss, rel=1e-6)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(BenchError, match=r"heads=3 .* 8\. .*heads=1 or 2 or 4 or 8"):
        fitted("heads=3,projection=none")


def test_no_sequence_is_refused():
    with pytest.raises(BenchError, match=r"bert4rec.* 1 known"):
        fitted(lists=[[], []])
    with pytest.raises(BenchError, match=r"bert4rec.* vector"):
        fitted(items=table(absent=range(10)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bert4rec", "sasrec"])
def test_planted_truth_is_found_in_its_order(name):
    world, found = PlantedWorld(300, 400, 32, seed=3, plays=24_000, cold_share=0.15), {}
    spec = f"{name}:width=32,max_len=50,epochs=30,patience=5,rate=0.003,batch=32"
    for kind in ("oracle", "aligned", "noisy", "shuffled"):
        measured = world.measure(spec, kind, 10)
        for which in ("hot", "cold"):
            found[kind, which] = measured.metrics[which]["ndcg@10"]
            found["chance", which] = measured.chance[which]["ndcg@10"]
    for which in ("hot", "cold"):
        oracle, aligned, noisy, shuffled = (found[k, which] for k in ("oracle", "aligned", "noisy", "shuffled"))
        assert oracle > aligned > noisy > 1.5 * shuffled, (which, found)
        assert noisy > 2 * found["chance", which], (which, found)
