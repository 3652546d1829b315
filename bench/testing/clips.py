"""Write short synthetic clips for the contract tests, from seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray


def clip(seconds: float, rate: int, seed: int) -> NDArray[np.float32]:
    """Return a chord with vibrato, a slow swell and some noise, (seconds * rate,) float32."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    wave = np.zeros_like(time)
    for pitch in rng.choice([110.0, 164.8, 220.0, 277.2, 329.6, 440.0, 554.4], 3, replace=False):
        wobble = 0.3 * np.sin(2 * np.pi * rng.uniform(3, 6) * time)
        wave += rng.uniform(0.3, 1.0) * np.sin(2 * np.pi * pitch * time + wobble)
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * rng.uniform(0.2, 0.8) * time + rng.uniform(0, 6))
    wave = 0.2 * wave * swell + rng.uniform(0.002, 0.02) * rng.standard_normal(len(time))
    return np.asarray(wave, dtype=np.float32)


def write(folder: Path, seconds: Sequence[float], rate: int) -> list[Path]:
    """Write one WAV file for each duration in seconds, with different audio; return the paths."""
    paths = []
    for at, length in enumerate(seconds):
        path = folder / f"clip{at:02d}.wav"
        soundfile.write(path, clip(length, rate, seed=at), rate, subtype="FLOAT")
        paths.append(path)
    return paths


def tone(folder: Path, seconds: float, rate: int) -> Path:
    """Write a tone of 440 Hz with two overtones, far below the Nyquist frequency of the usual rates."""
    time = np.arange(round(seconds * rate)) / rate
    wave = sum(0.2 / k * np.sin(2 * np.pi * 440 * k * time) for k in (1, 2, 3))
    path = folder / f"tone{rate}.wav"
    soundfile.write(path, np.asarray(wave, np.float32), rate, subtype="FLOAT")
    return path
