"""The extractor of the networks in this package: windows of 3 s to embeddings, and the mean over a track."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.files.hash_index import sha256_once
from bench.protocols import Extractor, Heard, Lane, Trainable, Window, WordVectors, file_or

from .._network import products
from .sizes import FFT, FRAME, FRAMES, PARAMETERS, RATE, SAMPLES, WIDTH
from .weights import read_about, read_weights, write_weights

if TYPE_CHECKING:
    import torch

DEFAULT, RANDOM = "default", "random"
SHIPPED = Path(__file__).with_name("default.safetensors")
"""The weights of plain ``cnn``, trained on the demo."""
ARCH = "mobilenet"


@dataclass(frozen=True)
class CNNSettings:
    """Which network, and its weights.

    arch : mobilenet, resnet18, small or small4; none: that of the weights, or mobilenet for random ones
    weights : default (shipped, trained on the demo), random, or a file that ``bench train`` has written
    seed : seed of random weights
    """

    arch: str | None = None
    weights: str = field(default=DEFAULT, metadata=file_or(DEFAULT, RANDOM))
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject unknown networks."""
        if self.arch is not None and self.arch not in PARAMETERS:
            raise ValueError(f"arch must be one of {', '.join(PARAMETERS)}, got {self.arch!r}")


class CNN(Extractor, Trainable, WordVectors):
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
        "The shipped weights (`weights=default`) have heard the synthesised music of the demo alone: they know little "
        "of real music.",
    )
    settings: CNNSettings

    def __init__(self, settings: CNNSettings):
        super().__init__(settings)
        self.layers = {"embedding": WIDTH}
        if self.file is None or self.file.exists():
            self.parameters = PARAMETERS.get(self.arch)
        if self.file is not None and self.file.exists():
            about = self._about
            last = {**about, "tracks": self.file.with_suffix(".tracks.parquet").name}
            self.heard = tuple(
                Heard(
                    one["data"],
                    one["cutoff"],
                    tuple(one["signals"]),
                    one["tracks_sha256"],
                    self.file.with_name(one["tracks"]),
                )
                for one in (last, *about.get("before", ()))
            )
            if settings.arch not in (None, about["arch"]):
                raise BenchError(f"{self.file} has weights of arch={about['arch']}, not of arch={settings.arch}.")

    @property
    def file(self) -> Path | None:
        """The file of weights; None for random ones."""
        return {DEFAULT: SHIPPED, RANDOM: None}.get(self.settings.weights, Path(self.settings.weights))

    @property
    def arch(self) -> str:
        """Name of the network."""
        return self.settings.arch or (ARCH if self.file is None else str(self._about["arch"]))

    @property
    def untrained(self) -> bool:
        """Whether the weights are random."""
        return self.file is None

    @property
    def synthetic(self) -> bool:
        """Whether the weights come from synthesised music alone."""
        return self.file is not None and self.file.exists() and bool(self._about.get("builtin"))

    @cached_property
    def _about(self) -> Mapping[str, Any]:
        assert self.file is not None
        return self.trained(self.file)

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

    def network(self, seed: int) -> torch.nn.Module:
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

    def save(
        self,
        path: Path,
        network: torch.nn.Module,
        about: Mapping[str, Any],
        words: tuple[Sequence[str], NDArray[np.float32]] | None = None,
    ) -> None:
        """Write a safetensors file, see `write_weights`."""
        write_weights(path, network, {**about, "arch": self.arch}, words)

    @classmethod
    def trained(cls, path: Path) -> Mapping[str, Any]:
        """Return what is known of the training of a file."""
        return read_about(path)

    def spec_of(self, path: Path) -> str:
        """Return ``cnn:weights=PATH``."""
        from bench.specs import Spec

        return str(Spec(self.name, {"weights": str(path)}))

    # -- words --------------------------------------------------------------------------------------------

    def words(self) -> tuple[Sequence[str], NDArray[np.float32]]:
        """Return the words of the labels it was trained with, and their vectors."""
        from .weights import read_words

        if self.file is None or (found := read_words(self.file)) is None:
            raise BenchError(
                f"{self.name} with these weights knows no words: train with objective=text, tags or hybrid."
            )
        return found
