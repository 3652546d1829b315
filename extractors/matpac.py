"""MATPAC++: a vision transformer that predicts the latents of masked patches, trained on music."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.weights import Part, Source, Weights

from ._checkpoint import count, reader
from ._matpac_config import FULL, RATE, ROWS, TINY, WINDOW, Config
from ._network import NetworkExtractor, Precision

if TYPE_CHECKING:
    import torch

    from ._matpac_net import MATPACNet

FILE = "matpac_plus_music_6s_2048_enconly.pt"
PREFIX = "student_encoder."
"""Of the blocks and the last norm in the published file."""
UNUSED = ("log_mel.", "teacher_encoder.", "predictor.", "mcl_heads.", "cls_student_head.", "cls_teacher_head.")
"""Tables of the spectrogram, and what only training needs: upstream ignores unknown tensors."""
MATPAC_WEIGHTS = Weights(
    name="matpac",
    license="not stated; treated as non-commercial",
    non_commercial=True,
    # No hash is published: the first file is recorded, and later ones must match.
    sources=(Source(FILE, f"https://github.com/aurianworld/matpac/releases/download/MATPAC%2B%2B/{FILE}"),),
    parts=(Part("model", (FILE,), trained_on=("undisclosed (music)",)),),
    convert=reader(FULL.tensors, prefix=PREFIX, unused=UNUSED),
)


@dataclass(frozen=True)
class MATPACSettings:
    """Which weights, and in which precision products run.

    weights : music (MATPAC++ trained on music), or random: untrained, for trials and speed
    precision : of matrix products; vectors are averaged in float64
    seed : of random weights
    """

    weights: Literal["music", "random"] = "music"
    precision: Precision = "float32"
    seed: int = 0


class MATPAC(NetworkExtractor):
    """MATPAC++ (Quelennec et al. 2025, arXiv:2508.12709), 16 kHz, 3840 values for each 160 ms.

    Layers: ``k`` is the output of block k, the states of five rows of 16 mel bands side by side; ``12``, after the
    final norm, is upstream's output and the default. The frames of a recording are cut into pieces of 608 (6.08 s), as
    upstream's inference `precise` does; the last piece keeps its length, filled up to a multiple of 16 frames. The
    shortest clip is 175 ms.
    """

    Settings = MATPACSettings
    name = "matpac"
    license = "not stated; treated as non-commercial"
    non_commercial = True
    paper = "Quelennec et al. 2025, arXiv:2508.12709"
    traps = (
        "The repository has no licence file: its authors have not said who may use the code and the weights.",
        "Upstream's inference `fast` fills the last piece with up to 6 s of zeros that count in the mean, and without "
        "pooling it returns frames of all pieces in turns, not in the order of time.",
        "Upstream chooses its sizes by whether the path of the checkpoint contains the letters `as`: a folder named "
        "`datasets` is enough for those of the model that was fine-tuned on AudioSet.",
        "Upstream takes the channels of a stereo recording for two recordings.",
        "Upstream's code fails at import under Python 3.11 and later: a default of its configuration is mutable.",
    )
    sample_rate = RATE
    window = WINDOW
    window_per_thread = True
    full, small = FULL, TINY
    weights: Sequence[Weights] = (MATPAC_WEIGHTS,)
    config: Config
    settings: MATPACSettings

    def __init__(self, settings: MATPACSettings, config: Config = FULL):
        super().__init__(settings, MATPAC_WEIGHTS, "model", config)
        self.layers = {str(layer): ROWS * self.config.width for layer in range(1, self.config.depth + 1)}
        self.parameters = count(self.config.tensors())

    def network(self, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> MATPACNet:
        """Build the network from its tensors; products run in `dtype`."""
        from ._matpac_net import MATPACNet

        return MATPACNet(self.config, tensors, dtype)
