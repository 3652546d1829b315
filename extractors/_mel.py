"""Mel filters as librosa makes them by default, and what a mel spectrogram costs."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray


def mel_filters(
    sample_rate: int,
    n_fft: int,
    n_mels: int,
    low: float = 0.0,
    high: float | None = None,
    scale: Literal["slaney", "htk"] = "slaney",
) -> NDArray[np.float64]:
    """Return triangular filters (n_mels, n_fft // 2 + 1) that cover `low` to `high` Hz; None: half the rate.

    slaney : 200/3 Hz per mel below 1 kHz, 27 mels per factor of 6.4 above (Slaney 1998, Auditory Toolbox); each
        filter has unit area in Hz
    htk : 2595 log10(1 + Hz / 700) mels (the HTK book); each filter has a peak of 1
    """
    step, knee, log_step = 200 / 3, 1000.0, np.log(6.4) / 27
    htk = scale == "htk"

    def to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
        if htk:
            return np.asarray(700 * (10 ** (mel / 2595) - 1), dtype=np.float64)
        return np.where(mel < knee / step, mel * step, knee * np.exp(log_step * (mel - knee / step)))

    def to_mel(hz: float) -> float:
        if htk:
            return float(2595 * np.log10(1 + hz / 700))
        return float(knee / step + np.log(hz / knee) / log_step if hz > knee else hz / step)

    nyquist = sample_rate / 2
    edges = to_hz(np.linspace(to_mel(low), to_mel(nyquist if high is None else high), n_mels + 2))
    bins = np.linspace(0.0, nyquist, n_fft // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    peak = np.ones(n_mels) if htk else 2.0 / (edges[2:] - edges[:-2])
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)) * peak[:, None], dtype=np.float64)


def mel_activations(samples: int, n_fft: int, hop: int) -> int:
    """Return the bytes that `_spectrogram.MelPower` keeps at once for one wave: frames, spectra, squares, their sum."""
    return 4 * samples + samples // hop * (4 * n_fft + (n_fft // 2 + 1) * (8 + 3 * 4))
