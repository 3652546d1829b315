"""MusiCNN's published weights: the wheel that holds them, and how its checkpoints become tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.weights import Part, Source, Weights, read_checkpoint

from ._checkpoint import STATISTICS
from ._musicnn_config import KERNELS, NORMS


def convert(members: Mapping[str, Path]) -> dict[str, NDArray[np.generic]]:
    """Read one checkpoint of the wheel (``.index`` and its data file) into the tensors of `Config.tensors`.

    Raises
    ------
    BenchError
        When the checkpoint cannot be read, or its variables do not belong to MusiCNN.

    """
    index = next(path for name, path in members.items() if name.endswith(".index"))
    data = next(path for name, path in members.items() if not name.endswith(".index"))
    read = read_checkpoint(index, data)
    out: dict[str, NDArray[np.generic]] = {}
    try:
        for at, layer in enumerate(KERNELS):
            original = f"conv2d{_suffix(at)}" if at < 8 else f"dense{_suffix(at - 8)}"
            # TensorFlow: (time, band, in, out) and (in, out). In the middle layers channels take the place of bands.
            kernel = np.moveaxis(read[f"{original}/kernel"], -1, 0)
            kernel = kernel.transpose(0, 3, 1, 2) if kernel.ndim == 4 else kernel
            kernel = kernel.transpose(0, 3, 2, 1) if layer.startswith("middle") else kernel
            out[f"{layer}.weight"] = np.ascontiguousarray(kernel, np.float32)
            out[f"{layer}.bias"] = read[f"{original}/bias"]
        for at, norm in enumerate(NORMS):
            for original, kind in STATISTICS.items():
                out[f"{norm}.{kind}"] = read[f"batch_normalization{_suffix(at)}/{original}"]
    except (KeyError, ValueError) as error:
        raise BenchError(f"{index} is not a checkpoint of MusiCNN: {error} is missing or of another shape.") from error
    return out


def _suffix(at: int) -> str:
    return f"_{at}" if at else ""


def _part(name: str, folder: str, sha256: str, trained_on: str) -> Part:
    members = (f"musicnn/{folder}/.index", f"musicnn/{folder}/.data-00000-of-00001")
    return Part(name, members, sha256, (trained_on,))


MUSICNN = Weights(
    name="musicnn",
    license="ISC",
    automatic=True,
    sources=(
        Source(
            file="musicnn-0.1.0-py3-none-any.whl",
            origin="pip:musicnn==0.1.0",
            sha256="f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa",
            bytes=29_292_476,
            members={
                "musicnn/MSD_musicnn/.index": "87f3e0f3550c8d3bafc840374003e5c8af5eeb5ecf6add61af09a7822d3282c8",
                "musicnn/MSD_musicnn/.data-00000-of-00001": (
                    "8579734ee6388f799ed0def4bbd0d1fdcbeaf213ef2a9dc860917bd76a303de6"
                ),
                "musicnn/MTT_musicnn/.index": "da2d7bb670b2b31e9bc441bb1bd75eca31b5b061f963cc1f9630c1aff3238f57",
                "musicnn/MTT_musicnn/.data-00000-of-00001": (
                    "041f3935e981a65cea739842d30c188d3a7d2adf4410955c8668eb3de4a5acab"
                ),
            },
        ),
    ),
    parts=(
        _part("msd", "MSD_musicnn", "50b2b4a01579878b7dd33b74a292f71d3e91ad16c386b20ca3de8acfce75066b", "msd"),
        _part(
            "mtt",
            "MTT_musicnn",
            "f69741d6d63575f934b2a238f1f8b994b8c4e2b45c7dc4c9560bcc82ccd0848e",
            "magnatagatune",
        ),
    ),
    convert=convert,
)
