"""Networks made of torch modules, whose tensors carry the published names until `load_module` optimises them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import nn

from ._checkpoint import Shapes


class NetModule(nn.Module):
    """A network that a subclass builds; see `_config.Net` for what `front_end` and `forward` do."""

    def front_end(self, waves: torch.Tensor) -> tuple[Any, ...]:
        """Map waves (B, N) to the arguments of `forward`."""
        raise NotImplementedError

    def forward(self, *features: Any) -> Iterator[torch.Tensor]:
        """Yield frames (B, F, D), layer by layer."""
        raise NotImplementedError

    def optimize(self, dtype: torch.dtype) -> None:
        """Rearrange the loaded tensors for speed; matrix products run in `dtype`."""
        raise NotImplementedError


Module = TypeVar("Module", bound=NetModule)


def module_shapes(make: Callable[[], nn.Module]) -> Shapes:
    """Return name -> shape of a module's tensors, without the counters that only training needs.

    `make` runs on torch's meta device, which allocates no memory.
    """
    with torch.device("meta"):
        tensors = make().state_dict()
    return {name: tuple(tensor.shape) for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}


def load_module(make: Callable[[], Module], tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> Module:
    """Build a network around `tensors`, which have the names of `module_shapes`, and optimise it for inference.

    The tensors are taken out of the dict.
    """
    with torch.device("meta"):
        net = make()
    counters = {name: torch.zeros((), dtype=torch.long) for name in net.state_dict().keys() - tensors.keys()}
    net.load_state_dict(tensors | counters, assign=True)
    tensors.clear()  # `optimize` frees what it replaces
    net.requires_grad_(False).eval()
    net.optimize(dtype)
    return net
