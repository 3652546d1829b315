"""EncodecMAE's published checkpoint (first version, base): where it is, and how it becomes the network's tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.weights import Part, Source, Weights, read_torch

from ._checkpoint import Shapes, check, folded, old_name

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Shape:
    """Sizes of the network; the defaults are those of `base`."""

    width: int = 768
    depth: int = 10
    heads: int = 12
    ffn: int = 4096
    filters: int = 32
    """Channels of EnCodec's first convolution; each of four steps doubles them."""
    features: int = 128

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window: convolutions, LSTM, linear maps, attention."""
        c, left, total = self.filters, samples, 7 * self.filters * samples
        for ratio in (2, 4, 5, 8):
            total += left * c * c * 3  # a residual block: 3 c c/2 + c/2 c + c c
            left = -(-left // ratio)
            total += left * 2 * ratio * c * 2 * c
            c *= 2
        total += left * (2 * 8 * c * c + 7 * c * self.features + self.features * self.width)
        layer = 4 * self.width**2 + 2 * self.width * self.ffn + 2 * left * self.width
        return 2 * (total + self.depth * left * layer)


FULL = Shape()
UNUSED = ("decoder.", "decoder_projector.", "head.", "extra_head.", "target_encoder.", "masker.")
"""What training alone needs: the rest of the auto-encoder, its targets."""
_SHARED = re.compile(r"layers\.(\d+)\.feed\.")


def tensors() -> Shapes:
    """Return name -> shape of what the checkpoint must come to. Imports torch."""
    import torch

    from ._encodecmae_net import EncodecMAENet
    from ._network import shapes_of

    with torch.device("meta"):
        return shapes_of(EncodecMAENet(FULL))


def convert(members: Mapping[str, Path]) -> dict[str, NDArray[np.generic]]:
    """Read the checkpoint: fold weight norms, keep one of ten equal feed-forward nets, put heads one after another.

    Raises
    ------
    BenchError
        When it is another model's, or a layer has a feed-forward net of its own.

    """
    (path,) = members.values()
    content = read_torch(path)
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping):
        raise BenchError(f"{path} holds no state dict under 'state_dict'.")
    found = {own_name(name): tensor for name, tensor in state.items() if not name.startswith(UNUSED)}
    _share(found, path)
    for name in [name.removesuffix("_g") for name in found if name.endswith(".weight_g")]:
        if f"{name}_v" in found:
            found[name] = folded(found, name, dim=0)
    check({name: tuple(tensor.shape) for name, tensor in found.items()}, tensors(), str(path))
    order = heads_in_order(FULL.width, FULL.heads)
    for number in range(FULL.depth):
        for name in ("wq", "wk", "wv"):
            found[f"layers.{number}.{name}.weight"] = found[f"layers.{number}.{name}.weight"][order]
        found[f"layers.{number}.wo.weight"] = found[f"layers.{number}.wo.weight"][:, order]
    return {name: tensor.contiguous().numpy() for name, tensor in found.items()}


def own_name(name: str) -> str:
    """Return this network's name of a published tensor; a name that it does not know stays as it is."""
    name = re.sub(r"^wav_encoder\.(model\.)+", "wav_encoder.", old_name(name)).replace(".conv.conv.", ".")
    name = re.sub(r"^visible_encoder\.encoder_layers\.", "layers.", name)
    name = name.replace(".att_layer.", ".").replace(".ff_layer.", ".feed.")
    return {"positional_encoder.scale": "scale"}.get(name, name.removeprefix("visible_encoder."))


def heads_in_order(width: int, heads: int) -> torch.Tensor:
    """Return the order (width,) that puts each head's channels side by side: upstream counts heads fastest."""
    import torch

    return torch.arange(width).view(width // heads, heads).T.flatten()


def _share(found: dict[str, torch.Tensor], path: Path) -> None:
    """Replace the feed-forward nets of all layers, which must be one and the same, by one."""
    import torch

    for name in [name for name in found if _SHARED.match(name)]:
        tensor, shared = found.pop(name), _SHARED.sub("feed.", name)
        if shared in found and not torch.equal(found[shared], tensor):
            raise BenchError(f"{path}: {name} differs from the other layers'; this model has one net for all.")
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
