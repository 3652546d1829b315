"""The published checkpoints of MusicFM and MuQ: their origin, and how they become the tensors of one network."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.weights import Part, Source, Weights, read_safetensors

from ._checkpoint import Shapes, reader
from ._musicfm_config import FULL

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
"""Tensors that only training needs, fixed tables, and a positional convolution that is never called."""


def published_shapes() -> Shapes:
    """Return name -> shape of what the checkpoints of both models must hold. Imports torch."""
    return {name: shape for name, shape in FULL.tensors().items() if not name.startswith("mel.")}


def convert_musicfm(members: Mapping[str, Path]) -> dict[str, NDArray[np.generic]]:
    """Read a checkpoint and the levels of its training set; as one part they always belong together."""
    checkpoint = {name: path for name, path in members.items() if name.endswith(".pt")}
    (statistics,) = (path for name, path in members.items() if name.endswith(".json"))
    read = reader(published_shapes, inside="state_dict", prefix="model.", unused=UNUSED)
    return read(checkpoint) | _levels(*_read_levels(statistics))


def convert_muq(members: Mapping[str, Path]) -> dict[str, NDArray[np.generic]]:
    """Read MuQ's checkpoint, which is a safetensors file; the levels come from its configuration."""
    read = reader(published_shapes, prefix="model.", unused=UNUSED, read=read_safetensors)
    return read(members) | _levels(*MSD_LEVELS)


def _read_levels(path: Path) -> tuple[float, float]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        mean, spread = (float(content[f"melspec_2048_{name}"]) for name in ("mean", "std"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{path} holds no melspec_2048_mean and melspec_2048_std: {error}.") from error
    if not (math.isfinite(mean) and 0 < spread < math.inf):
        raise BenchError(
            f"{path}: melspec_2048_mean {mean} and melspec_2048_std {spread} cannot be the levels of a data set."
        )
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
        convert=convert_musicfm,
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
    # The authors replaced a wrong file on 13 February 2024; this is the hash of the right one.
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
            # The hash selects the revision.
            origin="https://huggingface.co/OpenMuQ/MuQ-large-msd-iter/resolve/main/model.safetensors",
            sha256="273febab2be02872c37d2c37e48a9d6c52c1c9392f3eeeabd498efa281ccb7a6",
            bytes=1_333_825_096,
        ),
    ),
    parts=(Part("model", ("model.safetensors",), trained_on=("msd", "music4all")),),
    convert=convert_muq,
)
