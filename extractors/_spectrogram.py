"""Mel spectrograms in torch, and the batch norm over bands that some networks start with."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812

from ._transformer import Tensors


class MelPower:
    """Waves (B, N) to the power of mel bands (B, T, bands) under a periodic Hann window; equal to torchaudio's.

    Parameters
    ----------
    filters : (bands, fft // 2 + 1), see `_mel.mel_filters`
    hop : samples between frames
    centred : frame t is centred on sample t * hop, and the wave is reflected at its ends; otherwise it starts there

    """

    def __init__(self, filters: NDArray[np.float64], hop: int, device: torch.device, *, centred: bool = True):
        self.hop, self.fft = hop, 2 * (filters.shape[1] - 1)
        self.pad = self.fft // 2 if centred else 0
        self.hann = torch.hann_window(self.fft, periodic=True, device=device)
        self.filters = torch.from_numpy(filters.T.astype(np.float32)).to(device)

    def __call__(self, waves: torch.Tensor) -> torch.Tensor:
        """Map (B, N) to (B, T, bands)."""
        if self.pad:
            waves = F.pad(waves[:, None], (self.pad, self.pad), mode="reflect")[:, 0]
        spectrum = torch.fft.rfft(waves.unfold(-1, self.fft, self.hop) * self.hann)
        power: torch.Tensor = (spectrum.real.square() + spectrum.imag.square()) @ self.filters
        return power


def band_norm(tensors: Tensors, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Take a batch norm over bands; return the factors (bands,) and summands (bands,) that it amounts to."""
    device = tensors[f"{name}.weight"].device
    names = ("running_var", "weight", "bias", "running_mean")  # folded on the CPU, which has float64
    variance, weight, bias, mean = (tensors.pop(f"{name}.{each}").cpu().double() for each in names)
    scale = weight / (variance + 1e-5).sqrt()
    return scale.float().to(device), (bias - scale * mean).float().to(device)
