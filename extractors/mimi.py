"""Mimi: the codec of the speech model Moshi, whose latents averaged over time are a cheap baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.protocols import Window
from bench.weights import Part, Source, Weights

from ._codec import Codec, converter
from ._mimi_config import CONTEXT, FRAME, FULL, STATE, TINY, Config

RATE = 24_000
KEPT = ("encoder.", "encoder_transformer.", "downsample.")


def rename(name: str) -> str:
    """Return the network's name of a published tensor."""
    name = name.removeprefix("encoder_transformer.").replace(".self_attn.", ".").replace(".mlp.", ".")
    name = name.replace("self_attn_layer_scale.scale", "attention_scale").replace("mlp_layer_scale.scale", "feed_scale")
    return name.replace("encoder.layers.", "encoder.").replace(".conv.", ".")


MIMI = Weights(
    name="mimi",
    license="CC BY 4.0 (weights), MIT or Apache-2.0 (code)",
    sources=(
        Source(
            file="model.safetensors",
            origin="https://huggingface.co/kyutai/mimi/resolve/89091b3e466eb6a9d11e537bf26b144f194978f7/model.safetensors",
            sha256="bac7e85083dcded655d24eaadde7e6eea34c0da1b35fa2d284e641bd2b942a5e",
            bytes=384_649_828,
        ),
    ),
    parts=(Part("24khz", ("model.safetensors",), trained_on=("undisclosed (7,000,000 h, mostly English speech)",)),),
    convert=converter(FULL, KEPT, rename),
)


@dataclass(frozen=True)
class MimiSettings:
    """Which weights.

    weights : 24khz, or random: untrained, for trials and speed
    seed : of random weights
    """

    weights: Literal["24khz", "random"] = "24khz"
    seed: int = 0


class Mimi(Codec):
    """Mimi (Défossez et al. 2024, arXiv:2410.00037), the codec of Moshi: the encoder alone.

    24 kHz mono without normalisation, in windows of 10 s, the context of its transformer; a tail of a second or more
    is kept. Layers: `0` is the input of the transformer, `k` the state after its layer k, 25 a second; the default
    `latent` has 12.5 frames a second before quantisation. All of it runs in float32.
    """

    Settings = MimiSettings
    name = "mimi"
    sample_rate = RATE
    window = Window(length=CONTEXT * STATE, hop=CONTEXT * STATE, shortest=FRAME, shortest_tail=RATE)
    full, small = FULL, TINY
    parameters: int | None = 38_867_232
    weights: Sequence[Weights] = (MIMI,)
    paper = "Défossez et al. 2024, arXiv:2410.00037"
    traps = (
        "The model learned from speech: music is outside of what it was trained to reproduce.",
        "The latents are those before both quantisers; the first one, of meaning, sees the same latents as the others.",
        "Upstream hears a whole track, each state the 10 s before it; here each window of 10 s starts anew.",
    )
    config: Config
    settings: MimiSettings

    def __init__(self, settings: MimiSettings, config: Config = FULL):
        super().__init__(settings, MIMI, "24khz", config)
        self.layers = {**{str(at): config.width for at in range(config.depth + 1)}, "latent": config.width}
