"""The front end of the networks: log-mel spectrograms of windows of 3 s, computed in batches on their device.

Frames and bands are those of Huang et al. (ICASSP 2020), section 4. The paper does not give the band limits, the
scale and the offset of the logarithm: they are those of VGGish (Hershey et al., ICASSP 2017), of the same authors'
laboratory.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from .._mel import mel_filters
from .sizes import BANDS, FFT, FRAME, FRAMES, HIGH, HOP, LOW, OFFSET, RATE, SAMPLES


class LogMel(nn.Module):
    """Waves (B, 48_000) of 16 kHz to log-mel spectrograms (B, 300, 64), float32 even under autocast.

    Periodic Hann window of 400 samples (25 ms) every 160 (10 ms), the k-th one centred at sample 160 k + 80, with
    zeros beyond the ends; magnitudes of an FFT of 512; 64 triangular bands with peaks of 1 on the HTK mel scale from
    125 to 7500 Hz; log(x + 0.01). These are the numbers of ``librosa.feature.melspectrogram`` with ``power=1,
    htk=True, norm=None, center=False``, of waves with 176 zeros on both sides.
    """

    window: torch.Tensor
    filters: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(FRAME, periodic=True), persistent=False)
        mel = mel_filters(RATE, FFT, BANDS, LOW, HIGH, scale="htk")
        self.register_buffer("filters", torch.from_numpy(mel.T.astype(np.float32)), persistent=False)

    def forward(self, waves: torch.Tensor) -> torch.Tensor:
        """Map waves (B, 48_000), in [-1, 1], to (B, 300, 64).

        Raises
        ------
        ValueError
            The windows are not 3 s long.

        """
        if waves.shape[-1] != SAMPLES:
            raise ValueError(f"windows have {SAMPLES} samples, got {waves.shape[-1]}")
        side = ((FRAMES - 1) * HOP + FRAME - SAMPLES) // 2
        with torch.autocast(waves.device.type, enabled=False):
            frames = nn.functional.pad(waves.float(), (side, side)).unfold(-1, FRAME, HOP)  # (B, 300, 400), no copy
            spectrum = torch.fft.rfft(frames * self.window, n=FFT)  # (B, 300, 257)
            mel: torch.Tensor = spectrum.abs() @ self.filters
            return (mel + OFFSET).log()
