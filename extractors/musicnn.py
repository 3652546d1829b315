"""MusiCNN: musically motivated convolutions, trained to tag songs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench.protocols import LANES, Clip, Lane, Window
from bench.weights import Weights

from ._checkpoint import count, he_arrays
from ._musicnn_config import FRAMES, FULL, HOP, RATE, Config
from ._musicnn_weights import MUSICNN
from ._network import NetworkExtractor, Precision, check_published

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from ._musicnn_net import MusiCNNNet

LENGTH = (FRAMES - 1) * HOP
"""Samples between the centres of the first and the last frame of a patch."""
SIDE = 256
"""Samples that the outer frames of a patch reach beyond them."""
SHORTEST = RATE // 2
"""Samples of the shortest clip or tail: half a second, repeated six times, is still music."""


@dataclass(frozen=True)
class MusiCNNSettings:
    """Which weights, how patches are cut, and how the published lane is read.

    weights : msd (Million Song Dataset), mtt (MagnaTagATune), or random: untrained, for trials and speed
    patch_hop : frames (16 ms) from one patch to the next; 187: no overlap, 93: as Essentia's default
    tail : the rest after the last whole patch: drop; keep (repeated until it fills a patch, if it has half a
        second or more); or overlap (a patch that ends at the track's end)
    reading : of the published lane: package (0.1.0 as released) or fixed; none stands for package
    seed : of random weights
    """

    lane: Lane = "corrected"
    weights: Literal["msd", "mtt", "random"] = "msd"
    patch_hop: int = FRAMES
    tail: Literal["drop", "keep", "overlap"] = "drop"
    reading: Literal["package", "fixed"] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject settings that cut no patches, or that the lane determines or does not have."""
        if self.patch_hop < 1:
            raise ValueError(f"patch_hop must be a positive number of frames, got {self.patch_hop}")
        if self.lane == "corrected" and self.reading is not None:
            raise ValueError("reading= chooses inside the published lane: add lane=published")
        check_published(self, "patch_hop", "tail")
        if self.lane == "published" and self.weights == "mtt":
            raise ValueError("the published lane has weights=msd, not mtt")


class MusiCNN(NetworkExtractor):
    """MusiCNN (Pons & Serra 2019), a small CNN trained on tags.

    16 kHz mono; patches of 187 log-mel frames (3 s) from the track's start, without the incomplete last one;
    every patch gives one frame. Layers: `penultimate` (200, after ReLU and batch normalisation; the default),
    `mean_pool` and `max_pool` (753 each: the front end's 561 channels and three times 64 of the middle layers,
    over time), `taggram` (50 tag probabilities). If a clip has fewer than 187 frames its log-mel frames are
    repeated, as the original did in training; its status is `short`. Less than half a second fails.

    In the published lane two readings of Tamm & Aljanaki (2024) are possible. They averaged the package's
    `penultimate` over patches. ``reading=package``, the default, is what the version on PyPI computes: the vector of
    the first 3 s. It is the likelier of the two, though which version was installed is unknown, and has that one layer.
    ``reading=fixed`` averages all patches and equals the corrected lane. Both refuse clips of fewer than 187 frames,
    on which the original fails.
    """

    Settings = MusiCNNSettings
    name = "musicnn"
    license = "ISC"
    lanes = LANES
    sample_rate = RATE
    default_layer = "penultimate"
    parameters = count(FULL.tensors())
    window_per_thread = True
    full = small = FULL
    weights: Sequence[Weights] = (MUSICNN,)
    paper = "Pons and Serra 2019, arXiv:1909.06654"
    traps = (
        "The only version on PyPI, 0.1.0, returns the first patch's `penultimate` for every later patch, too; the "
        "repository was corrected without a release. The other layers are right.",
        "Under NumPy 2 the package's float16 spectrogram overflows, and loud tracks get vectors of NaN.",
        "Essentia's documented embedding of MusiCNN is another vector: see `musicnn-essentia`.",
    )
    settings: MusiCNNSettings

    def __init__(self, settings: MusiCNNSettings, config: Config = FULL):
        super().__init__(settings, MUSICNN, settings.weights, config)
        published = settings.lane == "published"
        self._first = published and settings.reading != "fixed"
        self.layers = {"penultimate": 200} | ({} if self._first else {"mean_pool": 753, "max_pool": 753, "taggram": 50})
        self.window = Window(
            length=LENGTH,
            hop=settings.patch_hop * HOP,
            left=SIDE,
            right=SIDE,
            tail=settings.tail,
            shortest=LENGTH if published else SHORTEST,
        )
        self.clip = Clip(seconds=(LENGTH + SIDE) / RATE) if self._first else Clip()

    @property
    def precision(self) -> Precision:
        """Float32, the type of the stored vectors: bfloat16 would miss their tolerance."""
        return "float32"

    def fingerprint(self) -> dict[str, Any]:
        """Return the hash of the tensors, or the seed; there is one precision."""
        return {key: value for key, value in super().fingerprint().items() if key != "precision"}

    def random_arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return random weights (`he_arrays`)."""
        return he_arrays(self.config.tensors(), self.settings.seed)

    def network(self, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> MusiCNNNet:
        """Build the network from its tensors, in float32 whatever `dtype` is."""
        from ._musicnn_net import MusiCNNNet

        return MusiCNNNet(tensors)

    def frames(self, waves: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """Map waves (B, 256 + length + 256) to one frame for each patch and layer, (B, 1, D)."""
        yield from zip(self.layers, self.states(waves), strict=False)  # reading=package: the first layer alone
