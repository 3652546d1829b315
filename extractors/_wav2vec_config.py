"""Sizes of wav2vec 2.0, HuBERT and data2vec networks: tensors, frames, operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ._checkpoint import Shapes
from ._config import NetworkConfig

KERNELS = (10, 3, 3, 3, 3, 2, 2)
STRIDES = (5, 2, 2, 2, 2, 2, 2)


@dataclass(frozen=True)
class Config(NetworkConfig):
    """A network from samples to frames (Baevski et al. 2020; HuBERT: Hsu et al. 2021).

    width, layers, heads, ffn : of the transformer
    before : norms come before attention and feed-forward nets, and after the last block; otherwise after each sum
    front : norm of the front end's convolutions: ``group`` (of the first one, each channel over time) or ``layer``
        (of all)
    position : kernels of the positional convolutions; a single one has weight norm, as in HuBERT, several have a
        layer norm after each, as in data2vec
    groups : of the positional convolutions
    channels : of the front end
    """

    width: int
    layers: int
    heads: int
    ffn: int
    before: bool = False
    front: Literal["group", "layer"] = "group"
    position: tuple[int, ...] = (128,)
    groups: int = 16
    channels: int = 512

    def frames(self, samples: int) -> int:
        """Return the number of frames of a window."""
        for kernel, stride in zip(KERNELS, STRIDES, strict=True):
            samples = max((samples - kernel) // stride + 1, 0)
        return samples

    def tensors(self) -> Shapes:
        """Return every tensor of the published state dicts under its published name."""
        d, c = self.width, self.channels
        out: dict[str, tuple[int, ...]] = {"masked_spec_embed": (d,)}

        def pair(name: str, *shape: int) -> None:
            out[f"{name}.weight"], out[f"{name}.bias"] = shape, shape[:1]

        for at, kernel in enumerate(KERNELS):
            out[f"feature_extractor.conv_layers.{at}.conv.weight"] = (c, c if at else 1, kernel)
            if self.front == "layer" or at == 0:
                pair(f"feature_extractor.conv_layers.{at}.layer_norm", c)
        pair("feature_projection.layer_norm", c)
        pair("feature_projection.projection", d, c)
        if len(self.position) == 1:
            (kernel,) = self.position
            out["encoder.pos_conv_embed.conv.bias"] = (d,)
            out["encoder.pos_conv_embed.conv.weight_g"] = (1, 1, kernel)
            out["encoder.pos_conv_embed.conv.weight_v"] = (d, d // self.groups, kernel)
        else:
            for at, kernel in enumerate(self.position):
                pair(f"encoder.pos_conv_embed.layers.{at}.conv", d, d // self.groups, kernel)
        pair("encoder.layer_norm", d)
        for at in range(self.layers):
            block = f"encoder.layers.{at}"
            for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                pair(f"{block}.attention.{part}", d, d)
            pair(f"{block}.layer_norm", d)
            pair(f"{block}.feed_forward.intermediate_dense", self.ffn, d)
            pair(f"{block}.feed_forward.output_dense", d, self.ffn)
            pair(f"{block}.final_layer_norm", d)
        return out

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window: convolutions, linear maps, attention."""
        d, c, frames = self.width, self.channels, self.frames(samples)
        total, left = 0, samples
        for at, (kernel, stride) in enumerate(zip(KERNELS, STRIDES, strict=True)):
            left = (left - kernel) // stride + 1
            total += left * kernel * c * (c if at else 1)
        total += frames * c * d + sum(frames * kernel * d * d // self.groups for kernel in self.position)
        total += self.layers * frames * (4 * d * d + 2 * d * self.ffn + 2 * frames * d)
        return 2 * total

    def activations(self, samples: int, batch: int, width: int) -> int:
        """Return bytes: of the first convolutions in float32, or of a feed-forward net beside the streams."""
        first = (samples - KERNELS[0]) // STRIDES[0] + 1
        if self.front == "group":  # a product and its GELU, while the samples under each kernel are in float64
            front = first * (8 * KERNELS[0] + 2 * 4 * self.channels)
        else:  # the input of the second convolution; its product, norm and GELU, half as long
            front = first * self.channels * (4 + (width + 4 + 4) // 2)
        block = self.frames(samples) * (3 * 4 * self.width + 2 * width * self.ffn)
        return batch * max(front, block)


MERT_95M = Config(width=768, layers=12, heads=12, ffn=3072)
MERT_330M = Config(width=1024, layers=24, heads=16, ffn=4096, before=True)
MUSIC2VEC = Config(width=768, layers=12, heads=12, ffn=3072, front="layer", position=(19,) * 5)
