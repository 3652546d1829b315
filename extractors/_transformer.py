"""Parts of transformers for inference: linear maps, norms, attention, feed-forward nets, blocks.

Weights come in a dict of tensors, from which each part takes its own. Matrix products run in `dtype`,
everything between them (norms, residual sums) in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch.nn import functional as F  # noqa: N812

Tensors = dict[str, torch.Tensor]
Activation = Literal["none", "gelu", "relu"]
_AFTER: dict[Activation, Callable[[torch.Tensor], torch.Tensor]] = {
    "none": lambda x: x,
    "gelu": F.gelu,
    "relu": F.relu,
}


class Linear:
    """x W' + b, then an activation; inputs are rounded to `dtype`.

    On a CPU, float32 weights are laid out once for oneDNN, which multiplies with the widest instructions of the
    processor; MKL does not on every processor (2.3 times slower on an AMD EPYC with AVX-512).
    """

    def __init__(
        self, weight: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype, activation: Activation = "none"
    ):
        self.dtype, self.activation, self.bias = dtype, activation, None if bias is None else bias.to(dtype)
        self._packed = _packed(weight) if dtype == torch.float32 else None
        self.weight = None if self._packed is not None else weight.to(dtype)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., inputs) to (..., outputs) of `dtype`."""
        if self.weight is None:
            y: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
                x, self._packed, self.bias, self.activation, [], "none"
            )
            return y
        return _AFTER[self.activation](F.linear(x.to(self.dtype), self.weight, self.bias))


def linear(tensors: Tensors, *names: str, dtype: torch.dtype, activation: Activation = "none") -> Linear:
    """Take ``NAME.weight`` and, if it exists, ``NAME.bias``; several names make one map with concatenated outputs."""
    weights = [tensors.pop(f"{name}.weight") for name in names]
    biases = [tensors.pop(f"{name}.bias") for name in names if f"{name}.bias" in tensors]
    if len(names) == 1:
        return Linear(weights[0], biases[0] if biases else None, dtype, activation)
    return Linear(torch.cat(weights), torch.cat(biases) if biases else None, dtype, activation)


def _packed(weight: torch.Tensor) -> torch.Tensor | None:
    """Lay a matrix out for oneDNN; None where this build of torch cannot."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    try:
        with torch.inference_mode():
            packed: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), None)
            torch.ops.mkldnn._linear_pointwise(weight.new_zeros(1, weight.shape[1]), packed, None, "none", [], "")
            return packed
    except (AttributeError, RuntimeError):  # private operators, which other builds may lack
        return None


class Norm:
    """Layer normalisation over the last axis, in float32 (Ba et al. 2016); without tensors, no gain and no bias."""

    def __init__(self, tensors: Tensors | None, name: str, width: int, eps: float = 1e-5):
        self.weight = None if tensors is None else tensors.pop(f"{name}.weight").float()
        self.bias = None if tensors is None else tensors.pop(f"{name}.bias").float()
        self.shape, self.eps = (width,), eps

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise (..., width)."""
        return F.layer_norm(x.float(), self.shape, self.weight, self.bias, self.eps)


class Attention:
    """Multi-head self-attention (Vaswani et al. 2017), logits scaled by 1 / sqrt(width of a head).

    names : of the projections of queries, keys and values, or of one for all three; then of the output
    """

    def __init__(
        self,
        tensors: Tensors,
        name: str,
        heads: int,
        dtype: torch.dtype,
        names: Sequence[str] = ("q_proj", "k_proj", "v_proj", "out_proj"),
    ):
        self.heads = heads
        self.project = linear(tensors, *(f"{name}.{part}" for part in names[:-1]), dtype=dtype)
        self.out = linear(tensors, f"{name}.{names[-1]}", dtype=dtype)

    def __call__(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Map (B, T, D) to (B, T, D); `mask` (M, heads, T, T), row b mod M for item b, is added to the logits."""
        parts = self.project(x).view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if mask is None:
            y = F.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        else:
            # The M rows count as heads, so that the mask is not copied for every item.
            rows = (3, -1, len(mask) * self.heads, *parts.shape[3:])
            wide = mask.to(parts.dtype).flatten(0, 1)[None]
            query, key, value = parts.reshape(rows)
            y = F.scaled_dot_product_attention(query, key, value, attn_mask=wide).reshape(parts.shape[1:])
        return self.out(y.transpose(1, 2).flatten(2))


class FeedForward:
    """Two linear maps with an activation between them."""

    def __init__(self, tensors: Tensors, up: str, down: str, dtype: torch.dtype, activation: Activation = "gelu"):
        self.up = linear(tensors, up, dtype=dtype, activation=activation)
        self.down = linear(tensors, down, dtype=dtype)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., D) to (..., D)."""
        return self.down(self.up(x))


class Block:
    """Attention and feed-forward net, each with a residual connection; norms come before each, or after each sum."""

    def __init__(self, attention: Attention, first: Norm, feed: FeedForward, second: Norm, *, before: bool):
        self.attention, self.first, self.feed, self.second, self.before = attention, first, feed, second, before

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, T, D) float32 to the same."""
        if self.before:
            x = x + self.attention(self.first(x))
            return x + self.feed(self.second(x))
        x = self.first(x + self.attention(x))
        return self.second(x + self.feed(x))
