import math

import pytest
import torch
from torch.nn import functional as F

from bench.training.chunked_softmax import chunked
from bench_recommenders.sequential import losses


def setting(m=37, v=101, d=8, scale=1.0, seed=0):
    torch.manual_seed(seed)
    states = (torch.randn(m, d) * scale).requires_grad_()
    table = torch.randn(v, d).requires_grad_()
    return states, table, torch.randint(v, (m,))


def gradients(value, *inputs):
    return torch.autograd.grad(value, inputs)


@pytest.mark.parametrize("rows", [1, 7, 37, 1000])
def test_chunked_is_full_with_its_gradients(rows):
    states, table, target = setting()
    one = losses.full(states, table, target)
    two = chunked(states, table, target, size=rows * 4 * len(table))
    assert two.item() == pytest.approx(one.item(), rel=1e-6)
    for a, b in zip(gradients(3 * one, states, table), gradients(3 * two, states, table), strict=True):
        assert (a - b).abs().max() <= 1e-5 * a.abs().max()


def test_a_frozen_table_gets_no_gradient_and_costs_none():
    states, table, target = setting()
    value = chunked(states, table.detach(), target)
    (found,) = gradients(value, states)
    (wanted,) = gradients(losses.full(states, table.detach(), target), states)
    assert torch.allclose(found, wanted, atol=1e-7)


def test_targets_of_tiny_probability_have_an_exact_loss():
    states, table, target = setting(scale=60.0)
    one, two = (f(states, table, target) for f in (losses.full, chunked))
    assert one.item() > 100  # probabilities underflow
    assert two.item() == pytest.approx(one.item(), rel=1e-6)


def test_bfloat16_is_near_and_not_exact():
    states, table, target = setting(m=200, d=64, scale=0.3)
    one, two = losses.full(states, table, target), chunked(states, table, target, bf16=True)
    assert one.item() != two.item()
    assert two.item() == pytest.approx(one.item(), rel=1e-2)
    for a, b in zip(gradients(one, states, table), gradients(two, states, table), strict=True):
        assert (a - b).norm() <= 0.02 * a.norm()


def test_sampling_everything_once_is_the_full_softmax():
    states, table, target = setting()
    everything = torch.arange(len(table))
    one = losses.full(states, table, target)
    two = losses.sampled(states, table, target, everything, torch.zeros(len(table)))
    assert two.item() == pytest.approx(one.item(), rel=1e-6)
    for a, b in zip(gradients(one, states, table), gradients(two, states, table), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_uniform_sampling_with_its_correction_comes_near_the_full_softmax():
    states, table, target = setting(scale=0.5)
    drawn = torch.randint(len(table), (20_000,))
    log_expected = torch.full((len(drawn),), math.log(len(drawn) / len(table)))
    found = losses.sampled(states, table, target, drawn, log_expected)
    assert found.item() == pytest.approx(losses.full(states, table, target).item(), rel=0.01)
    uncorrected = losses.sampled(states, table, target, drawn, torch.zeros(len(drawn)))
    assert uncorrected.item() > found.item() + 3


@pytest.mark.parametrize("t", [0.0, 0.75, 1.0])
def test_gbce_is_binary_cross_entropy_of_the_transformed_score(t):
    states, table, target = setting()
    drawn = torch.randperm(len(table))[:20]
    found = losses.gbce(states, table, target, drawn, t)
    # As published: p -> log(1 / (p^-beta - 1)) in float64, then the usual loss, target and negatives alike.
    alpha = len(drawn) / (len(table) - 1)
    beta = alpha * (t * (1 - 1 / alpha) + 1 / alpha)
    scores = (states @ table.T).double()
    own = scores.gather(1, target[:, None])
    own = -torch.log(torch.sigmoid(own) ** -beta - 1)
    logits = torch.cat([own, scores[:, drawn]], 1)
    labels = torch.zeros_like(logits)
    labels[:, 0] = 1.0
    each = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    each[:, 1:][drawn[None] == target[:, None]] = 0.0
    assert found.item() == pytest.approx(each.mean().item(), rel=1e-6)


def test_gbce_stays_finite_where_the_transform_overflows():
    states, table, target = setting(scale=200.0)
    value = losses.gbce(states, table, target, torch.arange(20), 0.75)
    assert math.isfinite(value.item())
    assert all(g.isfinite().all() for g in gradients(value, states, table))
