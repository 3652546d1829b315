"""Files of trained weights: safetensors with the network, the labels' vectors, and how it was trained.

Tensors ``network.*``, and ``labels.weight`` (L, 128) of unit length if it was trained with labels. The metadata has
one key, ``bench``: JSON with the name of the network, the words of the labels, and all that the harness tells of the
training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.files.atomic import canonical_json, whole

if TYPE_CHECKING:
    import torch

PREFIX, LABELS = "network.", "labels.weight"


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
