"""Autocast of the pretended device: which operations run in the lower precision, and which in float32.

The rules are those that torch documents for CUDA, as far as networks here use them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._pytree import tree_map

LOWER = [
    "addbmm",
    "addmm",
    "baddbmm",
    "bmm",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "linear",
    "matmul",
    "mm",
    "mv",
    "scaled_dot_product_attention",
]
FLOAT32 = [
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cumsum",
    "cumprod",
    "exp",
    "expm1",
    "group_norm",
    "layer_norm",
    "log",
    "log10",
    "log1p",
    "log2",
    "log_softmax.int",
    "nll_loss",
    "norm.Scalar",
    "pow.Tensor_Scalar",
    "prod",
    "reciprocal",
    "rsqrt",
    "softmax.int",
    "softplus",
    "sum",
    "sum.dim_IntList",
]
_libraries: list[torch.library.Library] = []
"""Torch forgets the rules of a library that nothing refers to."""


def register(device: str) -> None:
    """Register the rules for the device that is written in Python; call it once in a process."""
    rest = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")
    rest.fallback(torch.library.fallthrough_kernel)
    rules = torch.library.Library("aten", "IMPL", "AutocastPrivateUse1")
    for name in LOWER:
        rules.impl(name, _rule(name, device, lower=True))
    for name in FLOAT32:
        rules.impl(name, _rule(name, device, lower=False))
    _libraries.extend([rest, rules])


def _rule(name: str, device: str, *, lower: bool) -> Any:
    """Return the function that casts the arguments of an operation and computes it without autocast."""
    packet, _, overload = name.partition(".")
    operation = getattr(getattr(torch.ops.aten, packet), overload or "default")
    key = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)  # type: ignore[attr-defined]

    def compute(*args: Any, **kwargs: Any) -> Any:
        wanted = torch.get_autocast_dtype(device) if lower else torch.float32

        def cast(value: Any) -> Any:
            floating = isinstance(value, torch.Tensor) and value.is_floating_point() and value.dtype != torch.float64
            return value.to(wanted) if floating and value.dtype != wanted else value

        with torch._C._ExcludeDispatchKeyGuard(key):
            cast_args, cast_kwargs = tree_map(cast, (args, kwargs))
            return operation(*cast_args, **cast_kwargs)

    return compute
