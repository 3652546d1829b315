"""What extractors that ``bench train`` trains share: files of weights, what they have heard, and their words.

A file is safetensors: tensors ``network.*``, and ``labels.weight`` (L, 128) of unit length if it was trained with
labels. The metadata has one key, ``bench``: JSON with the name of the network, the words of the labels, and all that
the harness tells of the training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.files.atomic import canonical_json, whole
from bench.protocols import Heard, Trainable, WordVectors
from bench.specs import Spec

if TYPE_CHECKING:
    import torch

RANDOM = "random"
PREFIX, LABELS = "network.", "labels.weight"


class Trained(Trainable, WordVectors):
    """A source of vectors with weights of ``bench train``: inherit from it before `Extractor` or `TableSource`.

    Its settings have a field `weights`: ``random``, or the path of a file.
    """

    name: str
    settings: Any

    @property
    def arch(self) -> str:
        """Name of the network."""
        raise NotImplementedError

    @property
    def file(self) -> Path | None:
        """The file of weights; None for random ones."""
        return None if self.settings.weights == RANDOM else Path(self.settings.weights)

    @property
    def untrained(self) -> bool:
        """Whether the weights are random."""
        return self.file is None

    @property
    def synthetic(self) -> bool:
        """Whether the weights come from synthesised music alone."""
        return self.file is not None and self.file.exists() and bool(self._about.get("builtin"))

    @cached_property
    def _about(self) -> Mapping[str, Any]:
        assert self.file is not None
        return self.trained(self.file)

    def heard_lists(self) -> tuple[Heard, ...]:
        """Return the lists of recordings that the weights have heard, those of the last training first."""
        if self.file is None or not self.file.exists():
            return ()
        last = {**self._about, "tracks": self.file.with_suffix(".tracks.parquet").name}
        return tuple(
            Heard(
                one["data"],
                one["cutoff"],
                tuple(one["signals"]),
                one["tracks_sha256"],
                self.file.with_name(one["tracks"]),
            )
            for one in (last, *self._about.get("before", ()))
        )

    def save(
        self,
        path: Path,
        network: torch.nn.Module,
        about: Mapping[str, Any],
        words: tuple[Sequence[str], NDArray[np.float32]] | None = None,
    ) -> None:
        """Write a safetensors file, see `write_weights`."""
        write_weights(path, network, {**about, "arch": self.arch}, words)

    @classmethod
    def trained(cls, path: Path) -> Mapping[str, Any]:
        """Return what is known of the training of a file."""
        return read_about(path)

    def spec_of(self, path: Path) -> str:
        """Return ``NAME:weights=PATH``."""
        return str(Spec(self.name, {"weights": str(path)}))

    def words(self) -> tuple[Sequence[str], NDArray[np.float32]]:
        """Return the words of the labels it was trained with, and their vectors."""
        if self.file is None or (found := read_words(self.file)) is None:
            raise BenchError(
                f"{self.name} with these weights knows no words: train with objective=text, tags or hybrid."
            )
        return found


def write_weights(
    path: Path,
    network: torch.nn.Module,
    about: Mapping[str, Any],
    words: tuple[Sequence[str], NDArray[np.float32]] | None,
) -> None:
    """Write a network, completely or not at all; equal input gives equal bytes."""
    from safetensors.numpy import save_file

    tensors = {PREFIX + name: value.detach().cpu().contiguous().numpy() for name, value in network.state_dict().items()}
    labels: list[str] = []
    if words is not None:
        labels, tensors[LABELS] = list(words[0]), np.ascontiguousarray(words[1], np.float32)
    with whole(path) as temporary:
        save_file(tensors, temporary, {"bench": canonical_json({**about, "labels": labels})})


def read_about(path: Path) -> dict[str, Any]:
    """Return what a file says of its training.

    Raises
    ------
    BenchError
        When it cannot be read, or `write_weights` has not written it.

    """
    with _opened(path) as file:
        text = (file.metadata() or {}).get("bench")
    try:
        about: dict[str, Any] = json.loads(text or "")
        missing = {"arch", "data", "cutoff", "signals", "tracks_sha256", "labels"} - about.keys()
    except (TypeError, ValueError, AttributeError):
        missing = {"bench"}
    if missing:
        raise BenchError(f"{path} was not written by `bench train`: it does not say {', '.join(sorted(missing))}.")
    return about


def read_weights(path: Path, network: torch.nn.Module) -> None:
    """Load the network's tensors from a file.

    Raises
    ------
    BenchError
        When the file cannot be read, or has tensors of another network.

    """
    import torch

    with _opened(path) as file:
        names = [name for name in file.keys() if name.startswith(PREFIX)]  # noqa: SIM118 - no mapping
        tensors = {name.removeprefix(PREFIX): torch.from_numpy(file.get_tensor(name)) for name in names}
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    if {name: tuple(value.shape) for name, value in tensors.items()} != wanted:
        raise BenchError(f"{path} has tensors of another network.")
    network.load_state_dict(tensors)


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each of the network's tensors in a file."""
    with _opened(path) as file:
        names = [name for name in file.keys() if name.startswith(PREFIX)]  # noqa: SIM118 - no mapping
        return {name.removeprefix(PREFIX): tuple(file.get_slice(name).get_shape()) for name in names}


def read_words(path: Path) -> tuple[list[str], NDArray[np.float32]] | None:
    """Return the words of a file and their vectors (L, D); None if it was trained without labels."""
    labels = read_about(path)["labels"]
    if not labels:
        return None
    with _opened(path) as file:
        vectors: NDArray[np.float32] = file.get_tensor(LABELS)
    return labels, vectors


def _opened(path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, framework="np")
    except (OSError, SafetensorError) as error:
        raise BenchError(f"{path} cannot be read as weights: {error}") from error
