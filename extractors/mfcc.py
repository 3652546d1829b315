"""MFCC statistics: the hand-crafted baseline for learned embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.protocols import Extractor, Window

from ._mel import mel_filters

if TYPE_CHECKING:
    import torch

FLOOR = 1e-10
"""Lowest power before the logarithm (-100 dB), so that silence gives finite values."""


@dataclass(frozen=True)
class MFCCSettings:
    """Spectrogram and size of the cepstrum; the defaults are this project's definition of ``mfcc``.

    n_mfcc : coefficients, the 0th among them
    n_mels : bands of the mel spectrogram
    n_fft : samples of a frame
    hop : samples from one frame to the next
    """

    n_mfcc: int = 13
    n_mels: int = 128
    n_fft: int = 2048
    hop: int = 512

    def __post_init__(self) -> None:
        """Reject settings that give no cepstrum."""
        if not 1 <= self.n_mfcc <= self.n_mels:
            raise ValueError(f"n_mfcc must lie between 1 and n_mels={self.n_mels}, got {self.n_mfcc}")
        if self.n_fft < 16 or self.n_fft % 2 or self.hop < 1:
            raise ValueError(f"n_fft must be even and at least 16, hop positive; got {self.n_fft} and {self.hop}")


class MFCC(Extractor):
    """Mean and covariance of 13 mel-frequency cepstral coefficients: 13 + 91 = 104 values per track.

    22,050 Hz mono; Hann window of 2048 samples every 512, centred, zeros beyond the ends; power
    spectrum; 128 Slaney mel bands from 0 Hz to half the rate; 10 log10 with a floor of 1e-10 and no
    limit relative to the loudest frame (which would make each frame depend on the whole track); orthonormal
    DCT-II; 13 coefficients including the 0th; mean, then the row-major upper triangle of the sample
    covariance.
    """

    Settings = MFCCSettings
    name = "mfcc"
    license = "Apache-2.0"
    traps = (
        "This is not Music4All-Onion's `id_mfcc_stats`: that has 104 values, too, but its frames and the order of its "
        "values are not published. `precomputed` reads the file.",
    )
    pooling = "mean_cov"
    sample_rate = 22_050
    tolerance = 1e-4
    settings: MFCCSettings

    def __init__(self, settings: MFCCSettings):
        super().__init__(settings)
        frames = 256  # in a window of about 6 s: a batch of 16 stays in the cache
        self.layers = {"mfcc": settings.n_mfcc}
        self.window = Window(
            length=(frames - 1) * settings.hop,
            hop=frames * settings.hop,
            left=settings.n_fft // 2,
            right=settings.n_fft // 2,
            # The covariance of n coefficients has full rank with n + 1 frames or more.
            shortest=settings.n_mfcc * settings.hop,
            shortest_tail=0,
        )

    def fingerprint(self) -> dict[str, Any]:
        """Return the settings; there are no weights."""
        return {"n_mfcc": self.settings.n_mfcc, "n_mels": self.settings.n_mels, "n_fft": self.settings.n_fft,
                "hop": self.settings.hop, "floor": FLOOR}  # fmt: skip

    def memory(self, batch: int) -> int:
        """Return the bytes of `batch` windows: samples, spectra and their parts."""
        assert self.window.length is not None
        samples = self.window.length + self.window.left + self.window.right
        frames, bins = self.window.hop // self.settings.hop, self.settings.n_fft // 2 + 1
        return batch * (4 * samples + frames * bins * (2 * 4 + 3 * 4))

    def load(self, device: str, dtype: str) -> None:
        """Build the window, the mel filters and the cosine matrix on `device`."""
        import torch

        s = self.settings
        mel = mel_filters(self.sample_rate, s.n_fft, s.n_mels)
        self._hann = torch.hann_window(s.n_fft, periodic=True, device=device)
        self._mel = torch.from_numpy(mel.T.astype(np.float32)).to(device)
        self._dct = torch.from_numpy(cosine_matrix(s.n_mfcc, s.n_mels).T.astype(np.float32)).to(device)

    def frames(self, waves: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """Map waves (B, T) to cepstra (B, F, n_mfcc)."""
        import torch

        pieces = waves.unfold(-1, self.settings.n_fft, self.settings.hop)  # (B, F, n_fft), no copy
        spectrum = torch.fft.rfft(pieces * self._hann)
        power = spectrum.real.square() + spectrum.imag.square()
        decibel = 10.0 * torch.log10(torch.clamp(power @ self._mel, min=FLOOR))
        yield "mfcc", decibel @ self._dct


def cosine_matrix(n_out: int, n_in: int) -> NDArray[np.float64]:
    """Return the orthonormal DCT-II as a matrix (n_out, n_in)."""
    k, n = np.arange(n_out)[:, None], np.arange(n_in)[None, :]
    matrix = np.sqrt(2.0 / n_in) * np.cos(np.pi * k * (2 * n + 1) / (2 * n_in))
    matrix[0] /= np.sqrt(2.0)
    return np.asarray(matrix, dtype=np.float64)
