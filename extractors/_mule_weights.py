"""MULE's published weights: where they are, and how a file of Keras 2.13 becomes the network's tensors."""

from __future__ import annotations

import json
import re
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.formats.hdf5 import read_hdf5
from bench.weights import Part, Source, Weights

from ._checkpoint import Shapes, check
from ._mule_config import FULL

REVISION = "f90a47216d7bd5297843abe541c34c7f789fcf20"
FILE = "model.keras"
CONVOLUTION = "WeightStandardization"
"""Keras' class of standardised convolutions."""
GROUPS = ("weight_standardization", "dense", "scalar_multiply")
"""Groups of arrays: of standardised convolutions, of linear maps, and the factors of residuals."""

Layer = Mapping[str, Any]
Arrays = list[NDArray[np.generic]]


def published_shapes() -> Shapes:
    """Return name -> shape of what the file must hold. Imports torch."""
    return FULL.tensors()


def convert(members: Mapping[str, Path]) -> dict[str, NDArray[np.generic]]:
    """Read the graph (config.json) and the arrays (model.weights.h5) in the zip that Keras writes.

    Keras sorts layers by their depth in the graph. So those of one pathway stand in its order, but the two
    pathways are mixed. A convolution or linear map is recognised by its shape, which the other pathway does not
    have at that depth. The factor of a residual is a single number: it belongs to the block of the convolution
    before it in the graph.

    Raises
    ------
    BenchError
        h5py is not installed, the file cannot be read, or its arrays are not those of the network.

    """
    ((_, path),) = members.items()
    layers, stored = read(path)
    shapes = published_shapes()
    out: dict[str, NDArray[np.generic]] = {}
    try:
        maps = [oriented(arrays) for group in ("weight_standardization", "dense") for arrays in stored[group]]
        names = list(in_order([weight.shape for weight, *_ in maps], shapes))
        for name, (weight, *rest) in zip(names, maps, strict=True):
            out |= zip((f"{name}.weight", f"{name}.bias", f"{name}.gain"), (weight, *rest), strict=False)
        convolutions = [name for name, layer in layers.items() if layer["class_name"] == CONVOLUTION]
        at = dict(zip(convolutions, names, strict=False))
        factors = [name for name, layer in layers.items() if layer["config"].get("learnable")]
        for name, (gain,) in zip(factors, stored["scalar_multiply"], strict=True):
            out[f"{at[before(name, layers)].partition('.convs.')[0]}.gain"] = gain
    except (ValueError, KeyError, IndexError, StopIteration) as error:
        raise BenchError(f"{path} does not hold MULE's network: {error!r}.") from error
    found: dict[str, NDArray[np.generic]] = {name: np.array(x, np.float32, order="C") for name, x in out.items()}
    check({name: array.shape for name, array in found.items()}, shapes, str(path))
    return found


def read(path: Path) -> tuple[dict[str, Layer], dict[str, list[Arrays]]]:
    """Return name -> layer, and group -> arrays of each of its layers, both in the order of the graph."""
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as scratch:
            listed = json.loads(archive.read("config.json"))["config"]["layers"]
            arrays = read_hdf5(Path(archive.extract("model.weights.h5", scratch)), "mule")
        layers = {layer["name"]: layer for layer in listed}
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        raise BenchError(f"{path} cannot be read as a model of Keras: {error!r}.") from error
    found: dict[tuple[str, int], Arrays] = defaultdict(list)
    for name, array in arrays.items():
        if place := re.search(r"/([a-z_]+?)(?:_(\d+))?/", name):
            found[place[1], int(place[2] or 0)].append(array)
    return layers, {group: [found[key] for key in sorted(found) if key[0] == group] for group in GROUPS}


def oriented(arrays: Arrays) -> Arrays:
    """Return weight (out, in, ...) and bias, and the gain of a convolution. Keras stores (..., in, out).

    The arrays of a convolution come as bias, kernel, gain; those of a linear map as kernel, bias.
    """
    *first, weight = sorted(arrays[:2], key=lambda array: array.ndim)
    axes = (3, 2, 0, 1) if weight.ndim == 4 else (1, 0)
    return [weight.transpose(axes), *first, *arrays[2:]]


def in_order(found: Sequence[tuple[int, ...]], shapes: Shapes) -> Iterator[str]:
    """Yield the name of each weight: of those of its shape, in the order of the network, the next one."""
    left: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for name, shape in shapes.items():
        if name.endswith(".weight"):
            left[tuple(shape)].append(name.removesuffix(".weight"))
    for shape in found:
        yield left[shape].pop(0)


def before(name: str, layers: Mapping[str, Layer]) -> str:
    """Return the nearest convolution that leads to a layer."""
    seen = [name]
    for layer in seen:  # grows: breadth first
        if layers[layer]["class_name"] == CONVOLUTION:
            return layer
        nodes = json.dumps(layers[layer]["inbound_nodes"])
        seen += [found for found in re.findall(r'"([^"]+)"', nodes) if found in layers]
    raise ValueError(f"no convolution leads to {name}")


MULE = Weights(
    name="mule",
    license="CC BY-NC 4.0",
    non_commercial=True,
    sources=(
        Source(
            file=FILE,
            origin="https://media.githubusercontent.com/media/PandoraMedia/music-audio-representations/"
            f"{REVISION}/supporting_data/model/{FILE}",
            sha256="1da111d619bac0d422e41f153cbfb903f7ec3c5d3b2768f5d68f04452ed18180",
            bytes=251_054_764,
        ),
    ),
    parts=(Part("musicset", (FILE,), trained_on=("musicset",)),),
    convert=convert,
)
