"""The networks by name, each from log-mel windows to embeddings of unit length.

Source: Huang et al., Large-scale weakly-supervised content embeddings for music recommendation and tagging (ICASSP
2020), section 4. Every convolution is followed by batch normalisation and, which the paper does not say, by ReLU.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

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
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        multiplies += output[0].numel() * weight[0].numel()

    copied = copy.deepcopy(network).to("meta").eval()  # the meta device computes shapes alone
    for layer in copied.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(add)
    copied(torch.empty(1, FRAMES, BANDS, device="meta"))
    return sum(parameter.numel() for parameter in network.parameters()), multiplies
