"""The mel spectrogram of the Music Technology Group's networks: 96 bands from 16 kHz, 62.5 frames a second.

MAEST and the OMAR-RQ models that read a spectrogram share it. Equal to torchaudio's ``Spectrogram`` and ``MelScale``
with ``norm="slaney", mel_scale="slaney"``, then log10(1 + 10000 x). MusiCNN's spectrogram has the same sizes, but its
frames are not centred.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._mel import mel_filters

if TYPE_CHECKING:
    import torch

RATE, FFT, HOP = 16_000, 512, 256
LEVELS = (2.06755686098554, 1.268292820667291)
"""Mean and standard deviation of the levels in the training set, as both models' configurations have them."""


def logc_mel(waves: torch.Tensor, mels: int) -> torch.Tensor:
    """Map waves (B, N) to levels (B, mels, 1 + floor(N / 256)); periodic Hann window, reflected at the ends."""
    import torch

    window = torch.hann_window(FFT, device=waves.device)
    filters = torch.from_numpy(mel_filters(RATE, FFT, mels)).to(waves)
    spectrum = torch.stft(waves, FFT, HOP, window=window, pad_mode="reflect", return_complex=True)
    return torch.log10(1 + 10_000 * (filters @ spectrum.abs().square()))
