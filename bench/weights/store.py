"""Find, verify and load the installed weights.

``CACHE/weights/NAME/PART.safetensors`` contains the tensors of one part; ``weights.json`` in the same folder
records their hashes and those of the published files, which are deleted after conversion.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.files.atomic import cache_root, file_sha256
from bench.formats.safetensors import read_hashed, tensors_of
from bench.weights.spec import Part, Weights

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

MANIFEST = "weights.json"


def folder(weights: Weights) -> Path:
    """Return the folder of the weights, in ``$BENCH_CACHE`` or the default cache."""
    return cache_root() / "weights" / weights.name


def file_of(weights: Weights, part: str) -> Path:
    """Return the path of a part's file."""
    return folder(weights) / f"{part}.safetensors"


def manifest(weights: Weights) -> dict[str, Any]:
    """Return `parts` (name -> sha256, bytes, values) and `members` (name -> sha256) as recorded."""
    try:
        content = json.loads((folder(weights) / MANIFEST).read_text(encoding="utf-8"))
        if isinstance(content["parts"], dict) and isinstance(content["members"], dict):
            return dict(content)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # absent or damaged: the weights count as absent
    return {"parts": {}, "members": {}}


def present(weights: Weights, part: str | None = None) -> bool:
    """Whether a part (None: every part) is installed, made from the files that are pinned today.

    Its hash is verified when it is loaded.
    """
    content = manifest(weights)
    wanted = [weights.part(part)] if part else weights.parts
    return all(_converted(weights, each, content) and file_of(weights, each.name).exists() for each in wanted)


def _converted(weights: Weights, part: Part, content: Mapping[str, Any]) -> bool:
    """Whether a part is recorded as made from files with the hashes that are pinned."""
    recorded = content["parts"].get(part.name)
    if not isinstance(recorded, dict) or not isinstance(recorded.get("sha256"), str):
        return False  # damaged
    made_from = recorded.get("members", content["members"])
    if not isinstance(made_from, dict):
        return False
    pinned = {name: sha256 for source in weights.sources for name, sha256 in source.contents.items()}
    return all(pinned.get(name) in (None, made_from.get(name)) for name in part.members)


def absent(weights: Weights) -> str:
    """Return a message about absent weights: the files, their licence and origin, and the commands to install them."""
    return (
        f"{weights.name} needs {weights.described}, which is not in {folder(weights)}. "
        f"`bench weights pull {weights.name}` downloads it from {weights.origins}; "
        f"`bench weights add {weights.name} PATH` uses a copy you have."
    )


def load(weights: Weights, part: str, device: str = "cpu") -> dict[str, torch.Tensor]:
    """Return the tensors of an installed part, after verifying its hash. Imports torch.

    Raises
    ------
    BenchError
        The part is absent, or its file has changed since it was converted.

    """
    if not present(weights, part):
        raise BenchError(absent(weights))
    path = file_of(weights, part)
    try:
        content, found = read_hashed(path)
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror or error}.") from error
    if problem := _problem(weights, part, found):
        raise BenchError(f"{problem} It is refused; `bench weights pull {weights.name}` downloads it again.")
    return tensors_of(content, str(path), device)


def peek(weights: Weights, part: str, name: str) -> NDArray[np.generic] | None:
    """Return one small tensor of a part without verifying the file; None if it is absent."""
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
    """Return the sha256 of the part's file, for fingerprints: declared in `Part`, or recorded at conversion.

    Raises BenchError if the hash is not declared and the part is absent.
    """
    pinned = weights.part(part).sha256
    if pinned is None and not present(weights, part):
        raise BenchError(absent(weights))
    return pinned or str(manifest(weights)["parts"][part]["sha256"])


def verify(weights: Weights) -> dict[str, str | None]:
    """Hash all installed parts; return part -> a message if its file is damaged, otherwise None."""
    return {
        part.name: _problem(weights, part.name, file_sha256(file_of(weights, part.name)))
        for part in weights.parts
        if present(weights, part.name)
    }


def _problem(weights: Weights, part: str, found: str) -> str | None:
    wanted = sha256(weights, part)
    if found == wanted:
        return None
    return f"{file_of(weights, part)} is damaged or was replaced: its sha256 should be {wanted} and is {found}."
