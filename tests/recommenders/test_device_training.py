"""Every recommender on a pretended GPU: the numbers of the CPU, checkpoints, budgets of waits, and no float64."""

import gc

import numpy as np
import pytest
import torch

from bench.protocols import RunContext, Shape
from bench.registry import create, get, missing_libraries, names
from bench.run.recommend.validation import Validation
from bench.testing import RecommenderContract
from bench.testing.pretend_device import NAME, pretend_device
from bench_recommenders import _negatives as negatives

TINY = "width=16,ffn=16,max_len=20,batch=32,dropout=0"
STEPWISE = {
    "bert4rec": TINY,
    "bpr": "factors=16",
    "elsa": "factors=16",
    "sasrec": TINY,
    "shallow": "hidden=8,batch=1000",
}
"""Models that are trained by steps, with small settings; dropout would differ, as batches are grouped otherwise."""
AT_ONCE = {
    "ease": "ease",
    "ials": "ials:factors=8,threads=1,iterations=3",
    "itemknn": "itemknn:neighbours=20",
    "knn": "knn",
    "popularity": "popularity",
    "random": "random",
}
TOLERANCE = {
    "bert4rec": 1e-3,  # groups of other lengths: sums in another order
    "bpr": 1e-4,  # gradients are summed in another order
    "ease": 1e-6,  # the inverse is torch's, not scipy's
    "itemknn": 1e-6,  # sums in float64
    "knn": 1e-6,  # products by torch
    "sasrec": 1e-3,
    "shallow": 1e-4,
}
"""Largest difference of scores, relative to their range; 0 for the others."""


def fitted(spec, device="cpu", lane="corrected", folder=None):
    """Return a recommender that is trained on the contract's data, and those data."""
    contract = type("Contract", (RecommenderContract,), {"spec": spec, "lane": lane})()
    if missing := missing_libraries(get("recommenders", spec.partition(":")[0])):
        pytest.skip(f"needs {', '.join(missing)}")
    model, run = contract.make(), RunContext(seed=0, device=device, folder=folder, log=lambda _: None)
    model.fit(contract._train(), contract._table(), valid=Validation(contract._split, None, 10, 10, 0), run=run)
    return model, contract


def scores(model, contract, **more):
    found = model.score(contract._all, **more)
    return np.array(found.cpu() if isinstance(found, torch.Tensor) else found)


def assert_close(found, expected, tolerance):
    known = np.isfinite(expected)
    np.testing.assert_array_equal(np.isfinite(found), known)
    assert np.abs(found[known] - expected[known]).max() <= tolerance * np.ptp(expected[known])


@pytest.fixture
def exact(monkeypatch):
    """Train in float32 with the draws of a GPU."""
    real = torch.autocast
    monkeypatch.setattr(torch, "autocast", lambda kind, *_args, **_more: real(kind, enabled=False))
    monkeypatch.setattr(negatives, "_redraw", negatives._redraw_all)


def test_no_recommender_is_forgotten():
    # RecBole trains in a process of its own, which sees real devices only.
    assert set(names("recommenders")) == {*STEPWISE, *AT_ONCE, "recbole"}


@pytest.mark.parametrize("name", [*STEPWISE, *AT_ONCE])
def test_scores_are_those_of_the_cpu(name, exact):
    spec = AT_ONCE.get(name) or f"{name}:epochs=1,{STEPWISE[name]}"
    expected = scores(*fitted(spec))
    with pretend_device():
        model, contract = fitted(spec, NAME)
        assert_close(scores(model, contract), expected, TOLERANCE.get(name, 0))
        known = contract._train()
        model.update_history(known)
        assert_close(scores(model, contract), expected, TOLERANCE.get(name, 0))


WAITS = [
    ("bert4rec", "corrected", 2),  # before: 6
    ("bert4rec", "published", 2),  # before: 1, and 1 for each batch of validation users
    ("bpr", "corrected", 2),  # before: 4, and 11 for each step
    ("elsa", "corrected", 2),  # before: 5, and 3 for each step
    ("sasrec", "corrected", 2),  # before: 6
    ("shallow", "corrected", 2),  # before: 4, and 22 for each step
    ("shallow", "published", 2),  # before: 3, 3 for each step, and 3 for each batch of validation pairs
]
"""Waits of an epoch: one for its loss, and one for the lists or the loss of its validation."""


@pytest.mark.parametrize(("name", "lane", "budget"), WAITS)
def test_the_host_waits_for_epochs_not_for_steps(name, lane, budget):
    small = STEPWISE[name]
    if lane == "published":
        small = {"bert4rec": f"{small},judged=2", "shallow": "patience=10"}[name]
    waits = []
    with pretend_device() as log:
        for epochs in (1, 2):
            log.clear()
            model, contract = fitted(f"{name}:epochs={epochs},{small}", NAME, lane)
            waits.append(log.total)
        assert waits[1] - waits[0] == budget
        log.clear()
        model.score(contract._all)
        assert log.total == 0  # before: 1 to 5, most for indices
        assert log.queued.total() <= 2


@pytest.mark.parametrize(
    ("spec", "waits"),
    [
        ("ease", 1),  # whether the matrix is singular
        ("itemknn:neighbours=20", 0),
        ("knn", 0),
        ("knn:profile=max,weight=count", 0),
    ],
)
def test_models_without_steps_score_without_waiting(spec, waits):
    expected = scores(*fitted(spec))
    with pretend_device() as log:
        model, contract = fitted(spec, NAME)
        assert log.total == waits
        log.clear()
        found = model.score(contract._all)
        assert log.total == 0
        assert log.launches > 0
        assert_close(np.array(found.cpu()), expected, 1e-6)


def test_a_batch_of_sequences_is_one_copy():
    with pretend_device() as log:
        model, _ = fitted(f"sasrec:epochs=1,{STEPWISE['sasrec']}", NAME)
        log.clear()
        batch = model._train_batch(np.arange(40), NAME)
        assert len(batch.groups) > 1
        assert (log.total, log.queued.total()) == (0, 1)  # before: 4, and up to 3 for each group


@pytest.mark.parametrize("name", STEPWISE)
def test_training_resumes_from_a_checkpoint_of_the_device(name, tmp_path):
    folder = tmp_path / "run" / "seed"
    with pretend_device():
        whole = scores(*fitted(f"{name}:epochs=2,{STEPWISE[name]}", NAME))
        fitted(f"{name}:epochs=1,{STEPWISE[name]}", NAME, folder=folder)
        model, contract = fitted(f"{name}:epochs=2,{STEPWISE[name]}", NAME, folder=folder)
        assert len(model.history.loss) == 2
        np.testing.assert_array_equal(scores(model, contract), whole)


@pytest.mark.parametrize("name", [*STEPWISE, *AT_ONCE])
def test_a_device_without_float64_trains(name):
    plateau = {"bert4rec": ",plateau=1", "sasrec": ",plateau=1"}.get(name, "")
    with pretend_device(float64=False):
        model, contract = fitted(AT_ONCE.get(name) or f"{name}:epochs=2,{STEPWISE[name]}{plateau}", NAME)
        assert np.isfinite(scores(model, contract)[:, contract._split.hot]).any()


def test_the_plan_counts_the_table_that_stays_on_a_gpu():
    model = create("recommenders", "sasrec")
    sizes = {"users": 10, "hot": 40, "pairs": 100, "width": 8, "lengths": np.full(10, 10)}
    few, many = (model.plan(Shape(**sizes, items=items, device="cuda")).bytes for items in (50, 1050))
    assert many - few == 4 * 8 * 1000


@pytest.mark.parametrize("name", ["bert4rec", "sasrec", "shallow", "knn"])
def test_another_table_is_copied_once_and_kept_as_long_as_it_lives(name):
    with pretend_device() as log:
        model, contract = fitted(f"{name}:epochs=1,{STEPWISE[name]}" if name in STEPWISE else name, NAME)
        gc.collect()
        before = log.alive()
        other = contract._table()
        first = scores(model, contract, items=other)
        log.clear()
        np.testing.assert_array_equal(scores(model, contract, items=other), first)
        assert log.queued.total() <= 2  # the users, and their histories
        assert log.waits.keys() == {("to host", "test_device_training.py:scores")}
        del other
        gc.collect()
        assert log.alive() == before
