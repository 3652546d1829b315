"""Softmax losses over a large catalogue: full without storing logits, sampled, and gBCE.

All take states (M, d), a table (V, d) of competitors, and the target row (M,) of the table at each state; the
score of a competitor is an inner product. All return the mean over the M states.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812

from bench.devices import has_float64

from .memory import chunk

_TINY = 1e-30
"""Below this a probability has lost digits, and its logarithm is computed in another way."""


def full(states: torch.Tensor, table: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy over all competitors, with all logits (M, V) in memory."""
    return F.cross_entropy((states @ table.T).float(), target)


def chunked(
    states: torch.Tensor, table: torch.Tensor, target: torch.Tensor, *, bf16: bool = False, size: int | None = None
) -> torch.Tensor:
    """Cross-entropy over all competitors with `size` bytes of logits at a time: the numbers of `full`.

    The gradient is taken while a chunk's probabilities are at hand, so nothing is computed twice: two
    products with a frozen table, three with a trained one. `bf16` computes the products in bfloat16 and
    is not exact; probabilities and the table's gradient are summed in float32 all the same.
    """
    limit = size or chunk(states.device.type)
    rows = max(1, limit // (4 * len(table)))
    return _Chunked.apply(states, table, target, rows, bf16)  # type: ignore[no-any-return, no-untyped-call]


class _Chunked(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, states: torch.Tensor, table: torch.Tensor, target: torch.Tensor, rows: int, bf16: bool
    ) -> torch.Tensor:
        dtype = torch.bfloat16 if bf16 else torch.float32
        with torch.autocast(states.device.type, enabled=False):
            return _Chunked._forward(ctx, states.to(dtype), table.to(dtype), target, rows, states.dtype)

    @staticmethod
    def _forward(
        ctx: Any, h: torch.Tensor, table: torch.Tensor, target: torch.Tensor, rows: int, dtype: torch.dtype
    ) -> torch.Tensor:
        needs_states, needs_table = ctx.needs_input_grad[:2]
        wide = _wide(h.device)
        total = torch.zeros((), dtype=wide, device=h.device)
        grad_h = torch.empty_like(h, dtype=torch.float32) if needs_states else None
        grad_table = torch.zeros_like(table, dtype=torch.float32) if needs_table else None
        space = torch.empty(min(rows, len(h)) * len(table), dtype=h.dtype, device=h.device)
        for start in range(0, len(h), rows):
            part, found = h[start : start + rows], target[start : start + rows]
            p = space[: len(part) * len(table)].view(len(part), len(table))
            torch.mm(part, table.T, out=p)
            at = found[:, None]
            own = p.gather(1, at).squeeze(1).float()
            # A bfloat16 probability has 8 bits: its row is summed from float32 and rounded once.
            p = torch.softmax(p, 1, out=p) if p.dtype == torch.float32 else torch.softmax(p, 1, dtype=torch.float32)
            chance = p.gather(1, at).squeeze(1)
            loss = -chance.to(wide).log()
            tiny = chance < _TINY  # too small for digits: measured from the likeliest competitor instead
            if h.device.type != "cpu" or bool(tiny.any()):  # a GPU's host would wait for the answer
                most, best = p.max(1)
                anchor = (part.float() * table[best].float()).sum(1)
                loss = torch.where(tiny, (anchor - own).to(wide) - most.to(wide).log(), loss)
            total += loss.sum()
            if grad_h is None and grad_table is None:
                continue
            p.scatter_add_(1, at, p.new_full(at.shape, -1.0))
            p = p.to(h.dtype)
            if grad_h is not None:
                grad_h[start : start + rows] = p @ table
            if grad_table is not None:
                if h.dtype == torch.float32:
                    grad_table.addmm_(p.T, part)
                else:
                    grad_table += p.T @ part
        scale = 1.0 / max(len(h), 1)
        ctx.save_for_backward(
            *(None if g is None else g.mul_(scale).to(dtype if g is grad_h else g.dtype) for g in (grad_h, grad_table))
        )
        return (total * scale).float()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None, None]:
        grad_h, grad_table = ctx.saved_tensors
        # In place: the table's gradient may be the largest array there is, and a loss is differentiated once.
        return (
            None if grad_h is None else grad_h.mul_(grad.to(grad_h.dtype)),
            None if grad_table is None else grad_table.mul_(grad),
            None,
            None,
            None,
        )


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
    wide = _wide(states.device)
    negative = F.softplus(others.to(wide)).masked_fill(hit, 0.0).sum(1)
    return ((beta * F.softplus(-own.to(wide)) + negative) / (len(drawn) + 1)).mean().float()


def _wide(device: torch.device) -> torch.dtype:
    """Return the type of sums: float64, or float32 on a device that has no float64."""
    return torch.float64 if has_float64(str(device)) else torch.float32
