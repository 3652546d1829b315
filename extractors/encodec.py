"""EnCodec: a neural audio codec, whose latents averaged over time are a cheap baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.protocols import Window
from bench.weights import Part, Source, Weights, read_safetensors

from ._checkpoint import check, folded, old_name
from ._codec import Codec
from ._encodec_config import FRAME, FULL, TINY, Config

RATE = 24_000


def convert(members: Mapping[str, Path], config: Config = FULL) -> dict[str, NDArray[np.generic]]:
    """Read transformers' checkpoint: the encoder alone, with its weight norms folded.

    Raises
    ------
    BenchError
        When the file cannot be read or does not hold the tensors.

    """
    (path,) = members.values()
    state = {old_name(name): tensor for name, tensor in read_safetensors(path).items() if name.startswith("encoder.")}
    found = {name.replace("encoder.layers.", "encoder.").replace(".conv.", "."): state[name] for name in state}
    for name in [name.removesuffix("_g") for name in found if name.endswith(".weight_g")]:
        found[name] = folded(found, name, dim=0)
    check({name: tuple(tensor.shape) for name, tensor in found.items()}, config.tensors(), str(path))
    return {name: tensor.contiguous().numpy() for name, tensor in found.items()}


ENCODEC = Weights(
    name="encodec",
    license="MIT",
    sources=(
        Source(
            file="model.safetensors",
            origin="https://huggingface.co/facebook/encodec_24khz/resolve/c1dbe2ae3f1de713481a3b3e7c47f357092ee040"
            "/model.safetensors",
        ),
    ),
    parts=(Part("24khz", ("model.safetensors",), trained_on=("audioset", "dns", "common-voice", "fsd50k", "jamendo")),),
    convert=convert,
)


@dataclass(frozen=True)
class EncodecSettings:
    """Which weights.

    weights : 24khz, or random: untrained, for trials and speed
    seed : of random weights
    """

    weights: Literal["24khz", "random"] = "24khz"
    seed: int = 0


class Encodec(Codec):
    """EnCodec, the causal 24 kHz model (Défossez et al. 2022, arXiv:2210.13438): the encoder alone.

    24 kHz mono without normalisation, in windows of 10 s; a tail of a second or more is kept. Layer `latent`: the
    128 values of each of 75 frames a second before quantisation. All of it runs in float32.
    """

    Settings = EncodecSettings
    name = "encodec"
    sample_rate = RATE
    window = Window(length=10 * RATE, hop=10 * RATE, shortest=FRAME, shortest_tail=RATE)
    full, small = FULL, TINY
    parameters: int | None = 7_423_472
    weights: Sequence[Weights] = (ENCODEC,)
    paper = "Défossez et al. 2022, arXiv:2210.13438"
    traps = (
        "A codec learns to reproduce the signal: its latents are a baseline, not a music model.",
        "The latents are those before quantisation, whatever bandwidth a user would choose.",
        "Upstream encodes a whole track at once; here the LSTM starts anew in each window of 10 s.",
    )
    config: Config
    settings: EncodecSettings

    def __init__(self, settings: EncodecSettings, config: Config = FULL):
        super().__init__(settings, ENCODEC, "24khz", config)
        self.layers = {"latent": config.features}
