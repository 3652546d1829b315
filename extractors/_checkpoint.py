"""Published torch checkpoints: which tensors they must hold, and how they are read into the cache, once.

A network declares its tensors as name -> shape, under the published names. The published file, the cache
and random weights must match that list exactly. Imports torch only to read a file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.weights import read_torch

if TYPE_CHECKING:
    import torch

Shapes = Mapping[str, tuple[int, ...]]
METADATA = "aside."
"""Prefix of what is stored beside the network's tensors."""
STATISTICS = {"gamma": "gamma", "beta": "beta", "moving_mean": "mean", "moving_variance": "variance"}
"""Tensors of a batch normalisation: TensorFlow's name -> the name here."""
SHOWN = 5
"""Most names of tensors in a message."""
_PARAMETRIZED = re.compile(r"\.parametrizations\.(\w+)\.original([01])$")


def layer_shapes(kernels: Mapping[str, tuple[int, ...]], norms: Mapping[str, int]) -> Shapes:
    """Return the tensors of a network that TensorFlow trained: weights, biases, and those of batch normalisations.

    kernels : layer -> shape of its weight, outputs first
    norms : batch normalisation -> its width
    """
    weights = {f"{layer}.weight": shape for layer, shape in kernels.items()}
    biases = {f"{layer}.bias": shape[:1] for layer, shape in kernels.items()}
    return (
        weights | biases | {f"{norm}.{kind}": (width,) for norm, width in norms.items() for kind in STATISTICS.values()}
    )


def count(shapes: Shapes) -> int:
    """Return the number of values in all tensors."""
    return sum(math.prod(shape) for shape in shapes.values())


def check(found: Shapes, wanted: Shapes, where: str) -> None:
    """Compare the names and shapes of tensors.

    Raises
    ------
    BenchError
        Listing the tensors of `where` that are missing, unexpected or of another shape.

    """
    faults = {
        "missing": sorted(wanted.keys() - found.keys()),
        "unexpected": sorted(found.keys() - wanted.keys()),
        "of another shape": [
            f"{name} {tuple(found[name])} instead of {tuple(wanted[name])}"
            for name in sorted(found.keys() & wanted.keys())
            if tuple(found[name]) != tuple(wanted[name])
        ],
    }
    if any(faults.values()):
        said = "; ".join(f"{len(names)} {what}: {_some(names)}" for what, names in faults.items() if names)
        raise BenchError(f"{where} does not hold the {len(wanted)} tensors of this model. {said}.")


def reader(
    shapes: Callable[[], Shapes],
    *,
    inside: str | None = None,
    prefix: str = "",
    unused: Sequence[str] = (),
    read: Callable[[Path], Any] = read_torch,
) -> Callable[[Mapping[str, Path]], dict[str, NDArray[np.generic]]]:
    """Return a `bench.weights.Weights.convert` for a part whose first member is a pickled state dict.

    shapes : the tensors that it must return
    inside : key of the state dict in the file; None: the file is a state dict
    prefix : removed from the names that have it
    unused : beginnings of names (without `prefix`) that the network does not need; they are dropped
    read : reads the file; the default reads the tensors of a pickle
    """

    def convert(members: Mapping[str, Path]) -> dict[str, NDArray[np.generic]]:
        path = next(iter(members.values()))
        state = read(path)
        if inside is not None:
            state = state.get(inside) if isinstance(state, Mapping) else None
        if not isinstance(state, Mapping):
            raise BenchError(f"{path} holds no state dict{f' under {inside!r}' if inside else ''}.")
        tensors = {old_name(name.removeprefix(prefix)): tensor for name, tensor in state.items()}
        used = {name: tensor for name, tensor in tensors.items() if not name.startswith(tuple(unused))}
        check({name: tuple(tensor.shape) for name, tensor in used.items()}, shapes(), str(path))
        return {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in used.items()}

    return convert


def old_name(name: str) -> str:
    """Return ``X_g`` for ``parametrizations.X.original0`` and ``X_v`` for ``original1``: weight norm's older names."""
    return _PARAMETRIZED.sub(lambda match: f".{match[1]}_{'gv'[int(match[2])]}", name)


def new_name(name: str) -> str:
    """Return the inverse of `old_name`: the names that torch gives to weight norm today."""
    return re.sub(r"\.(\w+)_([gv])$", lambda m: f".parametrizations.{m[1]}.original{'gv'.index(m[2])}", name)


def folded(tensors: dict[str, torch.Tensor], name: str, dim: int) -> torch.Tensor:
    """Take ``NAME_g`` and ``NAME_v`` out of `tensors`; return g v / |v|, the norm being over all axes but `dim`."""
    g, v = tensors.pop(f"{name}_g"), tensors.pop(f"{name}_v")
    axes = [axis for axis in range(v.ndim) if axis != dim]
    return v * (g / v.double().square().sum(axes, keepdim=True).sqrt().to(v.dtype))


def random_arrays(shapes: Shapes, seed: int, gains: tuple[float, float] = (1.0, 1.0)) -> dict[str, NDArray[np.float32]]:
    """Return random weights: normal of variance 1 / inputs, biases 0.

    gains : of norms, from the first to the last channel
    """
    rng = np.random.default_rng(seed)
    out = {}
    for name, shape in shapes.items():
        if len(shape) > 1 and not name.endswith("_g"):
            spread = np.float32(1 / math.sqrt(math.prod(shape[1:])))
            out[name] = rng.standard_normal(shape, np.float32) * spread
        elif len(shape) == 1 and name.endswith(".weight"):
            out[name] = np.linspace(*gains, shape[0], dtype=np.float32)
        else:
            out[name] = np.full(shape, not name.endswith("bias"), np.float32)
    return out


def he_arrays(shapes: Shapes, seed: int) -> dict[str, NDArray[np.float32]]:
    """Return random weights (He et al. 2015: normal, variance 2 / inputs), zero biases, neutral norms."""
    rng = np.random.default_rng(seed)
    out = {}
    for name, shape in shapes.items():
        if len(shape) > 1:
            out[name] = rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / np.prod(shape[1:])))
        else:
            out[name] = np.full(shape, not name.endswith(("bias", "beta", "mean")), np.float32)
    return out


def _some(names: Sequence[Any]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(str, names[:SHOWN])) + more
