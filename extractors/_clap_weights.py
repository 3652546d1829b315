"""CLAP's published files: transformers' format without text, and laion_clap's with the text tower and its tokenizer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.weights import Part, Source, Weights, read_torch

from ._checkpoint import METADATA, reader
from ._clap_config import FULL, TEXT_FULL, Config, TextConfig

if TYPE_CHECKING:
    import torch

TEXT, VOCABULARY, MERGES = f"{METADATA}text.", f"{METADATA}vocab.json", f"{METADATA}merges.txt"
"""Names under which the text tower and the bytes of the tokenizer's files are stored."""
TRAINED_ON = ("audioset", "laion-audio-630k", "undisclosed")
_ROBERTA = "https://huggingface.co/FacebookAI/roberta-base/resolve/e2da8e2f811d1448a5b465c236feacd80ffbac7b"
_UNUSED = (
    "audio_transform.", "text_transform.", "logit_scale", "text_branch.embeddings.position_ids",
    "audio_branch.spectrogram_extractor.", "audio_branch.logmel_extractor.", "audio_branch.tscam_conv.",
    "audio_branch.head.", "audio_branch.bn0.num_batches_tracked",
)  # fmt: skip
_BUFFERS = (".attn_mask", ".relative_position_index")
_BLOCK = {
    "attn.proj": "attention.output.dense", "attn.relative_position_bias_table":
    "attention.self.relative_position_bias_table", "norm1": "layernorm_before", "norm2": "layernorm_after",
    "mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense",
}  # fmt: skip
_IGNORED = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype")
"""Named by the training state beside the tensors."""


def music_audioset(
    members: Mapping[str, Path], audio: Config = FULL, text: TextConfig = TEXT_FULL
) -> dict[str, NDArray[np.generic]]:
    """Convert laion_clap's checkpoint, and the vocabulary and merges of its tokenizer, to the tensors of both towers.

    Raises
    ------
    BenchError
        When the file cannot be read or does not hold the tensors.

    """
    checkpoint, vocabulary, merges = members.values()
    shapes = {**audio.tensors(), **{TEXT + name: shape for name, shape in text.tensors().items()}}
    convert = reader(lambda: shapes, read=_renamed)
    files = ((VOCABULARY, vocabulary), (MERGES, merges))
    return convert({"": checkpoint}) | {name: np.frombuffer(path.read_bytes(), np.uint8) for name, path in files}


def _renamed(path: Path) -> dict[str, torch.Tensor]:
    found = read_torch(path, ignore=_IGNORED)
    state = found.get("state_dict", found) if isinstance(found, Mapping) else {}
    named = ((name.removeprefix("module."), tensor) for name, tensor in state.items())
    return dict(pair for name, tensor in named for pair in _ours(name, tensor))


def _ours(name: str, tensor: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield a published tensor under our names: none if it is not needed, three for queries, keys and values."""
    if name.startswith(_UNUSED) or name.endswith(_BUFFERS):
        return
    name = re.sub(r"_projection\.([02])\.", lambda match: f"_projection.linear{int(match[1]) // 2 + 1}.", name)
    if name.startswith(("text_branch.", "text_projection.")):
        yield TEXT + name.removeprefix("text_branch."), tensor
        return
    name = name.removeprefix("audio_branch.").replace("bn0.", "batch_norm.")
    block = re.fullmatch(r"(layers\.\d+\.blocks\.\d+)\.(.+?)(\.weight|\.bias|)", name)
    if block is None:
        yield name, tensor
    elif block[2] == "attn.qkv":
        for part, piece in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
            yield f"{block[1]}.attention.self.{part}{block[3]}", piece
    else:
        yield f"{block[1]}.{_BLOCK.get(block[2], block[2])}{block[3]}", tensor


MUSIC = Weights(
    name="clap",
    license="Apache-2.0",
    sources=(
        Source(
            file="pytorch_model.bin",
            origin="https://huggingface.co/laion/larger_clap_music/resolve/a0b4534a14f58e20944452dff00a22a06ce629d1"
            "/pytorch_model.bin",
            sha256="5c289311f4a030d768af7ffbfdecd01b008aa64824211899a4e59f4f9d154fd1",
        ),
    ),
    parts=(Part("music", ("pytorch_model.bin",), trained_on=TRAINED_ON),),
    convert=reader(FULL.tensors, prefix="audio_model.audio_encoder.", unused=FULL.unused()),
)
_CHECKPOINT = "music_audioset_epoch_15_esc_90.14.pt"
MUSIC_AUDIOSET = Weights(
    name="clap-music-audioset",
    license="CC0-1.0, tokenizer MIT",
    sources=(
        Source(
            file=_CHECKPOINT,
            origin="https://huggingface.co/lukewys/laion_clap/resolve/b3708341862f581175dba5c356a4ebf74a9b6651/"
            + _CHECKPOINT,
            sha256="fae3e9c087f2909c28a09dc31c8dfcdacbc42ba44c70e972b58c1bd1caf6dedd",
            bytes=2_352_471_003,
        ),
        Source(
            file="vocab.json",
            origin=f"{_ROBERTA}/vocab.json",
            sha256="9e7f63c2d15d666b52e21d250d2e513b87c9b713cfa6987a82ed89e5e6e50655",
            bytes=898_823,
        ),
        Source(
            file="merges.txt",
            origin=f"{_ROBERTA}/merges.txt",
            sha256="1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
            bytes=456_318,
        ),
    ),
    parts=(Part("music_audioset", (_CHECKPOINT, "vocab.json", "merges.txt"), trained_on=TRAINED_ON),),
    convert=music_audioset,
)
