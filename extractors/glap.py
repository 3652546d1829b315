"""GLAP: Dasheng's encoder and a multilingual text encoder in one space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench import weights as files
from bench.errors import BenchError
from bench.protocols import TextTower
from bench.weights import Weights

from ._checkpoint import METADATA, check, count
from ._dasheng_config import RATE, WINDOW
from ._glap_config import FULL, TINY, Config
from ._glap_weights import GLAP_WEIGHTS, PIECES
from ._network import NetworkExtractor, Precision
from ._sonar_config import TextConfig

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from ._glap_net import GLAPNet

EMBEDDING = "embedding"


@dataclass(frozen=True)
class GLAPSettings:
    """Which weights, and in which precision products run.

    weights : general (the published ones), or random: untrained, for trials and speed
    precision : of matrix products of the audio tower; vectors are averaged in float64
    seed : of random weights
    """

    weights: Literal["general", "random"] = "general"
    precision: Precision = "float32"
    seed: int = 0


class GLAP(NetworkExtractor, TextTower):
    """GLAP (Dinkel et al. 2025, arXiv:2506.11350), 16 kHz, 10 s, with texts in one space; free for commercial use.

    Layers: ``0`` to ``12`` are those of `dasheng` (base), 768 each, trained further with texts; ``embedding``, the
    default, is the unit vector of 1024 that is compared with texts, one for each window. Windows of 10 s lie side by
    side; a tail of a second or more is kept and not padded. A track's vector is the mean over windows, which is not a
    unit vector. Texts are read as English; they need the extra ``text`` (SentencePiece).
    """

    Settings = GLAPSettings
    name = "glap"
    license = "Apache-2.0"
    paper = "Dinkel et al. 2025, arXiv:2506.11350"
    traps = (
        "The authors ask for texts such as 'The music in the style of jazz.', not for bare words.",
        "Of recordings longer than 10.08 s, upstream fills the last piece with zeros before the encoder and counts the "
        "padding in the mean; here the last window keeps its length.",
        "It was trained on MusicCaps and Song Describer: their captions are no test of its texts.",
    )
    sample_rate = RATE
    window = WINDOW
    window_per_thread = True
    full, small = FULL, TINY
    weights: Sequence[Weights] = (GLAP_WEIGHTS,)
    text_layer = EMBEDDING
    config: Config
    settings: GLAPSettings

    def __init__(self, settings: GLAPSettings, config: Config = FULL, text_config: TextConfig | None = None):
        super().__init__(settings, GLAP_WEIGHTS, "audio", config)
        self.layers = {**dict.fromkeys(map(str, range(config.depth + 1)), config.width), EMBEDDING: config.joint}
        self.parameters = count(config.tensors())
        self.text_config = text_config or TextConfig()

    def network(self, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> GLAPNet:
        """Build the audio tower from its tensors; products run in `dtype`."""
        from ._glap_net import GLAPNet

        return GLAPNet(self.config, tensors, dtype)

    def text_fingerprint(self) -> str | None:
        """Return the sha256 of the text tower, which is a file of its own; None if it is absent or not used."""
        return None if self.untrained or not files.present(GLAP_WEIGHTS, "text") else files.sha256(GLAP_WEIGHTS, "text")

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors (N, 1024) of N English texts, of unit length; loads the text tower (3 GB) each time."""
        import torch

        from ._sonar_net import SonarNet, codes_of

        if self.untrained:
            raise BenchError(
                "glap:weights=random has no vectors of texts: nothing has brought sound and text together."
            )
        if not files.present(GLAP_WEIGHTS, "text"):
            raise BenchError(files.absent(GLAP_WEIGHTS))
        tensors = files.load(GLAP_WEIGHTS, "text")
        codes = codes_of(texts, tensors[PIECES].numpy().tobytes(), "text")
        tower = {name: tensor for name, tensor in tensors.items() if not name.startswith(METADATA)}
        found = {name: tuple(tensor.shape) for name, tensor in tower.items()}
        check(found, self.text_config.tensors(), str(files.folder(GLAP_WEIGHTS)))
        with torch.inference_mode():
            net = SonarNet(self.text_config, tower)
            return torch.stack([net(each) for each in codes]).numpy()
