"""Softmax losses over a large catalogue: full, sampled, and gBCE.

All take states (M, d), a table (V, d) of competitors, and the target row (M,) of the table at each state; the
score of a competitor is an inner product. All return the mean over the M states.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F  # noqa: N812

from bench.training.chunked_softmax import sum_type


def full(states: torch.Tensor, table: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy over all competitors, with all logits (M, V) in memory."""
    return F.cross_entropy((states @ table.T).float(), target)


def sampled(
    states: torch.Tensor, table: torch.Tensor, target: torch.Tensor, drawn: torch.Tensor, log_expected: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy against the target and `drawn` competitors (K,), shared by all states.

    `log_expected` (K,) is the logarithm of how often each drawn row was expected among the K. Taking it
    off the scores makes the sum over drawn rows an unbiased estimate of the sum over all others (Bengio &
    Senécal 2008); a drawn row that is the target itself is left out. The target is always there, once, so
    its own score stays as it is.
    """
    own = (states * table[target]).sum(1, keepdim=True)
    others = states @ table[drawn].T - log_expected
    others = others.masked_fill(drawn[None] == target[:, None], -math.inf)
    return F.cross_entropy(torch.cat([own, others], 1).float(), target.new_zeros(len(target)))


def gbce(
    states: torch.Tensor, table: torch.Tensor, target: torch.Tensor, drawn: torch.Tensor, calibration: float
) -> torch.Tensor:
    """Return the generalised binary cross-entropy of gSASRec (Petrov & Macdonald, RecSys 2023).

    The probability of the target is raised to the power beta, ``beta = alpha (t (1 - 1/alpha) + 1/alpha)``
    with ``alpha = K / (V - 1)`` and t the `calibration`; drawn rows (K,) are shared by all states. The
    original transforms the score so that its logistic is sigma(s)^beta, in double precision; here
    -log sigma(s)^beta = beta softplus(-s) is taken directly, in float64.
    """
    alpha = len(drawn) / max(len(table) - 1, 1)
    beta = alpha * (calibration * (1 - 1 / alpha) + 1 / alpha)
    own = (states * table[target]).sum(1)
    others = states @ table[drawn].T
    hit = drawn[None] == target[:, None]
    wide = sum_type(states.device)
    negative = F.softplus(others.to(wide)).masked_fill(hit, 0.0).sum(1)
    return ((beta * F.softplus(-own.to(wide)) + negative) / (len(drawn) + 1)).mean().float()
