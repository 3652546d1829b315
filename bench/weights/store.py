"""What is kept of pretrained files, and whether it is still what it was.

``CACHE/weights/NAME/PART.safetensors`` holds the tensors of one part, ``weights.json`` beside them what
they were made from and what they hash to. The published files themselves are not kept.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.files.atomic import cache_root, file_sha256
from bench.formats.safetensors import read_safetensors
from bench.weights.spec import Weights

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

MANIFEST = "weights.json"


def folder(weights: Weights) -> Path:
    """Return where the weights are kept: below ``$BENCH_CACHE`` or the default cache."""
    return cache_root() / "weights" / weights.name


def file_of(weights: Weights, part: str) -> Path:
    """Return where a part is kept."""
    return folder(weights) / f"{part}.safetensors"


def manifest(weights: Weights) -> dict[str, Any]:
    """Return `parts` (name -> sha256, bytes, values) and `members` (name -> sha256) as recorded."""
    try:
        content = json.loads((folder(weights) / MANIFEST).read_text(encoding="utf-8"))
        if isinstance(content["parts"], dict) and isinstance(content["members"], dict):
            return dict(content)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there, or damaged: the weights count as absent
    return {"parts": {}, "members": {}}


def present(weights: Weights, part: str | None = None) -> bool:
    """Whether a part (None: every part) is there; what its bytes hash to is checked when it is loaded."""
    known = manifest(weights)["parts"]
    wanted = [part] if part else [p.name for p in weights.parts]
    return all(name in known and file_of(weights, name).exists() for name in wanted)


def absent(weights: Weights) -> str:
    """Say which file is missing, where it comes from, under which licence, and what brings it."""
    return (
        f"{weights.name} needs {weights.described}, which is not in {folder(weights)}. "
        f"`bench weights pull {weights.name}` brings it from {weights.origins}; "
        f"`bench weights add {weights.name} PATH` takes a copy you have."
    )


def load(weights: Weights, part: str, device: str = "cpu") -> dict[str, torch.Tensor]:
    """Return the tensors of a part that is there, after checking its hash. Imports torch.

    Raises
    ------
    BenchError
        When it is absent, or its bytes are not those that were converted.

    """
    if not present(weights, part):
        raise BenchError(absent(weights))
    if problem := _problem(weights, part):
        raise BenchError(f"{problem} It is refused; `bench weights pull {weights.name}` brings it anew.")
    return read_safetensors(file_of(weights, part), device)


def peek(weights: Weights, part: str, name: str) -> NDArray[np.generic] | None:
    """Return one tensor of a part, small enough to be looked at without hashing the rest; None when it is not there."""
    if not present(weights, part):
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file_of(weights, part), framework="numpy") as file:
            found: NDArray[np.generic] = file.get_tensor(name)
            return found
    except (SafetensorError, OSError):
        return None


def sha256(weights: Weights, part: str) -> str:
    """Return what the part's file hashes to, for fingerprints: pinned, or as recorded when it was converted."""
    pinned = weights.part(part).sha256
    if pinned is None and not present(weights, part):
        raise BenchError(absent(weights))
    return pinned or str(manifest(weights)["parts"][part]["sha256"])


def verify(weights: Weights) -> dict[str, str | None]:
    """Hash every part that is there; return part -> what is wrong with it, or None."""
    return {part.name: _problem(weights, part.name) for part in weights.parts if present(weights, part.name)}


def _problem(weights: Weights, part: str) -> str | None:
    path = file_of(weights, part)
    found, wanted = file_sha256(path), sha256(weights, part)
    if found == wanted:
        return None
    return f"{path} is damaged or was replaced: its sha256 should be {wanted} and is {found}."
