import json
import struct
import time

import numpy as np
import pytest
import torch

import bench.training.history
from bench.errors import BenchError
from bench.formats.crc32c import crc32c, unmasked
from bench.machine import threads
from bench.protocols import RunContext
from bench.training import step_threads
from bench.training.checkpoints import Checkpoints, state_of
from bench.training.loop import Schedule, fit
from bench.training.tensorboard import NAME


def train(
    folder=None, *, epochs=6, patience=None, steps=0, scores=None, stop_after=None, seed=0, rates=None, **granted
):
    """Least squares on a line; `scores` replaces the validation value by a script, `rates` the rate after it."""
    torch.manual_seed(seed)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
    y = x @ torch.tensor([[1.0], [2.0], [-1.0], [0.5]])
    seen = []

    def batches(epoch):
        seen.append(epoch)
        if stop_after is not None and len(seen) > stop_after:
            raise KeyboardInterrupt
        yield from torch.randperm(64).split(16)

    def loss(rows):
        return (model(x[rows]) - y[rows]).square().mean()

    def valid():
        return scores[len(seen) - 1] if scores else -float((model(x) - y).square().mean())

    def lower(_score):
        if rates:
            optimizer.param_groups[0]["lr"] = rates[len(seen) - 1]

    run = RunContext(seed=seed, folder=folder, **granted)
    history = fit(
        model,
        optimizer,
        batches=batches,
        loss=loss,
        valid=valid,
        run=run,
        schedule=Schedule(epochs, patience, steps),
        after_valid=lower,
    )
    return model.weight.detach().numpy().copy(), history, seen


def test_it_learns_and_keeps_the_best():
    _, history, _ = train(epochs=30)
    assert history.best > history.valid[0]
    assert history.stopped == "epochs"


def test_patience_stops_and_restores_the_best_epoch():
    weights, history, seen = train(epochs=20, patience=2, scores=[0.1, 0.5, 0.3, 0.2] + [0.0] * 16)
    assert history.stopped == "patience"
    assert history.best_epoch == 1
    assert len(seen) == 4
    assert np.array_equal(weights, train(epochs=2)[0])


def test_patience_also_waits_for_steps(tmp_path):
    """An epoch has 4 steps: 5 epochs are 20 steps after the best, the second."""
    asked = {"epochs": 20, "patience": 2, "scores": [0.1, 0.5] + [0.0] * 18}
    assert [len(train(steps=steps, **asked)[2]) for steps in (0, 8, 9, 20, 21)] == [4, 4, 5, 7, 8]
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, steps=20, stop_after=4, **asked)
    _, history, _ = train(tmp_path, steps=20, **(asked | {"scores": [0.0] * 20}))
    assert (len(history.loss), history.stopped) == (7, "patience")  # the steps before the interruption count


def test_a_killed_training_goes_on_as_if_nothing_had_happened(tmp_path):
    whole, history, _ = train(epochs=6)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, epochs=6, stop_after=3)
    weights, resumed, seen = train(tmp_path, epochs=6)
    assert seen == [3, 4, 5]
    assert np.array_equal(weights, whole)
    assert resumed.loss == history.loss


def test_another_seed_does_not_resume_from_a_strangers_checkpoint(tmp_path):
    train(tmp_path, epochs=2)
    _, _, seen = train(tmp_path, epochs=2, seed=1)
    assert seen == [0, 1]


def test_checkpoints_are_not_pickles(tmp_path):
    train(tmp_path, epochs=1)
    files = [path for path in tmp_path.iterdir() if path.name != NAME]
    assert {path.name for path in files} == {"last.safetensors", "lock"}
    for path in tmp_path.glob("*.safetensors"):
        header = int.from_bytes(path.read_bytes()[:8], "little")
        json.loads(path.read_bytes()[8 : 8 + header])


def test_a_deadline_ends_training_with_a_valid_model():
    _, history, seen = train(epochs=50, deadline=0.0)
    assert history.stopped == "deadline"
    assert len(seen) == 1
    assert history.best_epoch == 0


def test_nan_never_becomes_a_model():
    with pytest.raises(BenchError, match="validation value of epoch 1 is nan"):
        train(scores=[float("nan")] * 6)


def fault(path, kind, tmp_path):
    """Damage a checkpoint, or replace it by a sound one that does not belong there."""
    if kind == "garbage":
        path.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00garbage")
    elif kind == "other run":
        train(tmp_path / "other", epochs=1, seed=0)
        path.write_bytes((tmp_path / "other" / "last.safetensors").read_bytes())
    elif kind == "other model":
        model = torch.nn.Linear(5, 1)
        with Checkpoints(path.parent, 0, print) as store:
            store.save(model, torch.optim.Adam(model.parameters()), {"loss": [1.0], "valid": [0.0]}, state_of(model))
    else:  # one bit of one weight
        content = bytearray(path.read_bytes())
        content[-2] ^= 1
        path.write_bytes(content)


@pytest.mark.parametrize("kind", ["garbage", "other run", "other model", "one bit"])
def test_a_damaged_or_foreign_checkpoint_is_noticed_and_training_starts_anew(tmp_path, kind):
    whole, history, _ = train(epochs=4)
    folder, lines = tmp_path / "run", []
    train(folder, epochs=2)
    fault(folder / "last.safetensors", kind, tmp_path)
    weights, again, seen = train(folder, epochs=4, log=lines.append)
    assert seen == [0, 1, 2, 3]
    assert np.array_equal(weights, whole)
    assert again.valid == history.valid
    assert str(folder / "last.safetensors") in lines[0]


def test_a_resumed_training_keeps_the_best_state_of_before(tmp_path):
    scores = [0.1, 0.5, 0.3, 0.2]
    best, *_ = train(epochs=2, scores=scores)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, epochs=4, scores=scores, stop_after=3)
    weights, history, _ = train(tmp_path, epochs=4, scores=[0.2])
    assert history.best_epoch == 1
    assert np.array_equal(weights, best)


def test_of_two_that_train_the_same_one_keeps_checkpoints(tmp_path):
    whole, *_ = train(epochs=2)
    lines = []
    with Checkpoints(tmp_path, 0, lines.append):
        weights, *_ = train(tmp_path, epochs=2, log=lines.append)
    assert np.array_equal(weights, whole)
    assert "cannot be locked" in lines[0]
    assert not (tmp_path / "last.safetensors").exists()


# -- deadline, replay, curves ----------------------------------------------------------------------------


def after(steps):
    """A clock that passes a deadline of 0.5 at its `steps`-th look in training, and stands still before and after."""
    looks = iter(range(10_000))

    class Clock:
        time = staticmethod(time.time)

        @staticmethod
        def monotonic():
            return float(next(looks) >= steps)

    return Clock


def test_more_time_goes_on_from_the_last_whole_epoch(tmp_path, monkeypatch):
    whole, history, _ = train(epochs=6)
    with monkeypatch.context() as patch:
        patch.setattr(bench.training.history, "time", after(12))
        trained = {}
        _, cut, seen = train(tmp_path, epochs=6, deadline=0.5, trained=trained)
    assert cut.stopped == trained["stopped"] == "deadline"
    assert 1 < len(seen) < 6
    assert len(cut.valid) == len(seen)
    assert None not in cut.valid  # what an epoch reached before it was cut is validated, too
    weights, resumed, again = train(tmp_path, epochs=6)
    assert again[-1] == 5
    assert 0 < again[0] < len(seen)
    assert np.array_equal(weights, whole)
    assert resumed.loss == history.loss


def test_an_earlier_fit_can_be_replayed_without_validation():
    trained, again = {}, {}
    scores, rates = [0.1, 0.2, 0.5, 0.3, 0.2, 0.1], [0.05, 0.04, 0.01, 0.01, 0.01, 0.01]
    best, history, _ = train(epochs=6, patience=2, scores=scores, rates=rates, trained=trained)
    assert trained == {"epochs": 5, "best_epoch": 3, "stopped": "patience", "rates": [0.05, 0.05, 0.04]}
    weights, replayed, seen = train(
        epochs=6, patience=2, scores=[float("nan")] * 6, replay=trained["rates"], trained=again
    )
    assert np.array_equal(weights, best)
    assert seen == [0, 1, 2]
    assert replayed.loss == history.loss[:3]
    assert again == {"epochs": 3, "best_epoch": 3, "stopped": "epochs", "rates": trained["rates"]}


def test_each_epoch_says_what_is_left():
    lines = []
    train(epochs=3, log=lines.append)
    assert lines[0].startswith("epoch 1 of at most 3: loss ")
    assert "validation" in lines[0]
    assert "(best), rate 0.05, " in lines[0]
    assert lines[2].endswith(" 0 s left at most")
    assert lines[3].startswith("trained for 3 epochs, ended by epochs: epoch 3 is kept, validation ")


def scalars(path):
    """Read a log as TensorBoard does: frames, checksums, events; tag -> [(step, value)]."""
    content, at, events = path.read_bytes(), 0, []
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        payload = content[at + 12 : at + 12 + length]
        for checked, where in ((content[at : at + 8], at + 8), (payload, at + 12 + length)):
            assert unmasked(struct.unpack_from("<I", content, where)[0]) == crc32c(checked)
        events.append(payload)
        at += 16 + length
    assert events[0].endswith(b"brain.Event:2")
    found = {}
    for event in events[1:]:
        assert event[0] == 1 << 3 | 1
        assert abs(struct.unpack_from("<d", event, 1)[0] - time.time()) < 3600
        assert event[9] == 2 << 3
        step, rest = event[10], event[13:]  # step and length are below 128 here
        assert event[11] == 5 << 3 | 2
        assert event[12] == len(rest)
        while rest:
            tag = rest[4 : 4 + rest[3]].decode()
            value = rest[4 + len(tag) :]
            assert value[0] == 2 << 3 | 5
            found.setdefault(tag, []).append((step, struct.unpack_from("<f", value, 1)[0]))
            rest = value[5:]
    return found


def test_curves_are_logged_for_tensorboard(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", epochs=5, stop_after=2, curves=tmp_path / "log")
    _, history, _ = train(tmp_path / "run", epochs=5, curves=tmp_path / "log")
    assert not (tmp_path / "run" / NAME).exists()
    found = scalars(tmp_path / "log" / NAME)
    assert set(found) == {"loss", "validation", "rate"}
    for tag, values in (("loss", history.loss), ("validation", history.valid), ("rate", history.rate)):
        assert found[tag] == [(step + 1, pytest.approx(value, rel=1e-6)) for step, value in enumerate(values)]


def counted_threads(short):
    """Train on a random problem; return the numbers of threads seen in steps and in validation."""
    model = torch.nn.Linear(64, 64)
    in_steps, in_validation = [], []

    def loss(batch):
        in_steps.append(torch.get_num_threads())
        return model(batch).square().mean()

    def valid():
        in_validation.append(torch.get_num_threads())
        return 0.0

    before = torch.get_num_threads()
    with threads(2):
        fit(
            model,
            torch.optim.SGD(model.parameters(), lr=0.1),
            batches=lambda epoch: [torch.ones(32 if short else 4_000_000 // 64, 64)] * 3,
            loss=loss,
            valid=valid,
            run=RunContext(),
            schedule=Schedule(epochs=2),
        )
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == before
    return in_steps, in_validation


def test_short_steps_run_on_one_thread_and_validation_on_all(monkeypatch):
    assert counted_threads(short=True) == ([1] * 6, [2, 2])
    monkeypatch.setattr(step_threads, "SHORT", 1e8)
    assert counted_threads(short=False) == ([1, 2, 2, 2, 2, 2], [2, 2])
