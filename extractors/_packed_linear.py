"""Linear maps of a loaded network, laid out for inference."""

from __future__ import annotations

import torch
from torch import nn

from ._transformer import Linear


class PackedLinear(nn.Module):
    """A linear map of fixed weights that multiplies in `dtype`."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype) -> None:
        super().__init__()
        self._linear = Linear(weight, bias, dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., inputs) to (..., outputs)."""
        return self._linear(x)


def pack(net: nn.Module, dtype: torch.dtype) -> None:
    """Replace every ``nn.Linear`` below `net`."""
    # The list must not keep the linear maps: each is freed when it is replaced.
    for module in [each for each in net.modules() if type(each) is not nn.Linear]:
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear:
                setattr(module, name, PackedLinear(child.weight, child.bias, dtype))
