"""MERT: a HuBERT that was taught by EnCodec's codes and a constant-Q spectrogram of music."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench import weights as kept
from bench.errors import BenchError
from bench.protocols import LANES, Clip, Lane, Window
from bench.weights import Part, Source, Weights

from ._checkpoint import count, reader
from ._pretrained import ASIDE, Precision
from ._wav2vec_config import MERT_95M, MERT_330M, Config
from ._wav2vec_extractor import PUBLISHED, Wav2Vec, window_of

Convert = Callable[[Mapping[str, Path]], Mapping[str, NDArray[np.generic]]]
RATE = 24_000
FLAG = f"{ASIDE}do_normalize"
TINY = Config(width=32, layers=2, heads=4, ffn=48, before=True, groups=4, channels=16)


def _convert(config: Config) -> Convert:
    """Read the state dict, and beside it whether the publisher's preprocessor normalises."""
    tensors = reader(config.tensors)

    def convert(members: Mapping[str, Path]) -> Mapping[str, NDArray[np.generic]]:
        path = members["preprocessor_config.json"]
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            rate, flag = said["sampling_rate"], said["do_normalize"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BenchError(f"{path} is not MERT's preprocessor file: {type(error).__name__} {error}.") from error
        if rate != RATE or not isinstance(flag, bool):
            raise BenchError(f"{path} says {rate} Hz and do_normalize {flag}; MERT v1 hears {RATE} Hz.")
        return {**tensors(members), FLAG: np.array([flag], np.uint8)}

    return convert


def _weights(name: str, repository: str, revision: str, config: Config, trained_on: str) -> Weights:
    files = ("pytorch_model.bin", "preprocessor_config.json")
    base = f"https://huggingface.co/m-a-p/{repository}/resolve/{revision}"
    return Weights(
        name=name,
        license="CC BY-NC 4.0",
        non_commercial=True,
        # Nobody has published hashes of these files: those of the first pull are recorded, others refused.
        sources=tuple(Source(file, f"{base}/{file}") for file in files),
        parts=(Part("v1", files, trained_on=(trained_on,)),),
        convert=_convert(config),
    )


MERT_330M_WEIGHTS = _weights(
    "mert", "MERT-v1-330M", "0e06c986db0527c0fd1b47181c40f006805e3de0", MERT_330M, "undisclosed (160,000 h)"
)
MERT_95M_WEIGHTS = _weights(
    "mert-95m", "MERT-v1-95M", "12af15fef9d0ac838c3f475bfbbf26d2060dd4f5", MERT_95M, "undisclosed (20,000 h)"
)
SIZES = {"330M": (MERT_330M, MERT_330M_WEIGHTS), "95M": (MERT_95M, MERT_95M_WEIGHTS)}
NORMALIZES = {"330M": False, "95M": True}
"""What is presumed of the publisher's preprocessor until its file is here."""


@dataclass(frozen=True)
class MERTSettings:
    """Which size, how tracks are cut and evened out, and in which precision it multiplies.

    size : 330M (24 layers of 1024) or 95M (12 of 768)
    weights : v1, or random: untrained, for trials and speed
    window : seconds heard at once, side by side, 5 as in training; 30 is common; none: the whole track
    normalize : zscore (each clip to mean 0 and variance 1), none, or hub: as the preprocessor file at the
        pinned revision says. Upstream contradicts itself here; it matters for quiet recordings only
    precision : of matrix products; vectors are averaged in float64 all the same
    seed : of random weights
    """

    lane: Lane = "corrected"
    size: Literal["330M", "95M"] = "330M"
    weights: Literal["v1", "random"] = "v1"
    window: float | None = 5.0
    normalize: Literal["hub", "zscore", "none"] = "hub"
    precision: Precision = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject windows that hold too little, and settings that the lane does not have."""
        if self.window is not None and not self.window >= 1:
            raise ValueError(f"window must be at least 1 second, or none for the whole track; got {self.window:g}")
        if self.lane == "published" and (self.size, self.window, self.normalize) != ("330M", 5.0, "hub"):
            raise ValueError("the published lane has size=330M and 30 s at once, not normalised: leave them alone")


class MERT(Wav2Vec):
    """MERT v1 (Li et al. 2024, arXiv:2306.00107), a self-supervised transformer over 24 kHz audio, 75 frames a second.

    Layers: ``0`` is what enters the first block, ``k`` what leaves block k; the last, after the final norm,
    is the default, though no layer is best for everything. Windows of 5 s, the context of training, lie side
    by side; a tail of less than a second is dropped unless it is all there is, half a second at least.

    The published lane is what Tamm & Aljanaki (2024) ran: the first 30 s in one piece, shorter clips filled
    up with zeros (which count as frames, and change the others through norm and attention), not normalised.

    MERT-v0-public, another model, was trained on Music4All; what v1 was trained on is not disclosed.
    """

    Settings = MERTSettings
    name = "mert"
    lanes = LANES
    sample_rate = RATE
    weights: Sequence[Weights] = (MERT_330M_WEIGHTS, MERT_95M_WEIGHTS)
    settings: MERTSettings

    def __init__(self, settings: MERTSettings, config: Config | None = None):
        super().__init__(settings)
        full, weights = SIZES[settings.size]
        self.set_config(config or full)
        self.parameters = count(self.config.tensors())
        self.use(weights, "v1")
        if settings.lane == "published":
            self.window, self.clip, self.normalize = Window(length=None), PUBLISHED, "none"
        else:
            self.window, self.clip = window_of(settings.window, RATE), Clip()
            self.normalize = self._by_hub() if settings.normalize == "hub" else settings.normalize

    def _by_hub(self) -> Literal["zscore", "none"]:
        flag = None if self._of is None else kept.peek(*self._of, FLAG)
        return "zscore" if (NORMALIZES[self.settings.size] if flag is None else bool(flag[0])) else "none"

    @classmethod
    def tiny(cls, lane: Lane = "corrected") -> MERT:
        """Return two narrow layers, untrained."""
        return cls(MERTSettings(lane=lane, weights="random"), TINY)
