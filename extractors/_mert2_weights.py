"""The published checkpoints of MERT-v2: their origin, and how they become the tensors of the network."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.weights import Part, Source, Weights, read_safetensors

from ._checkpoint import check
from ._mert2_config import FULL, Config

FILE = "model.safetensors"
NAMES = (
    (r"^feature_extractor\.mel_", "mel."),
    (r"^subsampling_module\.", "stages."),
    (r"\.resampling_layer\.0\.", ".norm."),
    (r"\.resampling_layer\.2\.", ".resample."),
    (r"\.convnext_layers\.", ".layers."),
    (r"\.depthwise_block\.1\.", ".depthwise."),
    (r"\.pointwise_block\.0\.", ".norm."),
    (r"\.pointwise_block\.1\.", ".up."),
    (r"\.pointwise_block\.3\.", ".response."),
    (r"\.pointwise_block\.4\.", ".down."),
    (r"\.w_1\.", ".intermediate_dense."),
    (r"\.w_2\.", ".output_dense."),
    (r"\.attn_layer_norm\.", ".self_attn_layer_norm."),
    (r"\.attn\.(\w)\w+_proj\.", r".self_attn.linear_\1."),
    (r"\.linear_o\.", ".linear_out."),
    (r"\.conv_block\.1\.", ".pointwise_conv1."),
    (r"\.conv_block\.3\.", ".depthwise_conv."),
    (r"\.conv_block\.4\.1\.", ".norm."),
    (r"\.conv_block\.6\.", ".pointwise_conv2."),
)
"""Patterns of published names, and what they become."""
TABLES = ("feature_extractor.spectrogram.window", "feature_extractor.mel_scale.fb")
"""The window and the mel filters."""
SMALLEST = np.float32(1e-5)
"""Upstream divides the levels by no less than this."""


def local_name(name: str) -> str:
    """Return this project's name of a published tensor; unknown names stay as they are."""
    for pattern, ours in NAMES:
        name = re.sub(pattern, ours, name)
    return name


def converter(config: Config) -> Callable[[Mapping[str, Path]], dict[str, NDArray[np.generic]]]:
    """Return the function that reads a checkpoint, which must be of these sizes."""

    def convert(members: Mapping[str, Path]) -> dict[str, NDArray[np.generic]]:
        path = members[FILE]
        tensors = read_safetensors(path)
        found = {local_name(name): tensor.numpy() for name, tensor in tensors.items() if name not in TABLES}
        check({name: array.shape for name, array in found.items()}, config.tensors(), str(path))
        return found | {"mel.std": np.maximum(found["mel.std"], SMALLEST)}

    return convert


def _weights(name: str, repository: str, revision: str, sha256: str | None = None, size: int | None = None) -> Weights:
    origin = f"https://huggingface.co/m-a-p/{repository}/resolve/{revision}/{FILE}"
    return Weights(
        name=name,
        license="CC BY-NC 4.0",
        non_commercial=True,
        sources=(Source(FILE, origin, sha256, size),),
        parts=(Part("model", (FILE,), trained_on=("undisclosed",)),),
        convert=converter(FULL),
    )


WEIGHTS = {
    # No hash of this file is known: the first pull records it, and later files must match.
    "30s": _weights("mert2-30s", "MERT-v2-30s", "12130d22fd947c24b0299c9368900fb06a608512"),
    "fullsong": _weights(
        "mert2-fullsong",
        "MERT-v2-FullSong",
        "d8ba1c745e733b3908ce6ad16ebeb17ac7600a42",
        "e6dd2ab187d6dd62b6521cd7d8f932e237acf0c5757745a7232082e28391350d",
        2_529_812_848,
    ),
}
