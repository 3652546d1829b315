"""A linear layer or a small network on the frozen vectors of another extractor, trained by ``bench train``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.files.hash_index import sha256_once
from bench.protocols import TableSource, file_or

from ._trained import RANDOM, Trained, read_weights, shapes

if TYPE_CHECKING:
    import torch

KINDS = ("linear", "mlp")
WIDTH = 128
"""Values of a vector."""


@dataclass(frozen=True)
class HeadSettings:
    """Which head, on whose vectors, and its weights.

    of : the spec of the extractor below, in parentheses if it has several settings; none: that of the weights
    kind : linear or mlp; none: that of the weights, or mlp for random ones
    weights : random, or a file that ``bench train`` has written
    seed : seed of random weights
    """

    of: str | None = None
    kind: str | None = None
    weights: str = field(default=RANDOM, metadata=file_or(RANDOM))
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject unknown heads, and random ones of nothing."""
        if self.kind not in (None, *KINDS):
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if self.of is None and self.weights == RANDOM:
            raise ValueError("head needs of=SPEC, such as of=mfcc, or weights=PATH")


class Head(Trained, TableSource):
    """A linear layer or an MLP on the vectors of another extractor, which stay as they are: 128 values, length 1.

    The control of `cnn`: trained by the same objective on the same recordings, it shows how much of what `cnn` gains
    comes from the labels, which the vectors below lack, and not from hearing the audio anew.
    """

    Settings = HeadSettings
    name = "head"
    license = "Apache-2.0"
    settings: HeadSettings

    def __init__(self, settings: HeadSettings):
        super().__init__(settings)
        if self.file is None:
            return
        if not self.file.exists():
            raise BenchError(f"{self.file} is missing: train weights with `bench train head:of=SPEC`.")
        self.heard = self.heard_lists()
        for setting, asked in (("kind", settings.kind), ("of", settings.of)):
            if asked not in (None, told := self._told(setting)):
                raise BenchError(f"{self.file} has weights of {setting}={told}, not of {setting}={asked}.")

    @property
    def of(self) -> str:
        """The spec whose vectors arrive as `base`."""
        return self.settings.of or self._told("of")

    @property
    def arch(self) -> str:
        """Linear or mlp."""
        return self.settings.kind or ("mlp" if self.file is None else self._told("kind"))

    def _told(self, setting: str) -> str:
        key = {"kind": "arch"}.get(setting, setting)
        if key not in self._about:
            raise BenchError(f"{self.file} has weights of another extractor than {self.name}.")
        return str(self._about[key])

    def fingerprint(self) -> dict[str, Any]:
        """Return the head, what lies below it, and the hash of its weights or their seed."""
        about = {"of": self.of, "kind": self.arch}
        if self.file is None:
            return {**about, "weights": RANDOM, "seed": self.settings.seed}
        return {**about, "sha256": sha256_once(self.file)}

    def present(self, ids: Sequence[str]) -> NDArray[np.bool_]:
        """Return True for all ids."""
        return np.ones(len(ids), np.bool_)

    def table(self, ids: Sequence[str], *, base: NDArray[np.float32] | None, seed: int) -> NDArray[np.float32]:
        """Return the outputs (N, 128) for `base` (N, D); random weights take means and deviations from `base`.

        Raises
        ------
        BenchError
            The weights belong to vectors of another width.

        """
        import torch

        assert base is not None
        network = self.network(self.settings.seed, base).eval()
        if network[0].mean.shape != base.shape[1:]:
            raise BenchError(
                f"{self.file} has weights for vectors of {len(network[0].mean)} values, not {base.shape[1]}."
            )
        with torch.inference_mode():
            parts = [network(torch.from_numpy(base[at : at + 4096])) for at in range(0, len(base), 4096)]
        return np.concatenate([np.zeros((0, WIDTH), np.float32), *(part.numpy() for part in parts)])

    # -- training -----------------------------------------------------------------------------------------

    def network(self, seed: int, seen: NDArray[np.float32] | None = None) -> Any:
        """Return the head with the weights of the settings; random ones come from `seed`.

        It standardises by the means and deviations of the vectors `seen` (N, D), or by those of the file.
        """
        import torch

        from ._head_net import head

        if self.file is not None:
            (width,) = shapes(self.file)["0.mean"]
            network = head(self.arch, np.zeros((1, width), np.float32), WIDTH)
            read_weights(self.file, network)
            return network
        assert seen is not None
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return head(self.arch, seen, WIDTH)

    def save(self, path: Any, network: torch.nn.Module, about: Any, words: Any = None) -> None:
        """Write a safetensors file that also says which vectors lie below."""
        super().save(path, network, {**about, "of": self.of}, words)
