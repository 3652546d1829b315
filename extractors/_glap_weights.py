"""GLAP's published checkpoint: its origin, and how both towers are read from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.weights import Part, Source, Weights

from ._checkpoint import METADATA, reader
from ._dasheng_weights import TRAINED_ON, UNUSED, read_checkpoint
from ._glap_config import FULL
from ._sonar_config import TextConfig

CHECKPOINT, TOKENIZER = "glap_checkpoint.pt", "sentencepiece.source.256000.model"
PIECES = f"{METADATA}pieces"
"""Name under which the tokenizer's file is stored beside the text tower."""


def convert(members: Mapping[str, Path]) -> dict[str, NDArray[np.generic]]:
    """Read the text tower if the tokenizer belongs to the part, otherwise the audio tower."""
    checkpoint = {CHECKPOINT: members[CHECKPOINT]}
    if TOKENIZER not in members:
        prefix, unused = "audio_encoder.model.", (*UNUSED, "text_encoder.", "text_proj.")
        return reader(FULL.tensors, inside="model", prefix=prefix, unused=unused, read=read_checkpoint)(checkpoint)
    prefix, other = "text_encoder.model.", ("audio_encoder.", "audio_proj.")
    read = reader(TextConfig().tensors, inside="model", prefix=prefix, unused=other, read=read_checkpoint)
    return {**read(checkpoint), PIECES: np.fromfile(members[TOKENIZER], np.uint8)}


GLAP_WEIGHTS = Weights(
    name="glap",
    license="Apache-2.0",
    sources=(
        # Zenodo publishes no sha256: the first pull records it, and later files must match.
        Source(CHECKPOINT, f"https://zenodo.org/records/15493136/files/{CHECKPOINT}"),
        Source(
            TOKENIZER,
            f"https://dl.fbaipublicfiles.com/SONAR/{TOKENIZER}",
            sha256="14bb8dfb35c0ffdea7bc01e56cea38b9e3d5efcdcb9c251d6b40538e1aab555a",
        ),
    ),
    parts=(
        Part(
            "audio",
            (CHECKPOINT,),
            trained_on=(*TRAINED_ON, "freesound", "audiocaps", "clotho", "musiccaps", "song-describer"),
        ),
        Part("text", (CHECKPOINT, TOKENIZER)),
    ),
    convert=convert,
)
