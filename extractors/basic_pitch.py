"""Basic Pitch: which notes sound and when, as a small network of Spotify transcribes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bench.protocols import Window
from bench.weights import Part, Source, Weights, read_checkpoint

from ._basic_pitch_config import FULL, KEYS, LENGTH, PER_KEY, PUBLISHED, RATE, SIDE, Config
from ._checkpoint import STATISTICS, check, count, he_arrays
from ._network import NetworkExtractor, Precision

if TYPE_CHECKING:
    import torch

    from ._basic_pitch_net import BasicPitchNet

INDEX, DATA = (
    f"basic_pitch/saved_models/icassp_2022/nmp/variables/variables.{kind}" for kind in ("index", "data-00000-of-00001")
)
"""TensorFlow's checkpoint in the wheel; it holds the same weights as the ONNX file beside it."""


def convert(members: Mapping[str, Path]) -> dict[str, NDArray[np.generic]]:
    """Read the checkpoint (``.index`` and its data file) into the tensors of `Config.tensors`.

    Raises
    ------
    BenchError
        When the checkpoint cannot be read, or its variables do not belong to Basic Pitch.

    """
    out = renamed(read_checkpoint(members[INDEX], members[DATA]))
    check({name: array.shape for name, array in out.items()}, FULL.tensors(), str(members[INDEX]))
    return out


def renamed(read: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """Return the weights among the variables of a checkpoint, with the names and the order of axes used here."""
    out: dict[str, NDArray[np.generic]] = {}
    for at, name in enumerate(PUBLISHED):
        for kind in ("kernel", "bias", *STATISTICS):
            array = read.get(f"layer_with_weights-{at}/{kind}/.ATTRIBUTES/VARIABLE_VALUE")
            if array is None:
                continue
            if kind == "kernel" and array.ndim == 4:  # TensorFlow: (time, frequency, in, out)
                out[f"{name}.weight"] = np.ascontiguousarray(array.transpose(3, 2, 0, 1))
            else:
                out[f"{name}.{STATISTICS.get(kind, kind)}"] = array
    return out


BASIC_PITCH = Weights(
    name="basic-pitch",
    license="Apache-2.0",
    automatic=True,
    sources=(
        Source(
            file="basic_pitch-0.4.0-py2.py3-none-any.whl",
            origin="pip:basic-pitch==0.4.0",
            sha256="738adb503aae7fdfc7d1e1511aa0ce35052315f260a19531ef4c356708425db0",
            bytes=758_279,
            members={
                INDEX: "356aa1a00095cf2dba17386144e8b289cb04195ae090aa7f324312b08220115e",
                DATA: "f5d12cd7245fecea0c956c963751f3519c263615ea954b5948d5e8c9c3376f9b",
            },
        ),
    ),
    parts=(
        Part(
            "icassp2022",
            (INDEX, DATA),
            "192bc33ed1d29d6098f3ce9cca2f05bb020ec00a0e623c1d79e51861a25c3f57",
            ("guitarset", "ikala", "maestro", "medleydb", "slakh"),
        ),
    ),
    convert=convert,
)


@dataclass(frozen=True)
class BasicPitchSettings:
    """Which weights.

    weights : icassp2022 (the published ones), or random: untrained, for trials and speed
    seed : of random weights
    """

    weights: Literal["icassp2022", "random"] = "icassp2022"
    seed: int = 0


class BasicPitch(NetworkExtractor):
    """Basic Pitch (Bittner et al., ICASSP 2022), a transcriber of notes: what is played, not how it sounds.

    22.05 kHz mono; windows of 2 s, of whose 172 frames the 15 outer ones on both sides are context, as upstream; the
    levels of each window are scaled to its softest and loudest. Layers: `note` (88 keys: how likely each sounds; the
    default), `onset` (88 keys: how likely a note begins) and `contour` (264 thirds of a semitone). The vector of a
    track has the mean of each over time, then its standard deviation: 176, 176 and 528 values. Every frame of a track
    counts; upstream leaves out the last 0.7 %.
    """

    Settings = BasicPitchSettings
    name = "basic-pitch"
    sample_rate = RATE
    pooling = "mean_std"
    layers: Mapping[str, int] = {"contour": KEYS * PER_KEY, "note": KEYS, "onset": KEYS}
    default_layer = "note"
    window = Window(length=LENGTH, hop=LENGTH, left=SIDE, right=SIDE)
    parameters = count(FULL.tensors())
    window_per_thread = True
    full = small = FULL
    weights: Sequence[Weights] = (BASIC_PITCH,)
    paper = "Bittner et al., A Lightweight Instrument-Agnostic Model for Polyphonic Note Transcription, ICASSP 2022"
    traps = ("Its vectors say which notes sound, so a transposed recording has another vector.",)
    settings: BasicPitchSettings

    def __init__(self, settings: BasicPitchSettings, config: Config = FULL):
        super().__init__(settings, BASIC_PITCH, "icassp2022", config)

    @property
    def precision(self) -> Precision:
        """Float32: the network is small, and levels near silence need its range."""
        return "float32"

    def random_arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return random weights (`he_arrays`)."""
        return he_arrays(self.config.tensors(), self.settings.seed)

    def network(self, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> BasicPitchNet:
        """Build the network from its tensors, in float32 whatever `dtype` is."""
        from ._basic_pitch_net import BasicPitchNet

        return BasicPitchNet(tensors)
