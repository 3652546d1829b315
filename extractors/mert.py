"""MERT: a HuBERT trained to predict EnCodec's codes and a constant-Q spectrogram of music."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.protocols import LANES, Lane
from bench.weights import Part, Source, Weights, peek

from ._checkpoint import METADATA, reader
from ._network import Precision, check_published
from ._wav2vec_config import MERT_95M, MERT_330M, Config
from ._wav2vec_extractor import Wav2Vec, check_window

Convert = Callable[[Mapping[str, Path]], Mapping[str, NDArray[np.generic]]]
RATE = 24_000
FLAG = f"{METADATA}do_normalize"
TINY = Config(width=32, layers=2, heads=4, ffn=48, before=True, groups=4, channels=16)


def converter(config: Config) -> Convert:
    """Return a reader of the state dict, and of whether the publisher's preprocessor normalises."""
    tensors = reader(config.tensors)

    def convert(members: Mapping[str, Path]) -> Mapping[str, NDArray[np.generic]]:
        path = members["preprocessor_config.json"]
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            rate, flag = said["sampling_rate"], said["do_normalize"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BenchError(f"{path} is not MERT's preprocessor file ({type(error).__name__} {error}).") from error
        if rate != RATE or not isinstance(flag, bool):
            raise BenchError(f"{path} says {rate} Hz and do_normalize {flag}; MERT v1 takes {RATE} Hz.")
        return {**tensors(members), FLAG: np.array([flag], np.uint8)}

    return convert


def _weights(name: str, repository: str, revision: str, config: Config, trained_on: str) -> Weights:
    files = ("pytorch_model.bin", "preprocessor_config.json")
    base = f"https://huggingface.co/m-a-p/{repository}/resolve/{revision}"
    return Weights(
        name=name,
        license="CC BY-NC 4.0",
        non_commercial=True,
        # No hashes of these files are published: the first pull records them, and later files must match.
        sources=tuple(Source(file, f"{base}/{file}") for file in files),
        parts=(Part("v1", files, trained_on=(trained_on,)),),
        convert=converter(config),
    )


MERT_330M_WEIGHTS = _weights(
    "mert", "MERT-v1-330M", "0e06c986db0527c0fd1b47181c40f006805e3de0", MERT_330M, "undisclosed (160,000 h)"
)
MERT_95M_WEIGHTS = _weights(
    "mert-95m", "MERT-v1-95M", "12af15fef9d0ac838c3f475bfbbf26d2060dd4f5", MERT_95M, "undisclosed (20,000 h)"
)
SIZES = {"330M": (MERT_330M, MERT_330M_WEIGHTS), "95M": (MERT_95M, MERT_95M_WEIGHTS)}
NORMALIZES = {"330M": False, "95M": True}
"""Whether the publisher's preprocessor normalises, as assumed until its file is fetched."""


@dataclass(frozen=True)
class MERTSettings:
    """Which size, how tracks are cut and normalised, and in which precision products run.

    size : 330M (24 layers of 1024) or 95M (12 of 768)
    weights : v1, or random: untrained, for trials and speed
    window : seconds of a window, 5 as in training; 30 is common; none: the whole track
    normalize : zscore (each clip to mean 0 and variance 1), none, or hub: as the preprocessor file at the
        pinned revision says; it matters for quiet recordings only
    precision : of matrix products; vectors are averaged in float64
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
        """Reject short windows, and settings that the published lane determines."""
        check_window(self.window)
        check_published(self, "size", "window", "normalize")


class MERT(Wav2Vec):
    """MERT v1 (Li et al. 2024), a self-supervised transformer over 24 kHz audio, 75 frames a second.

    Layers: ``0`` is the input of the first block, ``k`` the output of block k; the last, after the final norm,
    is the default. Windows of 5 s, the context of training, lie side
    by side; a tail of less than a second is dropped. The shortest clip is half a second.

    The published lane is what Tamm & Aljanaki (2024) ran: the first 30 s as one window, shorter clips padded with
    zeros, not normalised.
    """

    Settings = MERTSettings
    name = "mert"
    lanes = LANES
    sample_rate = RATE
    full, small = MERT_330M, TINY
    weights: Sequence[Weights] = (MERT_330M_WEIGHTS, MERT_95M_WEIGHTS)
    paper = "Li et al. 2024, arXiv:2306.00107"
    traps = (
        "No layer is best for everything: `layer=` chooses, and `bench probe --layers all` compares.",
        "Upstream contradicts itself on whether clips are normalised: see `normalize=`.",
        "Zeros at the end of a short clip count as frames, and change the others through norm and attention.",
        "The code on the hub fails with some versions of transformers from 4.48 on; bench does not use it.",
        "The training data are not disclosed. MERT-v0-public, another model, was trained on Music4All.",
    )
    settings: MERTSettings

    def __init__(self, settings: MERTSettings, config: Config | None = None, weights: Weights | None = None):
        full, published = SIZES[settings.size]
        super().__init__(settings, weights or published, config or full)
        if settings.lane == "corrected" and settings.normalize == "hub":
            flag = None if self._trained is None else peek(*self._trained, FLAG)
            normalizes = NORMALIZES[settings.size] if flag is None else bool(flag[0])
            self.normalize = "zscore" if normalizes else "none"
