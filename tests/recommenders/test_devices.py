"""Trainings on a pretended GPU: the host waits for no step, and the numbers are those of the CPU."""

import numpy as np
import pytest
import torch

from bench.protocols import RunContext
from bench.run.recommend.validation import Validation
from bench.testing import RecommenderContract
from bench.testing.pretend_device import NAME, pretend_device
from bench.training.chunked_softmax import chunked
from bench_recommenders.sequential import losses


def trained(spec, device, epochs):
    """Return the scores of all users after training for some epochs, and how training ended."""
    contract = type(
        "Contract", (RecommenderContract,), {"spec": f"{spec}{',' if ':' in spec else ':'}epochs={epochs}"}
    )()
    model, run = contract.make(), RunContext(seed=0, device=device, log=lambda _: None)
    model.fit(contract._train(), contract._table(), valid=Validation(contract._split, None, 10, 10, 0), run=run)
    scores = model.score(contract._all)
    return np.array(scores.cpu() if isinstance(scores, torch.Tensor) else scores), run.trained


@pytest.fixture
def exact(monkeypatch):
    """Train in float32, as on a CPU; a GPU trains in bfloat16 where a schedule does not say otherwise."""
    real = torch.autocast
    monkeypatch.setattr(torch, "autocast", lambda kind, *_args, **_more: real(kind, enabled=False))


SEQUENTIAL = ["bert4rec:dropout=0", "sasrec:dropout=0", "sasrec:dropout=0,loss=sampled", "bert4rec:dropout=0,loss=gbce"]
"""Without dropout, because batches are grouped otherwise on a GPU, so that other numbers would be dropped."""


@pytest.mark.parametrize("spec", SEQUENTIAL)
def test_sequence_models_learn_the_same_and_wait_for_no_step(spec, exact):
    expected, _ = trained(spec, "cpu", 1)
    waits = []
    with pretend_device() as log:
        for epochs in (1, 2):
            log.clear()
            found, told = trained(spec, NAME, epochs)
            waits.append(log.total)
            if epochs == 1:
                gap = np.abs(found - expected)[np.isfinite(expected)].max()
                # Batches are grouped otherwise on a GPU, so sums have another order.
                assert gap < 1e-3 * np.ptp(expected[np.isfinite(expected)])
    # A second epoch has as many steps as the first; its waits are those of one validation and the epoch's loss.
    # Before, each step of a sampled loss copied its draws, and each chunk of a loss asked for small chances; then 6.
    assert waits[1] - waits[0] == 2
    assert told["epochs"] == 2


def test_the_chunked_loss_does_not_wait_for_a_chunk():
    torch.manual_seed(0)
    states, table, target = 30 * torch.randn(20, 8), torch.randn(50, 8), torch.randint(50, (20,))
    wanted = losses.full(states, table, target)
    with pretend_device() as log:
        given = [each.to(NAME) for each in (states, table, target)]
        log.clear()
        found = chunked(*given, size=4 * 4 * 50)
        assert log.total == 0  # before: one for each of five chunks, and more where chances are small
        assert found.item() == pytest.approx(wanted.item(), rel=1e-6)


@pytest.mark.parametrize("loss", ["sampled", "gbce", "chunked"])
def test_losses_work_without_float64(loss):
    with pretend_device(float64=False):
        _, told = trained(f"sasrec:dropout=0,loss={loss}", NAME, 1)
    assert told["epochs"] == 1
