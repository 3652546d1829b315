"""MusiCNN: musically motivated convolutions, trained to tag songs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench import weights as kept
from bench.errors import BenchError
from bench.protocols import LANES, Clip, Extractor, Lane, Window

from ._musicnn_net import FRAMES, HOP, RATE, LogMel, Net
from ._musicnn_weights import MUSICNN, VALUES, shapes, untrained
from ._threads import Threads

if TYPE_CHECKING:
    import torch

LENGTH = (FRAMES - 1) * HOP
"""Samples between the centres of the first and the last frame of a patch."""
SIDE = 256
"""Samples that the outer frames of a patch reach beyond them."""
SHORTEST = RATE // 2
"""Samples of the shortest clip or tail that is heard: half a second, repeated six times, is still music."""


@dataclass(frozen=True)
class MusiCNNSettings:
    """Which weights, how patches are cut, and how the published lane is read.

    weights : msd (Million Song Dataset), mtt (MagnaTagATune), or random: untrained, for trials and speed
    patch_hop : frames (16 ms) from one patch to the next; 187: no overlap, 93: as Essentia's default
    tail : what is left after the last whole patch is dropped, kept (repeated until it fills a patch, when
        half a second or more is left), or replaced by a patch that ends at the track's end (overlap)
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
        """Reject settings that cut no patches, or that the lane does not have."""
        if self.patch_hop < 1:
            raise ValueError(f"patch_hop must be a positive number of frames, got {self.patch_hop}")
        if self.lane == "corrected" and self.reading is not None:
            raise ValueError("reading= chooses inside the published lane: add lane=published")
        changed = self.weights == "mtt" or self.patch_hop != FRAMES or self.tail != "drop"
        if self.lane == "published" and changed:
            raise ValueError("the published lane has weights=msd, patch_hop=187 and tail=drop: leave them alone")


class MusiCNN(Extractor):
    """MusiCNN (Pons & Serra 2019), a small CNN trained on tags; its real weights come by pip.

    16 kHz mono; patches of 187 log-mel frames (3 s) from the track's start, the incomplete last one
    dropped; every patch gives one frame. Layers: `penultimate` (200, after ReLU and batch normalisation;
    the default), `mean_pool` and `max_pool` (753 each: the front end's 561 channels and the middle's
    three times 64, over time), `taggram` (50 tag probabilities). Where a clip has fewer than 187 frames
    its log-mel frames are repeated, as the original did in training; its status is `short`. Less than half
    a second fails.

    In the published lane two readings of Tamm & Aljanaki (2024) are possible. They averaged the package's
    `penultimate` over patches; but the only version ever released to PyPI, 0.1.0, gives the *first*
    patch's `penultimate` again for every later one, so the average is the vector of the first 3 s. The
    repository has been mended since, without a release. ``reading=package``, the default, is what
    ``pip install musicnn``, the way its README names first, computes to this day: of the two the likelier
    one, though which was installed is not known. It has that one layer, the others being unaffected.
    ``reading=fixed`` averages all patches and equals the corrected lane. Both refuse clips of fewer than
    187 frames, as the original fails on them.
    """

    Settings = MusiCNNSettings
    name = "musicnn"
    license = "ISC"
    lanes = LANES
    sample_rate = RATE
    default_layer = "penultimate"
    parameters = VALUES
    weights: Sequence[kept.Weights] = (MUSICNN,)
    settings: MusiCNNSettings

    def __init__(self, settings: MusiCNNSettings):
        super().__init__(settings)
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
        self._trained = settings.weights != "random"
        self.weights = (MUSICNN,) if self._trained else ()
        self.trained_on = MUSICNN.part(settings.weights).trained_on if self._trained else ()

    def fingerprint(self) -> dict[str, Any]:
        """Which weights, and the hash of their tensors; patches and tails are in the window."""
        if not self._trained:
            return {"weights": "random", "seed": self.settings.seed}
        return {"weights": self.settings.weights, "sha256": kept.sha256(MUSICNN, self.settings.weights)}

    @property
    def untrained(self) -> bool:
        """Whether the settings ask for random weights."""
        return not self._trained

    def unready(self) -> str | None:
        """Say which file is absent and what brings it."""
        if not self._trained or kept.present(MUSICNN, self.settings.weights):
            return None
        return kept.absent(MUSICNN)

    def prepare(self) -> None:
        """Fetch the weights (29 MB from PyPI, once) unless they are there."""
        if self._trained:
            kept.ensure(MUSICNN, self.settings.weights)

    @classmethod
    def tiny(cls, lane: Lane = "corrected") -> MusiCNN:
        """Return the whole network untrained: it is small."""
        return cls(MusiCNNSettings(weights="random"))

    def load(self, device: str, dtype: str) -> None:
        """Build the network on `device`, always in float32, the precision in which its vectors are stored."""
        import torch

        self.prepare()
        if self._trained:
            tensors = kept.load(MUSICNN, self.settings.weights, device)
        else:
            tensors = {k: torch.from_numpy(v).to(device) for k, v in untrained(self.settings.seed).items()}
        found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        if found != shapes():
            odd = sorted(name for name in found.keys() | shapes().keys() if found.get(name) != shapes().get(name))
            raise BenchError(f"musicnn: tensors missing or of another shape: {', '.join(odd)}.")
        self._mel, self._net, self._threads = LogMel(device), Net(tensors), Threads()

    def frames(self, waves: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """Waves (B, 256 + length + 256) to one frame a patch and layer, (B, 1, D)."""
        import torch

        if waves.is_cuda:
            with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
                found = [self._net(self._mel(waves))]
        else:
            found = self._threads.map(lambda wave: self._net(self._mel(wave[None])), list(waves))
        for name in self.layers:
            yield name, torch.cat([one[name] for one in found])[:, None]
