import json
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.formats.sealed import write_sealed
from bench.probes import probe, resolve_probe
from bench.probes.checkpoint import Checkpoint
from bench.probes.configs import Member, Schedule, stacks
from bench.probes.features import Features
from bench.probes.objective import Objective
from bench.probes.presets import grid
from bench.probes.search import search
from bench.probes.train import StackTrainer
from bench.protocols import RunContext

MEMBERS = [
    Member(hidden, scale, batch, lr, l2, dropout)
    for hidden in ((), (12,))
    for scale, batch, lr, l2, dropout in (
        (True, 64, 1e-2, 0.0, 0.5),
        (True, 256, 1e-2, 1e-3, 0.5),
        (True, 64, 1e-3, 0.0, 0.5),
        (False, 64, 1e-2, 0.0, 0.0),
        (False, 256, 1e-3, 1e-4, 0.25),
    )
]
SCHEDULE = Schedule(every=8, patience=5, limit=10)


def found(data, members=MEMBERS, schedule=SCHEDULE, seed=0, run=None):
    return search(data, members, schedule, seed=seed, run=run or RunContext())


def test_the_same_seed_gives_the_same_numbers(planted):
    data = planted.data("tags")
    first, again, other = found(data), found(data), found(data, seed=1)
    np.testing.assert_array_equal(first.prediction, again.prediction)
    assert first.searched == again.searched
    assert (first.prediction != other.prediction).any()


@pytest.mark.parametrize("kind", ["tags", "values"])
def test_other_members_do_not_change_a_member(planted, kind):
    data = planted.data(kind)
    together = found(data)
    alone = [found(data, [member]).searched[0] for member in MEMBERS]
    for row, single in zip(together.searched, alone, strict=True):
        assert row["validation"] == pytest.approx(single["validation"], abs=2e-3)
        assert row["hidden"] == single["hidden"]
    assert together.validation == max(row["validation"] for row in together.searched)


def test_a_member_equals_torch_linear_and_adam(planted):
    """Compare twenty steps of one member without dropout with nn.Linear, autograd and torch.optim.Adam."""
    data = planted.data("classes")
    member = Member((7,), scale=False, batch=32, lr=1e-2, l2=1e-2)
    features, objective = Features(data, "cpu"), Objective(data)
    trainer = StackTrainer(
        [member], features, objective, Schedule(every=10, patience=99, limit=2), seed=3, run=RunContext()
    )
    net = torch.nn.Sequential(torch.nn.Linear(16, 7), torch.nn.ReLU(), torch.nn.Linear(7, 5))
    with torch.no_grad():
        for parameter, name in zip(net.parameters(), ("w0", "b0", "w1", "b1"), strict=True):
            parameter.copy_(trainer.stack.weights[name][0])
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2, weight_decay=1e-2)
    x, y = torch.from_numpy(data.x["train"]), torch.from_numpy(data.y["train"])
    for _ in range(20):
        rows, noise = trainer._draw()
        assert noise is None
        assert len(rows.unique()) == 32
        trainer._step()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
        optimizer.step()
    for parameter, name in zip(net.parameters(), ("w0", "b0", "w1", "b1"), strict=True):
        torch.testing.assert_close(parameter, trainer.stack.weights[name][0], atol=1e-5, rtol=1e-4)


def test_an_epoch_shows_every_row_once(planted):
    data = planted.data("values")
    trainer = StackTrainer(
        [Member(batch=64)],
        Features(data, "cpu"),
        Objective(data),
        Schedule(None, rows="epoch"),
        seed=0,
        run=RunContext(),
    )
    seen = []
    for step in range(16):
        trainer.stack.step = step
        seen.append(trainer._draw()[0])
    first, second = torch.cat(seen[:8]), torch.cat(seen[8:])
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(500))
    assert first.tolist() != second.tolist()


class Interrupted(BaseException):
    """A BaseException, as KeyboardInterrupt is."""


def test_an_interrupted_search_resumes(planted, tmp_path, monkeypatch):
    data = planted.data("tags")
    uninterrupted = found(data)
    monkeypatch.setattr("bench.probes.checkpoint._SECONDS", 0.0)
    steps, attempts, resumed = 0, 0, None
    step = StackTrainer._step

    def interrupted(trainer):
        nonlocal steps
        steps += 1
        if steps % 29 == 0 and resumed is None:
            raise Interrupted
        step(trainer)

    monkeypatch.setattr(StackTrainer, "_step", interrupted)
    run = RunContext(folder=tmp_path)
    while resumed is None:
        attempts += 1
        with suppress(Interrupted):
            resumed = found(data, run=run)
    assert attempts > 2
    np.testing.assert_array_equal(uninterrupted.prediction, resumed.prediction)
    assert uninterrupted.searched == resumed.searched
    before = steps
    assert found(data, run=run).searched == uninterrupted.searched
    assert steps == before  # everything was in the checkpoint
    found(data, run=run, seed=1, members=MEMBERS[:1], schedule=replace(SCHEDULE, limit=1))
    assert steps > before  # another seed is another search
    assert not list(tmp_path.glob(".tmp-*"))


def test_a_damaged_checkpoint_is_left_aside_and_another_probes_is_refused(planted, tmp_path):
    from bench.errors import BenchError

    data = planted.data("tags")
    trainer = StackTrainer(MEMBERS[:1], Features(data, "cpu"), Objective(data), SCHEDULE, seed=0, run=RunContext())
    path = tmp_path / "probe.safetensors"
    path.write_bytes(b"not a tensor")
    before = trainer.stack.weights
    Checkpoint(trainer, path)
    assert trainer.stack.weights is before
    write_sealed(path, {"x": torch.zeros(2)}, {"step": 1})
    with pytest.raises(BenchError, match="Remove it"):
        Checkpoint(trainer, path)


def test_a_deadline_returns_the_best_so_far(planted, tmp_path):
    late = RunContext(deadline=0.0, folder=tmp_path)
    outcome = found(planted.data("tags"), run=late)
    assert {row["stopped"] for row in outcome.searched} == {"deadline"}
    assert outcome.prediction.shape == (400, 8)
    assert found(planted.data("tags"), run=RunContext(folder=tmp_path)).validation > outcome.validation


def test_divergence_stops_a_member_and_not_the_search(planted):
    data = planted.data("values")
    diverging = Member(scale=False, lr=3e38)
    outcome = found(data, [diverging, MEMBERS[0]])
    assert outcome.searched[0]["stopped"] == "diverged"
    assert outcome.settings["lr"] == 1e-2
    assert np.isfinite(outcome.prediction).all()
    json.dumps([outcome.settings, outcome.searched], allow_nan=False)


def test_plateaus_lower_the_rate_and_loss_can_be_watched(planted):
    data = planted.data("classes")
    schedule = Schedule(None, patience=12, limit=60, rows="epoch", plateau=(0.5, 1), watch="loss")
    trainer = StackTrainer([MEMBERS[0]], Features(data, "cpu"), Objective(data), schedule, seed=0, run=RunContext())
    trainer.train()
    state = trainer.states[0]
    assert state.stopped in ("patience", "limit")
    assert state.watched < 0 < state.best
    assert state.rate < 1


def test_the_grid_is_the_published_one():
    members = grid()
    assert len(set(members)) == 216
    assert len(stacks([m for m in members if not m.hidden], 1024, 50)) == 1  # one batched problem
    cut = stacks(members, 1024, 50)
    assert sorted(i for stack in cut for i in stack) == list(range(216))
    assert all(len({members[i].hidden for i in stack}) == 1 for stack in cut)
    assert max(len(stack) for stack in stacks(members, 4800, 50, weights=1)) == 1


def test_the_linear_half_of_the_grid_runs(planted):
    outcome = probe(
        planted.data("classes"), resolve_probe("jukemir:half=linear,validations=15"), seed=0, run=RunContext()
    )
    assert len(outcome.searched) == 108
    assert outcome.validation == max(row["validation"] for row in outcome.searched)
    first = next(row for row in outcome.searched if row["validation"] == outcome.validation)
    assert {k: outcome.settings[k] for k in ("lr", "l2", "dropout", "batch", "scale")} == {
        k: first[k] for k in ("lr", "l2", "dropout", "batch", "scale")
    }
    assert all(row["step"] <= 120 for row in outcome.searched)
