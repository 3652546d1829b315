"""Choi's networks: three small CNNs trained to tag songs of the Million Song Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench.protocols import Window
from bench.weights import Weights

from ._checkpoint import count
from ._choi_config import FULL, RATE, TINY, Config, NetName
from ._choi_net import Reading
from ._choi_weights import CHOI
from ._network import NetworkExtractor, Precision

if TYPE_CHECKING:
    import torch

    from ._choi_net import ChoiNet


@dataclass(frozen=True)
class ChoiSettings:
    """Which of the three networks, and how its input and statistics are read.

    net : crnn (four convolutions and two GRUs), cnn (five convolutions), compact (five of 32 channels, the network of
        "Transfer learning for music classification and regression tasks")
    weights : msd (Million Song Dataset) or random: untrained, for trials and speed
    reading : of crnn and cnn: trained (as the stored statistics say that they were trained) or example (as the
        source's example runs them)
    seed : of random weights
    """

    net: NetName = "crnn"
    weights: Literal["msd", "random"] = "msd"
    reading: Reading = "trained"
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject a reading that the compact network does not have."""
        if self.net == "compact" and self.reading != "trained":
            raise ValueError("net=compact has one reading: reading=example is for crnn and cnn")


class Choi(NetworkExtractor):
    """The taggers of Choi et al. (2016, 2017), with their own weights.

    12 kHz mono; windows of 29.12 s (compact: 29 s), 96 mel bands, 1366 (1360) frames. A rest of half a window or
    more is heard in a window that ends with the track; shorter tracks fail, because the networks have a fixed length.
    Layers of crnn and cnn: `penultimate` (32 and 256; the default) and `taggram` (probabilities of 50 tags, in the
    order of the source's README). Layers of compact: `1` to `5` (32 each, the means of each block's channels),
    and `all` (160, the five in a row: the default, the feature of the paper).

    ``reading=trained``, the default, standardises every window and divides by deviations; every layer's inputs then
    have the stored mean and deviation. ``reading=example`` does neither for the CRNN and gives the tag scores that the
    source prints; the CNN, which the source runs under Keras 1.0.6, differs in the input alone. The first norm has a
    value for each frame, not for each band as the source's later code says.

    The compact network normalises each channel by the statistics of the batch, also when it is used. Here that batch
    is one window, as in the source's `easy_feature_extraction.py`: a vector never depends on other tracks.
    """

    Settings = ChoiSettings
    name = "choi"
    license = "MIT"
    sample_rate = RATE
    window_per_thread = True
    full, small = FULL["crnn"], TINY["crnn"]
    weights: Sequence[Weights] = (CHOI,)
    paper = "Choi et al. 2016 and 2017, arXiv:1606.00298 (cnn), arXiv:1609.04243 (crnn), arXiv:1703.09179 (compact)"
    traps = (
        "The input of crnn and cnn was standardised in training, as its stored mean and deviation of 0 and 1 show; the "
        "source's example feeds decibels around -25.",
        "Their `running_std` holds standard deviations (.001 of a constant input: the root of Keras 1.0.6's epsilon), "
        "which later Keras takes for variances.",
        "What all of a track has in common is lost in the norms of compact, so its tag scores are no layer.",
        "Tracks shorter than a window of 29 s fail.",
    )
    config: Config
    settings: ChoiSettings

    def __init__(self, settings: ChoiSettings, config: Config | None = None):
        config = config or FULL[settings.net]
        super().__init__(settings, CHOI, settings.net, config)
        self.layers = config.layers
        self.default_layer = "all" if settings.net == "compact" else "penultimate"
        self.parameters = count(config.tensors())
        self.window = Window(
            length=config.samples,
            hop=config.samples,
            tail="overlap",
            shortest=config.samples,
            shortest_tail=config.samples // 2,
        )

    @property
    def precision(self) -> Precision:
        """Float32, the type of the stored vectors."""
        return "float32"

    def fingerprint(self) -> dict[str, Any]:
        """Return network, reading, and the hash of the tensors or the seed; there is one precision."""
        found = {key: value for key, value in super().fingerprint().items() if key != "precision"}
        return {"net": self.settings.net, "reading": self.settings.reading, **found}

    def network(self, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> ChoiNet:
        """Build the network from its tensors, in float32 whatever `dtype` is."""
        from ._choi_net import ChoiNet

        return ChoiNet(tensors, self.config, self.settings.reading)
