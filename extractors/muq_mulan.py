"""MuQ-MuLan: MuQ joined with a text model, so that music and descriptions of it have one space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench import weights as files
from bench.errors import BenchError
from bench.protocols import Window
from bench.protocols.extractor import TextTower
from bench.weights import Weights

from ._checkpoint import count
from ._muq_mulan_config import FULL, TINY, Config
from ._muq_mulan_weights import MUQ_MULAN, STORED_TOKENIZER
from ._network import NetworkExtractor, Precision
from .musicfm import RATE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST = 512
"""Most tokens of a text, the marks of its begin and end included."""


@dataclass(frozen=True)
class MuQMuLanSettings:
    """Which weights.

    weights : large (MuQ-MuLan-large, the published one), or random: untrained, for trials and speed
    precision : of products; norms and sums stay in float32. The authors recommend float32
    seed : of random weights
    """

    weights: Literal["large", "random"] = "large"
    precision: Precision = "float32"
    seed: int = 0


class MuQMuLan(NetworkExtractor, TextTower):
    """MuQ-MuLan-large (Zhu et al. 2025), a contrastive model of music and texts; its weights are CC BY-NC 4.0.

    24 kHz mono without normalisation, in windows of 10 s side by side; a tail of a second or more is heard as it is.
    Layers: `muq` (1024, MuQ's last states after this training) and `embedding`, the default: a unit vector of 512 for
    each window, which is compared with those of texts in English or Chinese.
    """

    Settings = MuQMuLanSettings
    name = "muq-mulan"
    license = "MIT"
    sample_rate = RATE
    window = Window(length=10 * RATE, hop=10 * RATE, shortest=RATE // 2, shortest_tail=RATE)
    autocast = True
    full, small = FULL, TINY
    weights: Sequence[Weights] = (MUQ_MULAN,)
    text_layer = "embedding"
    paper = "Zhu et al. 2025, arXiv:2501.01108"
    traps = (
        "Upstream fills the last window up with the beginning of the track; here it is heard as it is.",
        "Upstream pads the texts of a batch and averages over the padding, so a text's vector depends on the others; "
        "here each text is read alone.",
        "The mean of a track's unit vectors is no unit vector: compare by cosine.",
        "A text of more than 512 tokens is refused.",
    )
    config: Config
    settings: MuQMuLanSettings

    def __init__(self, settings: MuQMuLanSettings, config: Config = FULL):
        super().__init__(settings, MUQ_MULAN, "audio", config)
        self.layers = {"muq": config.muq.width, "embedding": config.joint}
        self.parameters = count(
            {
                name: shape
                for name, shape in config.tensors().items()
                if not name.startswith("muq.mel.") and "running" not in name
            }
        )

    def text_fingerprint(self) -> str | None:
        """Return the sha256 of the text tower, which is a file of its own; None if it is absent or not used."""
        return None if self.untrained or not files.present(MUQ_MULAN, "text") else files.sha256(MUQ_MULAN, "text")

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the unit vectors (N, 512) of N texts, read one at a time on the CPU in float32.

        Raises
        ------
        BenchError
            When the weights are absent or random, transformers is not installed, or a text is too long.

        """
        import numpy as np
        import torch

        if self.untrained:
            raise BenchError("muq-mulan:weights=random has no text tower: texts need trained weights and a tokenizer.")
        try:
            from tokenizers import Tokenizer

            from ._muq_mulan_net import TextNet
        except ImportError as error:
            raise BenchError("texts of muq-mulan need transformers: pip install transformers.") from error
        if not hasattr(self, "_text"):
            files.ensure(MUQ_MULAN, "text")
            tensors = files.load(MUQ_MULAN, "text")
            self._tokenizer = Tokenizer.from_buffer(tensors.pop(STORED_TOKENIZER).numpy().tobytes())
            self._tokenizer.no_padding()
            self._text = TextNet(self.config).eval()
            self._text.load_state_dict(tensors, strict=False)  # `convert` has compared all names
        out = []
        with torch.inference_mode():
            for text in texts:
                tokens = self._tokenizer.encode(text).ids
                if len(tokens) > LONGEST:
                    raise BenchError(f"a text has {len(tokens)} tokens, at most {LONGEST} are possible: {text[:40]}...")
                out.append(self._text(torch.tensor([tokens]))[0, 0].numpy())
        return np.asarray(out, np.float32).reshape(-1, self.config.joint)
