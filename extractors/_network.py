"""Extractors whose network is made of torch modules: built, filled with tensors, settled, and run layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from ._checkpoint import Shapes
from ._pretrained import RANDOM, Pretrained

if TYPE_CHECKING:
    import torch
    from torch import nn


class Net(Protocol):
    """A module whose `forward` yields a tensor (B, F, D) a layer."""

    def settle(self, dtype: torch.dtype) -> None:
        """Rearrange the loaded tensors for speed; products run in `dtype`."""
        ...

    def __call__(self, waves: torch.Tensor) -> Iterator[torch.Tensor]:
        """Map waves (B, N) to the layers, one after another."""
        ...


class Shape(Protocol):
    """Sizes of a network."""

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window."""
        ...


class Network(Pretrained):
    """An extractor of one `Net`: the names of its parameters are those of the published tensors.

    A subclass says in `network` how it is built, keeps its sizes in `_shape`, and declares `layers` in the
    order of its `forward`.
    """

    _shape: Shape

    def network(self) -> nn.Module:
        """Build the network; its tensors are replaced afterwards."""
        raise NotImplementedError

    def load(self, device: str, dtype: str) -> None:
        """Build the network on `device`; the setting `precision` says in which type it multiplies."""
        import torch

        with torch.device("meta"):
            net = self.network()
        tensors = self.tensors(shapes_of(net), device)
        if self.settings.weights == RANDOM:
            uneven(tensors)
        fill(net, tensors)
        self._net = cast("Net", net.to(device))
        self._net.settle(getattr(torch, self.settings.precision))

    def frames(self, waves: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """Waves (B, N) to frames (B, F, D), layer by layer."""
        yield from zip(self.layers, self.states(waves), strict=True)

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window, for speed as a share of what the machine can do."""
        return self._shape.operations(samples)

    def autocast(self) -> str:
        """Say in which precision torch runs the network's products of itself."""
        return str(self.settings.precision)

    def states(self, waves: torch.Tensor) -> Iterator[torch.Tensor]:
        """Waves (B, N) to what the network yields."""
        steps = self._net(waves)
        while True:
            with _products(waves, self.autocast()):
                found = next(steps, None)
            if found is None:
                return
            yield found


def shapes_of(net: nn.Module) -> Shapes:
    """Return the names and shapes of a network's tensors, those aside that only training needs."""
    return {
        name: tuple(tensor.shape)
        for name, tensor in net.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def fill(net: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Put tensors, which must be those of `shapes_of`, in place of a network's own; set it to inference."""
    import torch

    counters = {name: torch.zeros((), dtype=torch.long) for name in net.state_dict().keys() - tensors.keys()}
    net.load_state_dict(tensors | counters, assign=True)
    net.requires_grad_(False).eval()


def uneven(tensors: dict[str, torch.Tensor]) -> None:
    """Let the gains of norms differ, as trained ones do: with equal ones a layer's mean over channels is 0."""
    import torch

    for name, tensor in tensors.items():
        if tensor.ndim == 1 and name.endswith(".weight"):
            tensor *= torch.from_numpy(np.linspace(0.5, 1.5, len(tensor), dtype=np.float32)).to(tensor)


def _products(waves: torch.Tensor, precision: str) -> AbstractContextManager[Any]:
    """Products in the precision asked for, and in no other: cuDNN would round float32 to TF32 of its own accord."""
    import torch

    stack = ExitStack()
    if waves.is_cuda:
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        stack.enter_context(exact)
    if precision != "float32":
        stack.enter_context(torch.autocast(waves.device.type, getattr(torch, precision)))
    return stack
