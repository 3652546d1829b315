"""MusicFM's and MuQ's published checkpoints: where they are, and how they become the tensors of one network."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.weights import Part, Source, Weights, read_safetensors

from ._checkpoint import Shapes, reader


@dataclass(frozen=True)
class Shape:
    """Sizes of the network; the defaults are those of the published checkpoints."""

    mels: int = 128
    channels: int = 512
    width: int = 1024
    depth: int = 12
    heads: int = 16
    ffn: int = 4096
    kernel: int = 31

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window: convolutions, linear maps, attention."""
        d, c = self.width, self.channels
        half = -(-(samples // 240) // 2)
        frames = -(-half // 2)
        front = (2 + c) * half * (self.mels // 2) + 3 * c * frames * (self.mels // 4)
        total = 9 * c * front + frames * c * (self.mels // 4) * d
        block = 4 * d * self.ffn + 4 * d * d + 2 * frames * d + 3 * d * d + self.kernel * d
        return 2 * (total + self.depth * frames * block)


FULL = Shape()
REVISION = "4513b38bc25ad1d227b1980819b9691ba97f4d87"
MSD_LEVELS = (6.768444971712967, 18.417922652295623)
"""Mean and spread (dB) of the mel levels of the Million Song Dataset, as in MuQ's configuration."""
UNUSED = (
    "preprocessor_melspec_2048.",
    "quantizer_melspec_2048",
    "rvq.",
    "conformer.embed_positions.",
    "conformer.pos_conv_embed.",
    "linear.",
    "recon_proj.",
    "cls_token",
    *(f"conv.conv.{block}.bn{norm}.num_batches_tracked" for block in (0, 1) for norm in (1, 2, 3)),
    *(f"conformer.layers.{block}.conv_module.batch_norm.num_batches_tracked" for block in range(12)),
)
"""Tensors for training alone, fixed tables, and a positional convolution that is never called."""


def tensors() -> Shapes:
    """Return name -> shape of what both models' checkpoints must hold. Imports torch."""
    import torch

    from ._musicfm_net import MusicFMNet
    from ._network import shapes_of

    with torch.device("meta"):
        found = shapes_of(MusicFMNet(FULL))
    return {name: shape for name, shape in found.items() if not name.startswith("mel.")}


def musicfm(members: Mapping[str, Path]) -> dict[str, NDArray[np.generic]]:
    """Read a checkpoint and the levels of its training set: together they are one part, so never mismatched."""
    checkpoint = {name: path for name, path in members.items() if name.endswith(".pt")}
    (statistics,) = (path for name, path in members.items() if name.endswith(".json"))
    read = reader(tensors, inside="state_dict", prefix="model.", unused=UNUSED)
    return read(checkpoint) | _levels(*_read_levels(statistics))


def muq(members: Mapping[str, Path]) -> dict[str, NDArray[np.generic]]:
    """Read MuQ's checkpoint, a safetensors file already; the levels are in its configuration."""
    read = reader(tensors, prefix="model.", unused=UNUSED, read=read_safetensors)
    return read(members) | _levels(*MSD_LEVELS)


def _read_levels(path: Path) -> tuple[float, float]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        mean, spread = (float(content[f"melspec_2048_{name}"]) for name in ("mean", "std"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{path} holds no melspec_2048_mean and melspec_2048_std: {error}.") from error
    if not (math.isfinite(mean) and 0 < spread < math.inf):
        raise BenchError(f"{path}: melspec_2048_mean {mean} and melspec_2048_std {spread} are no levels of a data set.")
    return mean, spread


def _levels(mean: float, spread: float) -> dict[str, NDArray[np.generic]]:
    return {"mel.mean": np.array(mean, np.float32), "mel.std": np.array(spread, np.float32)}


def _musicfm(data: str, trained_on: str, bytes_: tuple[int, int], sha256: tuple[str, str]) -> Weights:
    files = (f"pretrained_{data}.pt", f"{data}_stats.json")
    at = f"https://huggingface.co/minzwon/MusicFM/resolve/{REVISION}"
    return Weights(
        name=f"musicfm-{data}",
        license="MIT",
        sources=tuple(
            Source(file, f"{at}/{file}", hashed, size) for file, size, hashed in zip(files, bytes_, sha256, strict=True)
        ),
        parts=(Part("model", files, trained_on=(trained_on,)),),
        convert=musicfm,
    )


MUSICFM = {
    "msd": _musicfm(
        "msd",
        "msd",
        (1_316_802_088, 2_277),
        (
            "218b483a0256ddef736267425fabb166fd97008983696bb9270def464b47bded",
            "c36c61ab10ca4d2e7fdfefc3fcc15205316bec276a06a47baa3641a62c546f22",
        ),
    ),
    # The file before 13 February 2024 was wrong; this is the hash of the right one.
    "fma": _musicfm(
        "fma",
        "fma-large",
        (1_316_802_154, 2_281),
        (
            "68392eee13d34c2941b3761934abb6b1e67b2e9df498695bda2ea5c1087d4b96",
            "5416e468018bae68c6231d4cbb2b11f0d11c04e6437881505ae427a3f8344904",
        ),
    ),
}
MUQ = Weights(
    name="muq",
    license="CC BY-NC 4.0",
    non_commercial=True,
    sources=(
        Source(
            file="model.safetensors",
            # The hash decides which revision is taken.
            origin="https://huggingface.co/OpenMuQ/MuQ-large-msd-iter/resolve/main/model.safetensors",
            sha256="273febab2be02872c37d2c37e48a9d6c52c1c9392f3eeeabd498efa281ccb7a6",
            bytes=1_333_825_096,
        ),
    ),
    parts=(Part("model", ("model.safetensors",), trained_on=("msd", "music4all")),),
    convert=muq,
)
