"""MuQ-MuLan's published weights: their origin, and how they become the tensors of two towers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.weights import Part, Source, Weights, read_safetensors

from ._checkpoint import METADATA, Shapes, check
from ._muq_mulan_config import FULL
from ._musicfm_weights import MSD_LEVELS, UNUSED

CHECKPOINT, TOKENIZER = "model.safetensors", "tokenizer.json"
STORED_TOKENIZER = f"{METADATA}tokenizer"
"""The tokenizer's file, as bytes among the tensors of the text tower."""
MUQ = "audio.model.model."
RENAMED = {
    "audio.transformer.layers.": "head.layers.",
    "audio.proj.": "head.proj.",
    "audio_to_latents.": "head.to_latents.",
    MUQ: "muq.",
}
RENAMED_TEXT = {
    "text.transformer.layers.": "head.layers.",
    "text.proj.": "head.proj.",
    "text_to_latents.": "head.to_latents.",
    "text.model.": "roberta.",
}
DROPPED = (
    "audio.aggregator.", "contrast.", "multi_layer_contrastive_learning.", "text.model.pooler.",
    "text.model.embeddings.position_ids", *(MUQ + name for name in UNUSED),
)  # fmt: skip
"""Tensors that only training needs, and modules of both towers that are never called."""


def text_shapes() -> Shapes:
    """Return name -> shape of the text tower's tensors. Imports transformers."""
    from ._modules import module_shapes
    from ._muq_mulan_net import TextNet

    shapes = module_shapes(lambda: TextNet(FULL))
    return {name: shape for name, shape in shapes.items() if not name.endswith(("position_ids", "token_type_ids"))}


def convert(members: Mapping[str, Path]) -> dict[str, NDArray[np.generic]]:
    """Read one tower: that of texts if its tokenizer is among the members.

    Raises
    ------
    BenchError
        The file cannot be read, or does not hold the tower's tensors.

    """
    path = members[CHECKPOINT]
    text = TOKENIZER in members
    renamed, other = (RENAMED_TEXT, RENAMED) if text else (RENAMED, RENAMED_TEXT)
    out: dict[str, NDArray[np.generic]] = {}
    for name, tensor in read_safetensors(path).items():
        name = name.removeprefix("mulan.")
        if not name.startswith((*DROPPED, *other)):
            new = next(
                (ours + name.removeprefix(theirs) for theirs, ours in renamed.items() if name.startswith(theirs)), name
            )
            out[new] = np.ascontiguousarray(tensor.numpy())
    if text:
        wanted = text_shapes()
    else:
        wanted = FULL.tensors()
        out |= {"muq.mel.mean": np.array(MSD_LEVELS[0], np.float32), "muq.mel.std": np.array(MSD_LEVELS[1], np.float32)}
    check({name: array.shape for name, array in out.items()}, wanted, str(path))
    if text:
        content = members[TOKENIZER].read_bytes()
        if not content.lstrip().startswith(b"{"):
            raise BenchError(f"{members[TOKENIZER]} is no tokenizer in JSON.")
        out[STORED_TOKENIZER] = np.frombuffer(content, np.uint8)
    return out


MUQ_MULAN = Weights(
    name="muq-mulan",
    license="CC BY-NC 4.0",
    non_commercial=True,
    sources=(
        # No hash is published: the first files are recorded.
        Source(CHECKPOINT, f"https://huggingface.co/OpenMuQ/MuQ-MuLan-large/resolve/main/{CHECKPOINT}"),
        Source(TOKENIZER, f"https://huggingface.co/FacebookAI/xlm-roberta-base/resolve/main/{TOKENIZER}"),
    ),
    parts=(
        Part("audio", (CHECKPOINT,), trained_on=("undisclosed",)),
        Part("text", (CHECKPOINT, TOKENIZER), trained_on=("undisclosed",)),
    ),
    convert=convert,
)
