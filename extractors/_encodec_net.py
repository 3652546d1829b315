"""EnCodec's encoder alone: waves to continuous latents, before quantisation."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from ._modules import NetModule
from ._seanet import SEANet


class EncodecNet(NetModule):
    """Waves (B, N) at 24 kHz to latents (B, T, features), T = ceil(N / 320); all of it runs in float32."""

    def __init__(self, filters: int, features: int) -> None:
        super().__init__()
        self.encoder = SEANet(filters, features)

    def front_end(self, waves: torch.Tensor) -> tuple[torch.Tensor]:
        """Map waves (B, N) to latents (B, T, features)."""
        return (self.encoder(waves),)

    def forward(self, latents: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the latents."""
        yield latents

    def optimize(self, dtype: torch.dtype) -> None:
        """Lay the LSTM's weights out side by side."""
        self.encoder.apply(lambda module: module.flatten_parameters() if isinstance(module, nn.LSTM) else None)
