"""What an extractor knows of its network before torch is imported: its sizes and tensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

from ._checkpoint import Shapes

if TYPE_CHECKING:
    import torch

    from ._modules import NetModule


class Net(Protocol):
    """A loaded network. It runs in two steps, because a front end needs float32 whatever the precision."""

    def front_end(self, waves: torch.Tensor) -> tuple[Any, ...]:
        """Map waves (B, N) to the arguments of `__call__`: spectrograms, tokens. Always runs in float32."""
        ...

    def __call__(self, *features: Any) -> Iterator[torch.Tensor]:
        """Yield frames (B, F, D), layer by layer; products run in the precision of the settings."""
        ...


class NetworkConfig(ABC):
    """Sizes of a network. A subclass defines `module`, or `tensors` if its extractor defines `network`."""

    @abstractmethod
    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window of `samples`."""

    @abstractmethod
    def activations(self, samples: int, batch: int, width: int) -> int:
        """Return the most bytes that the network keeps at once for `batch` windows of `samples`, beside its weights.

        A value of a product takes `width` bytes. The logits of attention do not count: a GPU's kernels store none.
        """

    def module(self) -> NetModule:
        """Build the network as a torch module, without values."""
        raise NotImplementedError

    def tensors(self) -> Shapes:
        """Return name -> shape of the tensors that the network needs."""
        from ._modules import module_shapes

        return module_shapes(self.module)
