"""Choi's published weights: where they are, and how files of Keras 1 become tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.formats.hdf5 import read_hdf5
from bench.weights import Part, Source, Weights

from ._checkpoint import check
from ._choi_config import FULL, NetName

REVISION = "a3be105d0c4c529c512cc197ad8770ff1cc52aa32"
GATES = ("z", "r", "h")
"""Update, reset and candidate of a GRU."""
FILES: dict[str, NetName] = {
    "music_tagger_crnn_weights_tensorflow.h5": "crnn",
    "music_tagger_cnn_weights_tensorflow.h5": "cnn",
    "weights_tensorflow.hdf5": "compact",
}
SHA256: dict[NetName, str] = {
    "crnn": "d3baa4bc6b90e3421f1df731d841d0d378a7bfc96aa1f80486d91d281513df46",
    "cnn": "6f07c99991fb7983e29c076b034ee2863ad5df65f4ec1f41753cd142c63c69dd",
    "compact": "3364fea1d8aeff8e69bb1e9f4f2bd01845b9b3f7b632429e1c1161dbdf46c7be",
}
"""Of the converted tensors."""


def convert(members: Mapping[str, Path]) -> dict[str, NDArray[np.generic]]:
    """Read one file of Keras 1 into the tensors of `Config.tensors`.

    Kernels of convolutions are (out, in, bands, frames), the order of Theano's axes; matrices are (in, out). These are
    the files for TensorFlow, which correlates as torch does: those for Theano hold the same kernels turned round.

    Raises
    ------
    BenchError
        h5py is not installed, the file cannot be read, or its arrays are not those of the network.

    """
    ((member, path),) = members.items()
    net = FILES[member]
    read = compact_names(read_hdf5(path, "choi")) if net == "compact" else tagger_names(read_hdf5(path, "choi"))
    out = {name: np.ascontiguousarray(array, np.float32) for name, array in read.items()}
    check({name: array.shape for name, array in out.items()}, FULL[net].tensors(), str(path))
    return dict(out)


def tagger_names(read: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """Name the arrays of the CRNN or the CNN; they lie at LAYER/LAYER_KIND:0, or LAYER/LAYER_KIND_1:0."""
    found = {}
    for path, array in read.items():
        layer, _, name = path.partition("/")
        found[layer, name.partition(":")[0].removeprefix(f"{layer}_").removesuffix("_1")] = array
    out = {}
    kinds = {"gamma": "gamma", "beta": "beta", "running_mean": "mean", "running_std": "deviation"}
    for (layer, kind), array in found.items():
        if layer.startswith("bn"):
            out[f"norm{'0' if layer == 'bn_0_freq' else layer[2:]}.{kinds.get(kind, kind)}"] = array
        elif layer.startswith("conv") or layer == "output":
            out[f"{layer}.{'weight' if kind == 'W' else 'bias'}"] = array.T if array.ndim == 2 else array
    for gru in {layer for layer, _ in found if layer.startswith("gru")}:
        for kind, name in (("W", "input.weight"), ("U", "state.weight"), ("b", "bias")):
            out[f"{gru}.{name}"] = np.concatenate([found[gru, f"{kind}_{gate}"].T for gate in GATES])
    return out


def compact_names(read: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """Name the arrays of the compact network; kernels of its spectrogram and unused statistics are left out."""
    out = {}
    for path, array in read.items():
        layer, _, kind = path.rpartition("/")[2].partition(":")[0].rpartition("_")
        if layer.startswith("convolution2d"):
            out[f"conv{layer.rpartition('_')[2]}.{'weight' if kind == 'W' else 'bias'}"] = array
        elif layer.startswith("batchnormalization") and kind in ("gamma", "beta"):
            out[f"norm{layer.rpartition('_')[2]}.{kind}"] = array
    return out


def _source(path: str, sha256: str, size: int) -> Source:
    origin = f"https://raw.githubusercontent.com/keunwoochoi/music-auto_tagging-keras/{REVISION}/{path}"
    return Source(path.rpartition("/")[2], origin, sha256, size)


CHOI = Weights(
    name="choi",
    license="MIT",
    automatic=True,
    sources=(
        _source(
            "data/music_tagger_crnn_weights_tensorflow.h5",
            "df63638de9f3113780768181670c554f122fbd1297c63c065836d70a251115a8",
            1_649_464,
        ),
        _source(
            "data/music_tagger_cnn_weights_tensorflow.h5",
            "8b61b73a8065cb084a9b56e8b5421ee876f38a1aca109ec2ad336e3a17c7c421",
            3_523_472,
        ),
        _source(
            "compact_cnn/weights_tensorflow.hdf5",
            "42e791b8c1b41ffe82c74d0501d8216eaee94d0b727b44de39ccc83ef810aed3",
            1_321_456,
        ),
    ),
    parts=tuple(Part(net, (file,), SHA256[net], ("msd",)) for file, net in FILES.items()),
    convert=convert,
)
