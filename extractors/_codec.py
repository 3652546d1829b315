"""What extractors of neural audio codecs share: a published transformers checkpoint, float32, a layer `latent`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.weights import read_safetensors

from ._checkpoint import check
from ._config import NetworkConfig
from ._network import NetworkExtractor, Precision

if TYPE_CHECKING:
    import torch


def converter(
    config: NetworkConfig, prefixes: Sequence[str], rename: Callable[[str], str] = str
) -> Callable[[Mapping[str, Path]], dict[str, NDArray[np.generic]]]:
    """Return a reader of transformers' safetensors file that keeps the encoder of a codec.

    prefixes : beginnings of the published names that are kept
    rename : published name -> name in the network; parameters of activations become vectors
    """

    def convert(members: Mapping[str, Path]) -> dict[str, NDArray[np.generic]]:
        (path,) = members.values()
        state: dict[str, torch.Tensor] = read_safetensors(path)
        kept = {rename(name): tensor for name, tensor in state.items() if name.startswith(tuple(prefixes))}
        found = {name: tensor.flatten() if name.endswith("alpha") else tensor for name, tensor in kept.items()}
        check({name: tuple(tensor.shape) for name, tensor in found.items()}, config.tensors(), str(path))
        return {name: tensor.contiguous().numpy() for name, tensor in found.items()}

    return convert


class Codec(NetworkExtractor):
    """A codec's encoder, which runs in float32 throughout."""

    @property
    def precision(self) -> Precision:
        """Type of the network's products: always float32."""
        return "float32"
