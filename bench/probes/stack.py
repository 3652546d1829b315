"""Train many small networks of the same shape in one batch: stacked weights, one Adam optimizer.

All members use the same rows and random numbers in a step. So the result of a member does not depend on the other
members, and members that differ only in learning rate or L2 have the same input, so their first layers are one
matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from bench.probes.configs import Member

if TYPE_CHECKING:
    import torch

_BETAS, _EPSILON = (0.9, 0.999), 1e-8


class Stack:
    """M networks with the same shape; the first axis of all tensors in `weights` is the member."""

    def __init__(
        self, members: Sequence[Member], shape: tuple[int, ...], outputs: int, *, seed: int, device: str, mixture: bool
    ) -> None:
        """Draw initial weights, uniform in +-1/sqrt(inputs), from `seed`; they are the same for all members."""
        import torch

        self.members = list(members)
        self.device = device
        self.mixture = mixture
        self.step = 0
        generator = torch.Generator().manual_seed(seed)
        widths = [shape[-1], *self.members[0].hidden, outputs]
        self.weights: dict[str, torch.Tensor] = {}
        for level, (inner, outer) in enumerate(pairwise(widths)):
            drawn = torch.rand((outer, inner + 1), generator=generator)
            drawn = (drawn * 2 - 1) / math.sqrt(inner)
            self._add(f"w{level}", drawn[:, :inner])
            self._add(f"b{level}", drawn[:, inner])
        if mixture:
            self._add("mix", torch.zeros(shape[0]))
        self.moments = {name: (torch.zeros_like(w), torch.zeros_like(w)) for name, w in self.weights.items()}
        self.levels = len(widths) - 1
        self._decay: torch.Tensor | None = None

    def _add(self, name: str, one: torch.Tensor) -> None:
        self.weights[name] = one.expand(len(self.members), *one.shape).clone().to(self.device).requires_grad_()

    def groups(self) -> list[tuple[Member, int]]:
        """Return the first member and the size of each group of adjacent members with equal streams."""
        groups = [list(group) for _, group in groupby(self.members, key=lambda m: m.stream)]
        return [(group[0], len(group)) for group in groups]

    def outputs(
        self, inputs: Callable[[Member], torch.Tensor], noise: Sequence[torch.Tensor] | None
    ) -> list[torch.Tensor]:
        """Return the outputs (m, B, L) of each group of members.

        `inputs` returns (B, D) or (B, layers, D) for the first member of a group. `noise` holds uniform random
        numbers (B, width) for the features and for each hidden layer; None disables dropout.
        """
        import torch

        groups = self.groups()
        sizes = [n for _, n in groups]
        # Split each tensor once, so that the backward pass is one concatenation.
        parts = {name: torch.split(w, sizes) for name, w in self.weights.items()}
        out = []
        for i, (first, n) in enumerate(groups):
            x = inputs(first)
            if self.mixture:
                x = torch.einsum("bld,ml->mbd", x, parts["mix"][i].softmax(dim=1))
            if noise is not None and first.input_dropout and first.dropout:
                x = x * _mask(noise[0], x.shape[-2], first.dropout)
            weight, bias = parts["w0"][i], parts["b0"][i][:, None]
            if self.mixture:
                h = torch.baddbmm(bias, x, weight.mT)
            else:
                flat = x @ weight.reshape(-1, x.shape[1]).T
                h = flat.view(len(x), n, -1).transpose(0, 1) + bias
            for level in range(1, self.levels):
                h = h.relu()
                if noise is not None and first.dropout:
                    h = h * _mask(noise[level], h.shape[1], first.dropout)
                h = torch.baddbmm(parts[f"b{level}"][i][:, None], h, parts[f"w{level}"][i].mT)
            out.append(h)
        return out

    def update(self, loss: torch.Tensor, rates: torch.Tensor) -> None:
        """Take one step of Adam on `loss`, the sum over all members; `rates` (M,) are the learning rates."""
        import torch

        names = list(self.weights)
        gradients = torch.autograd.grad(loss, [self.weights[name] for name in names])
        self.step += 1
        first, second = (1 - beta**self.step for beta in _BETAS)
        if self._decay is None:  # a GPU's host would wait for the copy at each step
            self._decay = torch.tensor([m.l2 for m in self.members], device=self.device)
        with torch.no_grad():
            for name, gradient in zip(names, gradients, strict=True):
                weight, (mean, square) = self.weights[name], self.moments[name]
                per_member = (-1,) + (1,) * (weight.dim() - 1)
                gradient.addcmul_(weight, self._decay.view(per_member))
                mean.lerp_(gradient, 1 - _BETAS[0])
                square.mul_(_BETAS[1]).addcmul_(gradient, gradient, value=1 - _BETAS[1])
                scale = (square / second).sqrt_().add_(_EPSILON)
                weight.sub_((mean / scale).mul_((rates / first).view(per_member)))

    def select(self, rows: Sequence[int]) -> None:
        """Continue with only the members at the given positions."""
        import torch

        self.members, self._decay = [self.members[i] for i in rows], None
        index = torch.tensor(rows, device=self.device, dtype=torch.int64)
        self.weights = {k: w.detach()[index].requires_grad_() for k, w in self.weights.items()}
        self.moments = {k: (a[index], b[index]) for k, (a, b) in self.moments.items()}


def _mask(noise: torch.Tensor, rows: int, rate: float) -> torch.Tensor:
    """Return the factors (rows, width) of inverted dropout."""
    return (noise[:rows] >= rate) / (1 - rate)
