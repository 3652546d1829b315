"""Safetensors files with a hash of their content in the metadata, for checkpoints.

The format itself has no checksum, so a flipped bit would go unnoticed as a changed weight.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class DamagedError(Exception):
    """A file that cannot be read, or whose content is not what was written."""


def write_sealed(path: Path, tensors: Mapping[str, torch.Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors and JSON values to `path` with the sha256 of both."""
    from safetensors.torch import save_file

    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(about)
    save_file(kept, path, {"bench": text, "sha256": _digest(kept, text)})


def read_sealed(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the tensors (on the CPU) and the values of a file of `write_sealed`.

    Raises
    ------
    DamagedError
        When it cannot be read, or its hash differs.

    """
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        text, expected = metadata["bench"], metadata["sha256"]
        if (found := _digest(tensors, text)) != expected:
            raise DamagedError(f"its content has sha256 {found} instead of {expected}")
        return tensors, json.loads(text)
    except DamagedError:
        raise
    except Exception as error:  # a damaged header can ask for anything
        raise DamagedError(f"{type(error).__name__}: {error}") from error


def _digest(tensors: Mapping[str, torch.Tensor], text: str) -> str:
    import torch

    seen = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        seen.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        seen.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return seen.hexdigest()
