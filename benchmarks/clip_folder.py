"""A folder of made-up stereo clips to extract from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from bench.testing.clips import clip

RATE, SECONDS = 44_100, 30.0


def make(folder: Path, name: str, count: int) -> list[Path]:
    """Write stereo clips, each with a sound of its own."""
    paths = [folder / f"clip{i:03d}.{name}" for i in range(count)]
    for seed, path in enumerate(paths):
        left, right = clip(SECONDS, RATE, 2 * seed), clip(SECONDS, RATE, 2 * seed + 1)
        soundfile.write(path, np.stack([left, right], 1), RATE)
    return paths
