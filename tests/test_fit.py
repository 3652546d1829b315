import json

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.fit import Schedule, fit
from bench.protocols import RunContext


def train(folder=None, *, epochs=6, patience=None, scores=None, stop_after=None, seed=0, deadline=None):
    """Least squares on a line; `scores` replaces the validation value by a script."""
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

    run = RunContext(seed=seed, folder=folder, deadline=deadline)
    history = fit(
        model, optimizer, batches=batches, loss=loss, valid=valid, run=run, schedule=Schedule(epochs, patience)
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
    for path in tmp_path.iterdir():
        assert path.suffix == ".safetensors"
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


def test_a_damaged_checkpoint_is_named(tmp_path):
    train(tmp_path, epochs=1)
    (tmp_path / "last.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00garbage")
    with pytest.raises(BenchError, match="does not fit this model"):
        train(tmp_path, epochs=2)
