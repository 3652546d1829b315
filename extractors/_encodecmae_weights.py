"""EncodecMAE's published checkpoint (first version, base): its origin, and how it becomes the network's tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.weights import Part, Source, Weights, read_torch

from ._checkpoint import check, folded, old_name
from ._encodecmae_config import FULL

if TYPE_CHECKING:
    import torch


UNUSED = ("decoder.", "decoder_projector.", "head.", "extra_head.", "target_encoder.", "masker.")
"""Tensors that only training needs: the rest of the auto-encoder, and its targets."""
_SHARED = re.compile(r"layers\.(\d+)\.feed\.")


def convert(members: Mapping[str, Path]) -> dict[str, NDArray[np.generic]]:
    """Read the checkpoint: fold weight norms, keep one of ten equal feed-forward nets, reorder heads.

    Raises
    ------
    BenchError
        When it belongs to another model, or its layers have different feed-forward nets.

    """
    (path,) = members.values()
    content = read_torch(path)
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping):
        raise BenchError(f"{path} holds no state dict under 'state_dict'.")
    found = {local_name(name): tensor for name, tensor in state.items() if not name.startswith(UNUSED)}
    _merge_shared(found, path)
    for name in [name.removesuffix("_g") for name in found if name.endswith(".weight_g")]:
        if f"{name}_v" in found:
            found[name] = folded(found, name, dim=0)
    check({name: tuple(tensor.shape) for name, tensor in found.items()}, FULL.tensors(), str(path))
    order = head_order(FULL.width, FULL.heads)
    for number in range(FULL.depth):
        for name in ("wq", "wk", "wv"):
            found[f"layers.{number}.{name}.weight"] = found[f"layers.{number}.{name}.weight"][order]
        found[f"layers.{number}.wo.weight"] = found[f"layers.{number}.wo.weight"][:, order]
    return {name: tensor.contiguous().numpy() for name, tensor in found.items()}


def local_name(name: str) -> str:
    """Return this project's name of a published tensor; unknown names stay as they are."""
    name = re.sub(r"^wav_encoder\.(model\.)+", "wav_encoder.", old_name(name)).replace(".conv.conv.", ".")
    name = re.sub(r"^visible_encoder\.encoder_layers\.", "layers.", name)
    name = name.replace(".att_layer.", ".").replace(".ff_layer.", ".feed.")
    return {"positional_encoder.scale": "scale"}.get(name, name.removeprefix("visible_encoder."))


def head_order(width: int, heads: int) -> torch.Tensor:
    """Return the order (width,) that puts each head's channels side by side; upstream interleaves the heads."""
    import torch

    return torch.arange(width).view(width // heads, heads).T.flatten()


def _merge_shared(found: dict[str, torch.Tensor], path: Path) -> None:
    """Replace the feed-forward nets of all layers, which must be equal, by one."""
    import torch

    for name in [name for name in found if _SHARED.match(name)]:
        tensor, shared = found.pop(name), _SHARED.sub("feed.", name)
        if shared in found and not torch.equal(found[shared], tensor):
            raise BenchError(f"{path}: {name} differs from the other layers; in this model all layers share one net.")
        found[shared] = tensor


ENCODECMAE = Weights(
    name="encodecmae",
    license="MIT",
    sources=(
        Source(
            file="model.pt",
            origin="https://huggingface.co/lpepino/encodecmae-base/resolve/"
            "fb9f5ef8146aee2a0f952d9987cf6beed0d037a9/model.pt",
        ),
    ),
    parts=(Part("base", ("model.pt",), trained_on=("audioset", "fma-large", "librilight")),),
    convert=convert,
)
