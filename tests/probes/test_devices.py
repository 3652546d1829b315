"""Probes on a pretended GPU: the predictions of the CPU, and no step for which the host waits."""

import numpy as np
import pytest

from bench.probes import probe, resolve_probe
from bench.probes.configs import Member, Schedule
from bench.probes.features import Features
from bench.probes.objective import Objective
from bench.probes.train import StackTrainer
from bench.protocols import RunContext
from bench.testing.pretend_device import NAME, pretend_device


def predicted(data, spec, device):
    return probe(data, resolve_probe(spec), seed=0, run=RunContext(device=device, log=lambda _: None)).prediction


@pytest.mark.parametrize("float64", [True, False])
@pytest.mark.parametrize("kind", ["tags", "classes", "keys", "values"])
@pytest.mark.parametrize("spec", ["linear", "quick", "knn", "mir_ref"])
def test_predictions_are_those_of_the_cpu(few, kind, spec, float64):
    data = few.data(kind)
    expected = predicted(data, spec, "cpu")
    with pretend_device(float64=float64):
        found = predicted(data, spec, NAME)
    # Without float64, the linear part is solved in float32.
    np.testing.assert_allclose(found, expected, atol=0 if float64 else 0.02 * np.ptp(expected))


def test_training_waits_for_no_step(few):
    data = few.data("classes")
    members = [Member(hidden=(8,), dropout=rate, l2=l2) for rate in (0.25, 0.5) for l2 in (0.0, 1e-3)]
    waits = []
    with pretend_device() as log:
        run = RunContext(device=NAME, log=lambda _: None)
        features, objective = Features(data, NAME), Objective(data, NAME)
        for every in (10, 20):
            schedule = Schedule(every=every, patience=100, limit=3)
            trainer = StackTrainer(members, features, objective, schedule, seed=0, run=run)
            log.clear()
            trainer.train()
            waits.append(log.total)
            assert trainer.stack.step == 3 * every
    # 30 and 60 steps with 4 validations. Before, a step waited 5 times: its rows, random numbers for two layers,
    # learning rates and weight decays were copied to the device.
    assert max(waits) <= 17
