"""What MERT and Music2Vec share: layers, windows, the published lane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.protocols import Clip, Window
from bench.weights import Weights

from ._checkpoint import count
from ._network import NetworkExtractor
from ._wav2vec_config import Config

if TYPE_CHECKING:
    import torch

    from ._wav2vec_net import Wav2VecNet

PUBLISHED_CLIP = Clip(seconds=30.0, pad=True)
"""What Tamm and Aljanaki (2024) gave to their models: 720,000 samples, padded with zeros."""


def check_window(seconds: float | None) -> None:
    """Reject windows shorter than a second.

    Raises
    ------
    ValueError
        Naming the length.

    """
    if seconds is not None and not seconds >= 1:
        raise ValueError(f"window must be at least 1 second, or none for the whole track; got {seconds:g}")


def windows_of(seconds: float | None, rate: int) -> Window:
    """Return windows side by side; None: the whole track. A tail of a second or a clip of half a second is kept."""
    if seconds is None:
        return Window(length=None, shortest=rate // 2)
    length = round(seconds * rate)
    return Window(length=length, hop=length, shortest=rate // 2, shortest_tail=rate)


class Wav2Vec(NetworkExtractor):
    """An extractor whose network is described by a `Config`.

    Layers: ``0`` is the input of the first block, ``k`` the output of block k, the last one after the final norm.
    """

    window_per_thread = True
    random_gains = (1.0, 1.0)
    config: Config

    def __init__(self, settings: Any, weights: Weights, config: Config):
        super().__init__(settings, weights, "v1", config)
        self.layers = dict.fromkeys(map(str, range(config.layers + 1)), config.width)
        self.parameters = count(config.tensors())
        if settings.lane == "published":
            self.window, self.clip = Window(length=None), PUBLISHED_CLIP
        else:
            self.window, self.normalize = windows_of(settings.window, self.sample_rate), settings.normalize

    def network(self, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> Wav2VecNet:
        """Build the network from its tensors; products run in `dtype`."""
        from ._wav2vec_net import Wav2VecNet

        return Wav2VecNet(self.config, tensors, dtype)
