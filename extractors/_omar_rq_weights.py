"""The published checkpoints of OMAR-RQ: their origin, and how they become the tensors of one network."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.weights import Part, Source, Weights, read_torch

from ._checkpoint import check
from ._logc_mel import FFT, HOP
from ._omar_rq_config import FEED_FACTOR, FULL, MEL, SLOW, Config

VARIANTS: Mapping[str, Config] = {
    "multifeature-25hz-fsq": FULL,
    "multifeature-25hz": FULL,
    "multifeature": SLOW,
    "base": MEL,
    "multicodebook": MEL,
}
"""The sizes of every published model."""
NAMES = (
    (r"^embedding_layer\.", "embed."),
    (r"^net\.layers\.", "blocks."),
    (r"\.(ff[12])\.module\.0\.", r".\1.norm."),
    (r"\.(ff[12])\.module\.1\.", r".\1.up."),
    (r"\.(ff[12])\.module\.4\.", r".\1.down."),
    (r"\.conv_block\.layer_norm\.", ".conv.norm."),
    (r"\.conv_block\.module\.0\.", ".conv.open."),
    (r"\.conv_block\.module\.2\.", ".conv.depthwise."),
    (r"\.conv_block\.module\.3\.", ".conv.batch_norm."),
    (r"\.conv_block\.module\.5\.", ".conv.close."),
    (r"\.norm1\.layer_norm\.", ".norm1."),
)
"""Patterns of published names, and what they become."""
UNUSED = ("num_batches_tracked", "rotary_emb.freqs")
"""Ends of names that the network does not need: counters of training, and a fixed table."""


def converter(config: Config) -> Callable[[Mapping[str, Path]], dict[str, NDArray[np.generic]]]:
    """Return the function that reads a model's checkpoint and its configuration, of which both must be these sizes."""

    def convert(members: Mapping[str, Path]) -> dict[str, NDArray[np.generic]]:
        (path,) = (path for name, path in members.items() if name.endswith(".ckpt"))
        (settings,) = (path for name, path in members.items() if name.endswith(".gin"))
        mean, std = read_levels(settings, config)
        state = read_torch(path)
        if not isinstance(state, Mapping):
            raise BenchError(f"{path} holds no state dict.")
        tensors = {local_name(name): tensor for name, tensor in state.items() if not name.endswith(UNUSED)}
        found = {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in tensors.items()}
        found |= {"level_bias": mean, "level_std": std}
        check({name: array.shape for name, array in found.items()}, config.tensors(), str(path))
        return found

    return convert


def local_name(name: str) -> str:
    """Return this project's name of a published tensor; unknown names stay as they are."""
    for pattern, ours in NAMES:
        name = re.sub(pattern, ours, name)
    return name


def read_levels(path: Path, config: Config) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and standard deviation of the input, after comparing a configuration file with `config`.

    Raises
    ------
    BenchError
        When a value differs or is absent, or the file cannot be read.

    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"{path} cannot be read: {error}.") from error
    view = "MelSpectrogram" if config.mels else "Waveform"
    wanted: dict[str, Any] = {
        "Conformer.embed_dim": config.width,
        "Conformer.depth": config.depth,
        "Conformer.num_heads": config.heads,
        "Conformer.mlp_ratio": 4,
        "Conformer.mlp_residual_factor": FEED_FACTOR,
        "Conformer.use_deepnorm": True,
        "Conformer.use_rope": True,
    }
    if config.mels:
        sizes = {"win_len": FFT, "hop_len": HOP, "power": 2, "n_mel": config.mels, "norm": "slaney"}
        wanted |= {f"{view}.{name}": value for name, value in sizes.items()} | {f"{view}.mel_scale": "slaney"}
    else:
        wanted |= {f"{view}.patch_size": (1, config.samples)}
    found = {name: _binding(text, name) for name in wanted}
    wrong = [
        f"{name} is {found[name]!r} instead of {value!r}" for name, value in wanted.items() if found[name] != value
    ]
    alpha = _binding(text, "Conformer.alpha_deepnorm")
    if not isinstance(alpha, float) or abs(alpha / config.residual - 1) > 1e-6:
        wrong.append(f"Conformer.alpha_deepnorm is {alpha!r} instead of {config.residual:.6f}")
    if wrong:
        raise BenchError(f"{path} is the configuration of another model: {'; '.join(wrong)}.")
    mean, std = (_binding(text, f"{view}.norm_{name}") for name in ("mean", "std"))
    if mean is None or std is None:  # upstream then leaves the input as it is
        mean, std = 0.0, 1.0
    if not (isinstance(mean, int | float) and isinstance(std, int | float) and std > 0):
        raise BenchError(f"{path}: norm_mean {mean!r} and norm_std {std!r} cannot be the levels of a data set.")
    return np.array(mean, np.float32), np.array(std, np.float32)


def _binding(text: str, name: str) -> Any:
    """Return the value of a gin binding, whatever module stands before its name; None if absent or not literal."""
    found = re.findall(rf"^(?:\w+\.)*{re.escape(name)}\s*=\s*([^#\n]+)", text, re.MULTILINE)
    try:
        return ast.literal_eval(found[-1].strip()) if found else None
    except (SyntaxError, ValueError):
        return None


def _weights(name: str, config: Config) -> Weights:
    files = ("config.gin", "model.ckpt")
    at = f"https://huggingface.co/mtg-upf/omar-rq-{name}/resolve/main"
    return Weights(
        name=f"omar-rq-{name}",
        license="CC BY-NC-SA 4.0",
        non_commercial=True,
        sources=tuple(Source(file, f"{at}/{file}") for file in files),
        parts=(Part("model", files, trained_on=("discotube",)),),
        convert=converter(config),
    )


WEIGHTS = {name: _weights(name, config) for name, config in VARIANTS.items()}
