"""Jukebox's published files: what is taken of them, and how it becomes one part of half their size.

Of 72 blocks the first 36 are kept, of the VQ-VAE the top level's encoder and codes, and of the conditioning
on artist, genre and time what an unknown clip gets: 5.3 of 10.3 GB.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.memory import GB, free
from bench.weights import Part, Source, Weights, read_torch

from ._checkpoint import Shapes, check

if TYPE_CHECKING:
    import torch

RATE = 44_100
HOP = 128
"""Samples of a token."""
LASTS = 62 * RATE // HOP * HOP
"""Samples that a clip is said to be part of: at least a minute, or the network was not taught it."""
SPAN = {"total_length": (60.0 * RATE, 600.0 * RATE), "absolute_pos": (0.0, 600.0 * RATE), "relative_pos": (0.0, 1.0)}
"""What the bins of each embedding of time divide."""


@dataclass(frozen=True)
class Shape:
    """Sizes of the network; the defaults are those of the 5b prior, of whose 72 blocks `depth` are run."""

    width: int = 4800
    depth: int = 36
    heads: int = 8
    context: int = 8192
    """Tokens that are heard at once."""
    block: int = 64
    """Tokens of a block of the context."""
    codes: int = 2048
    channels: int = 32
    """Of the VQ-VAE's convolutions."""
    features: int = 64
    """Of its codes."""

    def operations(self, samples: int) -> int:
        """Return 2 * multiplications of one window in the prior, next to which the encoder is nothing."""
        tokens, state = min(samples // HOP, self.context), self.width // 4
        maps = self.width * 4 * state + 2 * self.width**2
        heard = (2 * self.block + tokens // self.block) / 3  # by a token, on average over the three patterns
        return round(2 * tokens * self.depth * (maps + 2 * state * heard))


FULL = Shape()
HALF = re.compile(r"^blocks\.\d+\..*\.w$")
"""Tensors kept in half precision, as they are published: the matrices of blocks."""


def tensors(shape: Shape) -> Shapes:
    """Return name -> shape of what is kept. Imports torch."""
    import torch

    from ._jukebox_net import JukeboxNet
    from ._network import shapes_of

    with torch.device("meta"):
        return shapes_of(JukeboxNet(shape))


def convert(members: Mapping[str, Path]) -> dict[str, NDArray[np.generic]]:
    """Read both files, one after the other, and keep what is needed.

    Raises
    ------
    BenchError
        When memory is too small for the larger file, or the tensors are not those of Jukebox 5b.

    """
    coder, prior = (next(path for name, path in members.items() if name.startswith(word)) for word in ("vq", "prior"))
    need, there = prior.stat().st_size + GB, free("cpu")
    if need > there:
        raise BenchError(
            f"{prior.name} takes {need / GB:.1f} GB of memory to read, once; {there / GB:.1f} GB are free. Close other "
            "programs, or run the same command on a larger machine and copy its cache folder `weights/jukebox` here."
        )
    found: dict[str, torch.Tensor] = {}
    for path in (coder, prior):
        content = read_torch(path)
        state = content.get("model") if isinstance(content, Mapping) else None
        if not isinstance(state, Mapping):
            raise BenchError(f"{path} holds no state dict under 'model'.")
        found |= taken(state, FULL)
        del content, state
    check({name: tuple(tensor.shape) for name, tensor in found.items()}, tensors(FULL), f"{prior} and {coder}")
    return {name: tensor.contiguous().numpy() for name, tensor in found.items()}


def taken(state: Mapping[str, torch.Tensor], shape: Shape) -> dict[str, torch.Tensor]:
    """Return what is kept of a published state dict, under this network's names."""
    import torch

    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    found = {own: tensor for name, tensor in state.items() if (own := own_name(name, shape.depth)) is not None}
    if "y_emb.artist_emb.emb.weight" in state:
        found["start"] = state["y_emb.artist_emb.emb.weight"][0] + state["y_emb.bow_genre_emb.emb.weight"][0]
        found["positions"] = state["prior.pos_emb.pos_emb"] + times(state, shape.context)
    return {name: tensor.to(torch.float16 if HALF.match(name) else torch.float32) for name, tensor in found.items()}


def own_name(name: str, depth: int) -> str | None:
    """Return this network's name of a published tensor that is kept as it is, or None."""
    if name in ("prior.x_emb.weight", "bottleneck.level_blocks.2.k"):
        return {"p": "tokens", "b": "codes"}[name[0]]
    if name.startswith("encoders.2.level_blocks."):
        return "encoder." + name.removeprefix("encoders.2.level_blocks.")
    block = re.match(r"prior\.transformer\._attn_mods\.(\d+)\.", name)
    return f"blocks.{block[1]}.{name[block.end() :]}" if block and int(block[1]) < depth else None


def times(state: Mapping[str, torch.Tensor], context: int) -> torch.Tensor:
    """Embeddings (context, width) of the total length, and of each token's place in seconds and as a share."""
    import torch

    place = torch.arange(context, dtype=torch.float32) * HOP
    at = {"total_length": torch.tensor([float(LASTS)]), "absolute_pos": place, "relative_pos": place / LASTS}
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
