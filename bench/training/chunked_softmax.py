"""Softmax cross-entropy over many classes, without all logits in memory at once."""

from __future__ import annotations

from typing import Any

import torch

from bench.devices import has_float64

CHUNK_CPU, CHUNK_GPU = 192 << 20, 1 << 30
"""Bytes of logits in memory at a time. Smaller chunks read the table more often."""
_TINY = 1e-30
"""Below this a probability has lost digits, and its logarithm is computed in another way."""


def chunk(device: str) -> int:
    """Return the bytes of logits that the loss holds at a time on a device, such as ``cuda:1``."""
    return CHUNK_CPU if device == "cpu" else CHUNK_GPU


def chunked(
    states: torch.Tensor, table: torch.Tensor, target: torch.Tensor, *, bf16: bool = False, size: int | None = None
) -> torch.Tensor:
    """Return the mean cross-entropy over all rows of a table, with `size` bytes of logits at a time.

    States are (M, d), the table (V, d), target rows (M,); the numbers are those of torch's ``cross_entropy``.

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
        wide = sum_type(h.device)
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


def sum_type(device: torch.device) -> torch.dtype:
    """Return the type of sums: float64, or float32 on a device that has no float64."""
    return torch.float64 if has_float64(str(device)) else torch.float32
