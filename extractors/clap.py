"""CLAP: audio and text in one space; an audio tower trained on music, and the text tower beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bench import weights as files
from bench.errors import BenchError
from bench.protocols import TextTower, Window
from bench.weights import Weights

from ._checkpoint import count
from ._clap_config import FULL, RATE, SAMPLES, TEXT_FULL, TINY, Config
from ._clap_weights import MERGES, MUSIC, MUSIC_AUDIOSET, TEXT, VOCABULARY
from ._network import NetworkExtractor, Precision

if TYPE_CHECKING:
    import torch

    from ._clap_net import CLAPNet


@dataclass(frozen=True)
class CLAPSettings:
    """Which weights, and in which precision products run.

    weights : music (larger_clap_music), music_audioset (laion_clap's music_audioset_epoch_15_esc_90.14, with its
        text tower), or random: untrained, for trials and speed
    precision : of matrix products; vectors are averaged in float64
    seed : of random weights
    """

    weights: Literal["music", "music_audioset", "random"] = "music"
    precision: Precision = "float32"
    seed: int = 0


class CLAP(NetworkExtractor, TextTower):
    """LAION CLAP (Wu et al. 2023, arXiv:2211.06687): HTSAT-base, 48 kHz, windows of 10 s.

    Layers: `patches`, the last stage's 64 patches (1024 each); `embedding`, the default, the unit vector of 512
    that is compared with texts, one for each window. Windows lie side by side. A tail of a second or more, and a
    clip of half a second or more, is repeated as often as it fits into 10 s and padded with zeros, as upstream
    does. A track's vector is the mean over windows, which is not a unit vector.

    Texts have vectors with ``weights=music_audioset``: RoBERTa-base, at most 77 tokens.
    """

    Settings = CLAPSettings
    name = "clap"
    sample_rate = RATE
    window = Window(length=SAMPLES, hop=SAMPLES, shortest=RATE // 2, shortest_tail=RATE)
    weights: Sequence[Weights] = (MUSIC, MUSIC_AUDIOSET)
    text_layer = "embedding"
    paper = "Wu et al. 2023, arXiv:2211.06687"
    traps = (
        "Nobody can say how larger_clap_music (weights=music) was trained: its maintainers do not know either.",
        "The text projection of larger_clap_music is collapsed, so its text tower is not used here: take "
        "weights=music_audioset for texts.",
        "laion_clap rounds waves to 16 bits first and hears 10 s at random from a longer clip; here every "
        "window of 10 s is heard, unrounded.",
    )
    window_per_thread = True
    random_gains = (1.0, 1.0)
    full, small = FULL, TINY
    config: Config
    settings: CLAPSettings

    def __init__(self, settings: CLAPSettings, config: Config = FULL):
        part = "music_audioset" if settings.weights == "music_audioset" else "music"
        super().__init__(settings, MUSIC_AUDIOSET if part == "music_audioset" else MUSIC, part, config)
        self.layers = {"patches": config.width, "embedding": config.joint}
        self.parameters = count(config.tensors())
        self._text: Callable[[str], torch.Tensor] | None = None

    def network(self, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> CLAPNet:
        """Build the network from its tensors; products run in `dtype`."""
        from ._clap_net import CLAPNet

        return CLAPNet(self.config, tensors, dtype)

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the unit vectors (N, 512) of N texts, computed on the CPU in float32; see `TextTower.texts`.

        Raises
        ------
        BenchError
            With other weights than music_audioset, when they are absent, or without the package tokenizers.

        """
        import torch

        self._text = self._text or self._load_text()
        with torch.inference_mode():
            return np.stack([self._text(text).numpy() for text in texts])

    def _load_text(self) -> Callable[[str], torch.Tensor]:
        if self.settings.weights != "music_audioset":
            raise BenchError(
                f"clap:weights={self.settings.weights} has no vectors of texts: use weights=music_audioset."
            )
        from ._clap_text import TextNet, Tokenizer

        self.prepare()
        found = files.load(MUSIC_AUDIOSET, "music_audioset")
        tokens = Tokenizer(*(found[name].numpy().tobytes() for name in (VOCABULARY, MERGES)))
        tower = {name.removeprefix(TEXT): tensor for name, tensor in found.items() if name.startswith(TEXT)}
        net = TextNet(TEXT_FULL, tower)
        return lambda text: net(tokens(text))
