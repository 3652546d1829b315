"""An extractor as somebody outside the project would write it: two layers, real context on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bench.protocols import Extractor, Window

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TwoLayersSettings:
    bands: int = 24
    seed: int = 0

    def __post_init__(self) -> None:
        if self.bands < 2:
            raise ValueError(f"bands must be at least 2, got {self.bands}")


class TwoLayers(Extractor):
    """A random convolutional net: 24 band energies, then 40 units that look two frames to either side.

    Frames are 1024 samples every 256; the second layer's kernel of 5 frames needs two more on each
    side, so the window asks for 512 + 512 samples of context left and right and a hop of 64 frames.
    """

    Settings = TwoLayersSettings
    name = "twolayers"
    version = "2"
    license = "MIT"
    sample_rate = 16_000
    settings: TwoLayersSettings

    def __init__(self, settings: TwoLayersSettings):
        super().__init__(settings)
        self.layers = {"bands": settings.bands, "units": 40}
        self.window = Window(length=63 * 256, hop=64 * 256, left=1024, right=1024, shortest=4096, shortest_tail=0)

    def fingerprint(self) -> dict[str, Any]:
        return asdict(self.settings)

    def load(self, device: str, dtype: str) -> None:
        import torch

        generator = torch.Generator().manual_seed(self.settings.seed)
        self._bands = torch.rand(513, self.settings.bands, generator=generator).to(device)
        self._units = torch.nn.Conv1d(self.settings.bands, 40, 5, bias=False).requires_grad_(False)
        self._units.weight.copy_(torch.randn(40, self.settings.bands, 5, generator=generator) / 10)
        self._units.to(device)
        self._hann = torch.hann_window(1024, device=device)

    def frames(self, waves: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        import torch

        spectrum = torch.fft.rfft(waves.unfold(-1, 1024, 256) * self._hann).abs()
        bands = torch.log1p(spectrum @ self._bands)  # two frames more on either side than the window's own
        yield "bands", bands[:, 2:-2]
        yield "units", torch.relu(self._units(bands.transpose(1, 2))).transpose(1, 2)
