"""Dasheng's published checkpoints: their origin, and how they become the tensors of the network."""

from __future__ import annotations

from functools import partial

from bench.weights import Part, Source, Weights, read_torch

from ._checkpoint import reader
from ._dasheng_config import BASE, HUGE, LARGE, Config

TRAINED_ON = ("acav100m", "audioset", "vggsound", "mtg-jamendo")
UNUSED = ("front_end.", "init_bn.1.num_batches_tracked")
"""Fixed tables of the spectrogram, and a counter."""
# Upstream saves the settings of the training beside the weights, and paths are among them.
read_checkpoint = partial(read_torch, ignore=("pathlib.PosixPath",))


def _weights(name: str, file: str, config: Config) -> Weights:
    return Weights(
        name=name,
        license="Apache-2.0",
        # Zenodo publishes no sha256: the first pull records it, and later files must match.
        sources=(Source(file, f"https://zenodo.org/records/11511780/files/{file}"),),
        parts=(Part("model", (file,), trained_on=TRAINED_ON),),
        convert=reader(config.tensors, inside="model", unused=UNUSED, read=read_checkpoint),
    )


SIZES = {
    "base": (BASE, _weights("dasheng", "dasheng_base.pt", BASE)),
    "0.6B": (LARGE, _weights("dasheng-0.6b", "dasheng_06b.pt", LARGE)),
    "1.2B": (HUGE, _weights("dasheng-1.2b", "dasheng_12b.pt", HUGE)),
}
