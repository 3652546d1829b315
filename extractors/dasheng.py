"""Dasheng: a masked autoencoder of mel spectrograms, trained on 272,000 hours of sound of every kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.weights import Weights

from ._checkpoint import count
from ._dasheng_config import BASE, RATE, TINY, WINDOW, Config
from ._dasheng_weights import SIZES
from ._network import NetworkExtractor, Precision

if TYPE_CHECKING:
    import torch

    from ._dasheng_net import DashengNet


@dataclass(frozen=True)
class DashengSettings:
    """Which weights, and in which precision products run.

    weights : base (12 layers of 768), 0.6B (32 of 1280), 1.2B (40 of 1536), or random: base untrained, for trials
        and speed
    precision : of matrix products; vectors are averaged in float64
    seed : of random weights
    """

    weights: Literal["base", "0.6B", "1.2B", "random"] = "base"
    precision: Precision = "float32"
    seed: int = 0


class Dasheng(NetworkExtractor):
    """Dasheng (Dinkel et al. 2024, arXiv:2406.06992), 16 kHz, 10 s, 25 frames a second; free for commercial use.

    Layers: ``0`` is the input of the first block (patches of 64 mel bands and 40 ms, with positions), ``k`` the output
    of block k; the last, after the final norm, is upstream's output and the default. Windows of 10 s lie side by side;
    a tail of a second or more is kept and not padded. The shortest clip is half a second.
    """

    Settings = DashengSettings
    name = "dasheng"
    license = "Apache-2.0"
    paper = "Dinkel et al. 2024, arXiv:2406.06992"
    traps = (
        "Upstream cuts levels off 120 dB below the loudest value of the whole batch, so its vectors of clips with "
        "digital silence depend on the other clips of the batch; here each window has its own limit.",
        "In upstream's repository (0.0.4; not in the package 0.0.9), the last piece of a recording "
        "longer than 10.08 s is padded with zeros to 10.08 s, and its frames attend to the padding.",
        "The metadata of the package name the MIT licence; its licence file and its page name Apache-2.0.",
    )
    sample_rate = RATE
    window = WINDOW
    window_per_thread = True
    full, small = BASE, TINY
    weights: Sequence[Weights] = tuple(weights for _, weights in SIZES.values())
    config: Config
    settings: DashengSettings

    def __init__(self, settings: DashengSettings, config: Config | None = None):
        full, weights = SIZES.get(settings.weights, SIZES["base"])
        super().__init__(settings, weights, "model", config or full)
        self.layers = dict.fromkeys(map(str, range(self.config.depth + 1)), self.config.width)
        self.parameters = count(self.config.tensors())

    def network(self, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> DashengNet:
        """Build the network from its tensors; products run in `dtype`."""
        from ._dasheng_net import DashengNet

        return DashengNet(self.config, tensors, dtype)
