"""Jukebox's published files: their origin, and how half of them becomes one set of tensors.

The conversion keeps the first 36 of 72 blocks, the encoder and the codes of the VQ-VAE's top level, and the
conditioning on artist, genre and time that an unknown clip gets: 5.3 of 10.3 GB.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.memory import GB, free
from bench.weights import Part, Source, Weights, read_torch

from ._checkpoint import check
from ._jukebox_config import FULL, HOP, RATE, Config

if TYPE_CHECKING:
    import torch

TOTAL_LENGTH = 62 * RATE // HOP * HOP
"""Samples of the song that a clip is declared to come from: training used a minute or more."""
SPAN = {"total_length": (60.0 * RATE, 600.0 * RATE), "absolute_pos": (0.0, 600.0 * RATE), "relative_pos": (0.0, 1.0)}
"""Range that the bins of each embedding of time divide."""


HALF = re.compile(r"^blocks\.\d+\..*\.w$")
"""Tensors stored in half precision, as they are published: the matrices of the blocks."""


def convert(members: Mapping[str, Path]) -> dict[str, NDArray[np.generic]]:
    """Read both files, one after the other, and keep the needed tensors.

    Raises
    ------
    BenchError
        When memory is too small for the larger file, or the tensors do not belong to Jukebox 5b.

    """
    coder, prior = (next(path for name, path in members.items() if name.startswith(word)) for word in ("vq", "prior"))
    need, there = prior.stat().st_size + GB, free("cpu")
    if need > there:
        raise BenchError(
            f"{prior.name} takes {need / GB:.1f} GB of memory to convert, once; {there / GB:.1f} GB are free. Close "
            "other programs, or run the command on a larger machine and copy its cache folder `weights/jukebox` here."
        )
    found: dict[str, torch.Tensor] = {}
    for path in (coder, prior):
        content = read_torch(path)
        state = content.get("model") if isinstance(content, Mapping) else None
        if not isinstance(state, Mapping):
            raise BenchError(f"{path} holds no state dict under 'model'.")
        found |= needed_tensors(state, FULL)
        del content, state
    check({name: tuple(tensor.shape) for name, tensor in found.items()}, FULL.tensors(), f"{prior} and {coder}")
    return {name: tensor.contiguous().numpy() for name, tensor in found.items()}


def needed_tensors(state: Mapping[str, torch.Tensor], config: Config) -> dict[str, torch.Tensor]:
    """Return the tensors that are kept of a published state dict, under this project's names."""
    import torch

    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    found = {local: tensor for name, tensor in state.items() if (local := local_name(name, config.depth)) is not None}
    if "y_emb.artist_emb.emb.weight" in state:
        found["start"] = state["y_emb.artist_emb.emb.weight"][0] + state["y_emb.bow_genre_emb.emb.weight"][0]
        found["positions"] = state["prior.pos_emb.pos_emb"] + time_embeddings(state, config.context)
    return {name: tensor.to(torch.float16 if HALF.match(name) else torch.float32) for name, tensor in found.items()}


def local_name(name: str, depth: int) -> str | None:
    """Return this project's name of a published tensor that is kept unchanged, or None."""
    if name in ("prior.x_emb.weight", "bottleneck.level_blocks.2.k"):
        return {"p": "tokens", "b": "codes"}[name[0]]
    if name.startswith("encoders.2.level_blocks."):
        return "encoder." + name.removeprefix("encoders.2.level_blocks.")
    block = re.match(r"prior\.transformer\._attn_mods\.(\d+)\.", name)
    return f"blocks.{block[1]}.{name[block.end() :]}" if block and int(block[1]) < depth else None


def time_embeddings(state: Mapping[str, torch.Tensor], context: int) -> torch.Tensor:
    """Return the sum (context, width) of the embeddings of total length, and of each token's two positions."""
    import torch

    place = torch.arange(context, dtype=torch.float32) * HOP
    at = {
        "total_length": torch.tensor([float(TOTAL_LENGTH)]),
        "absolute_pos": place,
        "relative_pos": place / TOTAL_LENGTH,
    }
    total: torch.Tensor = torch.zeros(())
    for name, values in at.items():
        table, (low, high) = state[f"y_emb.{name}_emb.emb.weight"], SPAN[name]
        total = total + table[(len(table) * (values - low) / (high - low)).floor().long()]
    return total


JUKEBOX = Weights(
    name="jukebox",
    license="OpenAI Noncommercial Use License",
    non_commercial=True,
    sources=(
        Source(
            file="prior_level_2.pth.tar",
            origin="https://openaipublic.azureedge.net/jukebox/models/5b/prior_level_2.pth.tar",
            sha256="89a1dd14f5b2f9b16b3e73b53fa2138cc89fd96bb13249b4267fea471de92672",
            bytes=10_288_727_721,
        ),
        Source(
            file="vqvae.pth.tar",
            origin="https://openaipublic.azureedge.net/jukebox/models/5b/vqvae.pth.tar",
            sha256="69745413a48e887f8a3fe91b972a6f7f434021a1ce911a99187b331eb48c059a",
        ),
    ),
    parts=(Part("5b", ("prior_level_2.pth.tar", "vqvae.pth.tar"), trained_on=("undisclosed (1.2 million songs)",)),),
    convert=convert,
)
