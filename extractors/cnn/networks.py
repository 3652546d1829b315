"""The networks by name, each from log-mel windows to embeddings of unit length.

Source: Huang et al., Large-scale weakly-supervised content embeddings for music recommendation and tagging (ICASSP
2020), section 4. Every convolution is followed by batch normalisation and, which the paper does not say, by ReLU.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import nn

from bench.errors import BenchError, did_you_mean

from .mobilenet import mobilenet
from .resnet import resnet18
from .sizes import BANDS, FRAMES, WIDTH
from .small import small, small4


class Network(nn.Module):
    """A body, a dense layer, and division by the euclidean norm: (B, 300, 64) -> (B, width) float32."""

    def __init__(self, body: nn.Module, features: int, width: int):
        super().__init__()
        self.body, self.dense = body, nn.Linear(features, width)
        # Weights of the size that keeps the spread of values through ReLUs (He et al., ICCV 2015): with torch's own,
        # a deep network without trained norms gives all windows the same embedding.
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(self.dense.bias)

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Map log-mel windows (B, 300, 64) to embeddings (B, width) of unit length."""
        return nn.functional.normalize(self.dense(self.body(log_mel[:, None])).float(), dim=1)


def _family(body: Callable[[], tuple[nn.Module, int]]) -> Callable[[int], nn.Module]:
    return lambda width: Network(*body(), width)


ARCHITECTURES: dict[str, Callable[[int], nn.Module]] = {
    "resnet18": _family(resnet18),
    "mobilenet": _family(mobilenet),
    "small": _family(small),
    "small4": _family(small4),
}
"""Name -> function that builds the network, given the width of its embeddings."""


def build(arch: str, width: int = WIDTH) -> nn.Module:
    """Return a network with weights drawn from torch's generator: log-mel (B, 300, 64) -> (B, width), unit length.

    Raises
    ------
    BenchError
        No network has this name.

    """
    if arch not in ARCHITECTURES:
        raise BenchError(f"no network is called {arch!r}.{did_you_mean(arch, ARCHITECTURES)}")
    return ARCHITECTURES[arch](width)


def count(network: nn.Module) -> tuple[int, int]:
    """Return the trained parameters of a network, and the multiplies of convolutions and dense layers a window."""
    multiplies = 0

    def add(layer: nn.Module, _: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal multiplies
        if isinstance(layer, nn.Conv2d | nn.Linear):
            multiplies += output[0].numel() * layer.weight[0].numel()

    _trace(network, add)
    return sum(parameter.numel() for parameter in network.parameters()), multiplies


@lru_cache
def activations(arch: str) -> int:
    """Return the most values that a layer of a network reads and writes for one window; no weights are allocated."""
    most = 0

    def see(_: nn.Module, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal most
        most = max(most, output.numel() + sum(one.numel() for one in given))

    with torch.device("meta"):
        network = build(arch)
    _trace(network, see)
    return most


def _trace(network: nn.Module, see: Callable[..., None]) -> None:
    """Call `see` with every layer without parts, its input and its output for one window, on no device."""
    copied = copy.deepcopy(network).to("meta").eval()  # the meta device computes shapes alone
    for layer in copied.modules():
        if not any(layer.children()):
            layer.register_forward_hook(see)
    copied(torch.empty(1, FRAMES, BANDS, device="meta"))
