"""The extractor of the networks in this package: windows of 3 s to embeddings, and the mean over a track."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bench.errors import BenchError
from bench.files.hash_index import sha256_once
from bench.protocols import Extractor, Lane, Window, file_or

from .._network import products
from .._trained import RANDOM, Trained, read_weights
from .sizes import FFT, FRAME, FRAMES, PARAMETERS, RATE, SAMPLES, WIDTH

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

DEFAULT = "default"
SHIPPED = Path(__file__).with_name("default.safetensors")
"""The weights of plain ``cnn``, trained on the data set demo-sparse."""
ARCH = "mobilenet"


@dataclass(frozen=True)
class CNNSettings:
    """Which network, and its weights.

    arch : mobilenet, resnet18, small or small4; none: that of the weights, or mobilenet for random ones
    weights : default (shipped, trained on demo-sparse), random, or a file that ``bench train`` has written
    seed : seed of random weights
    """

    arch: str | None = None
    weights: str = field(default=DEFAULT, metadata=file_or(DEFAULT, RANDOM))
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject unknown networks."""
        if self.arch is not None and self.arch not in PARAMETERS:
            raise ValueError(f"arch must be one of {', '.join(PARAMETERS)}, got {self.arch!r}")


class CNN(Trained, Extractor):
    """A convolutional network of 3 s windows that ``bench train`` trains: 128 values, mean over windows."""

    Settings = CNNSettings
    name = "cnn"
    license = "Apache-2.0"
    sample_rate = RATE
    window = Window(length=SAMPLES, hop=SAMPLES, tail="overlap", shortest=SAMPLES)
    pooling = "mean"
    paper = (
        "Huang et al., Large-scale weakly-supervised content embeddings for music recommendation and tagging, "
        "ICASSP 2020"
    )
    traps = (
        "The shipped weights (`weights=default`) have heard synthesised music alone, that of demo-sparse: they know "
        "little of real music.",
    )
    settings: CNNSettings

    def __init__(self, settings: CNNSettings):
        super().__init__(settings)
        self.layers = {"embedding": WIDTH}
        if self.file is None or self.file.exists():
            self.parameters = PARAMETERS.get(self.arch)
        if self.file is not None and self.file.exists():
            self.heard = self.heard_lists()
            if settings.arch not in (None, arch := self._about["arch"]):
                raise BenchError(f"{self.file} has weights of arch={arch}, not of arch={settings.arch}.")

    @property
    def file(self) -> Path | None:
        """The file of weights; None for random ones."""
        return {DEFAULT: SHIPPED, RANDOM: None}.get(self.settings.weights, Path(self.settings.weights))

    @property
    def arch(self) -> str:
        """Name of the network."""
        return self.settings.arch or (ARCH if self.file is None else str(self._about["arch"]))

    def fingerprint(self) -> dict[str, Any]:
        """Return the network, and the hash of its weights or their seed."""
        if self.file is None:
            return {"arch": self.arch, "weights": RANDOM, "seed": self.settings.seed}
        if reason := self.unready():
            raise BenchError(reason)
        return {"arch": self.arch, "sha256": sha256_once(self.file)}

    def unready(self) -> str | None:
        """Say that the file of weights is absent, and which command makes one."""
        if self.file is None or self.file.exists():
            return None
        return f"{self.file} is missing: train weights with `bench train cnn:arch={self.settings.arch or ARCH}`."

    def load(self, device: str, dtype: str) -> None:
        """Build network and front end on the device."""
        from .layers import fuse

        self._front = self.front_end().to(device)
        self._net = self.network(self.settings.seed).to(device).eval().requires_grad_(False)
        fuse(self._net)

    def frames(self, waves: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """Map windows (B, 48_000), of 3 s, to one embedding each (B, 1, 128)."""
        with products(waves.device.type, "float32"):
            yield "embedding", self._net(self._front(waves))[:, None]

    def memory(self, batch: int) -> int:
        """Return the bytes of the weights, and of the larger of front end and network for `batch` windows."""
        from .networks import activations

        # Of the front end: frames, their FFT with as much space to work in, complex spectrum, magnitudes.
        front = FRAMES * (FRAME + 2 * FFT + 3 * (FFT // 2 + 1))
        return 4 * (PARAMETERS[self.arch] + batch * (SAMPLES + max(front, activations(self.arch))))

    @classmethod
    def tiny(cls, lane: Lane = "corrected") -> Self:
        """Return the smallest network with random weights."""
        return cls(CNNSettings(arch="small", weights=RANDOM))

    # -- training -----------------------------------------------------------------------------------------

    def front_end(self) -> torch.nn.Module:
        """Return the log-mel spectrogram."""
        from .front_end import LogMel

        return LogMel()

    def network(self, seed: int, seen: NDArray[np.float32] | None = None) -> torch.nn.Module:
        """Return the network with the weights of the settings; random ones come from `seed`."""
        import torch

        from .networks import build

        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            network = build(self.arch)
        # On a CPU, MobileNet then trains in .6 of the time.
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.file is not None:
            read_weights(self.file, network)
        return network
