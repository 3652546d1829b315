"""aiSFX: a small CNN trained to name sound effects; an encoder of all sounds beside those of music."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.protocols import Window
from bench.weights import Part, Source, Weights, read_torch

from ._aisfx_config import FFT, FRAMES, FULL, HOP, RATE, TINY, Config
from ._checkpoint import count, he_arrays, reader
from ._network import NetworkExtractor, Precision

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from ._aisfx_net import AiSFXNet

LENGTH = (FRAMES - 2) * HOP + 1
"""Samples of the shortest patch of 100 frames: as in Essentia, the centre of the last one may lie beyond the track."""
SHORTEST = RATE // 2
"""Samples of the shortest clip or tail: half a second."""
CHECKPOINT = "aisfx/models/checkpoint.pth"


def read(path: Path) -> Any:
    """Return the state dict in the published file, which holds the numbers of the training sets' classes, too."""
    content = read_torch(path, ignore=("numpy.core.multiarray.scalar", "numpy.dtype"))
    return content[0] if isinstance(content, tuple) and content else content


AISFX = Weights(
    name="aisfx",
    license="CC BY 4.0",
    automatic=True,
    sources=(
        Source(
            file="aisfx-0.1.2-py2.py3-none-any.whl",
            origin="pip:aisfx==0.1.2",
            sha256="bfe219950715af179e9a1653e7117cc1852baef267cd6596c42cad74afe1d194",
            bytes=23_140_952,
            members={CHECKPOINT: "499ea75909c932a2f94c35fa722fa4fabc5bcb7e84917209cc5f7402627b7eb5"},
        ),
    ),
    parts=(
        Part(
            "ismir2022",
            (CHECKPOINT,),
            "cba202edbf0cfa501182c3099c22d4a557691c39c0f003f1d520154afe40c7a4",
            (
                "pro-sound-effects",
                "soundly",
                "ucs-mixed",
                "soundstorm",
                "production-elements",
                "cartoon-express",
                "hpx-digital",
                "sound-ideas-6000",
                "sound-ideas-9000",
            ),
        ),
    ),
    convert=reader(FULL.tensors, prefix="embedding_net.", unused=FULL.unused(), read=read),
)


@dataclass(frozen=True)
class AiSFXSettings:
    """Which weights, and how patches are cut.

    weights : ismir2022 (the paper's X-Sequential-CE), or random: untrained, for trials and speed
    patch_hop : frames (23 ms) from one patch to the next; 50, half a patch, as upstream; 100: no overlap
    tail : the rest after the last whole patch: drop; keep (filled up with silence, if it has half a second or
        more); or overlap (a patch that ends at the track's end)
    precision : of convolutions
    seed : of random weights
    """

    weights: Literal["ismir2022", "random"] = "ismir2022"
    patch_hop: int = FRAMES // 2
    tail: Literal["drop", "keep", "overlap"] = "drop"
    precision: Precision = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject settings that cut no patches."""
        if self.patch_hop < 1:
            raise ValueError(f"patch_hop must be a positive number of frames, got {self.patch_hop}")


class AiSFX(NetworkExtractor):
    """aiSFX (Ma & Lerch, ISMIR 2022), a CNN trained on nine libraries of sound effects.

    44.1 kHz mono without normalisation; patches of 100 log-mel frames (2.3 s) from the track's start, one every 50
    frames, without the incomplete last one. Each patch gives one frame of the layer `embedding` (512): the mean over
    frequency, then the maximum over time, of the last convolution. A clip of fewer than 100 frames is filled up
    with silence, as upstream does; its status is `short`. Less than half a second fails. The spectrogram is
    Essentia's, on which the network was trained.
    """

    Settings = AiSFXSettings
    name = "aisfx"
    sample_rate = RATE
    parameters = count(FULL.tensors())
    autocast = True
    window_per_thread = True
    full, small = FULL, TINY
    weights: Sequence[Weights] = (AISFX,)
    paper = "Ma and Lerch, Representation Learning for the Automatic Indexing of Sound Effects Libraries, ISMIR 2022"
    traps = (
        "With its librosa spectrogram the package gives the network bands in place of frames: those vectors differ "
        "entirely, and are not offered here.",
        "It was trained on sound effects, not on music.",
    )
    config: Config
    settings: AiSFXSettings

    def __init__(self, settings: AiSFXSettings, config: Config = FULL):
        super().__init__(settings, AISFX, "ismir2022", config)
        self.layers = {"embedding": config.width}
        self.window = Window(
            length=LENGTH,
            hop=settings.patch_hop * HOP,
            left=FFT // 2,
            right=FFT // 2 + HOP - 1,
            tail=settings.tail,
            shortest=SHORTEST,
        )

    def random_arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return random weights (`he_arrays`)."""
        return he_arrays(self.config.tensors(), self.settings.seed)

    def network(self, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> AiSFXNet:
        """Build the network from its tensors; `autocast` lowers the precision of its convolutions."""
        from ._aisfx_net import AiSFXNet

        return AiSFXNet(self.config, tensors)
