"""The published checkpoints of MAEST: their origin and their hashes."""

from __future__ import annotations

from collections.abc import Mapping

from bench.weights import Part, Source, Weights

from ._checkpoint import reader
from ._maest_config import Config

UNUSED = ("head.", "head_dist.")
"""The classifiers of Discogs' styles."""


def _weights(name: str, config: Config, sha256: str, size: int) -> Weights:
    first = ("audioset",) if "-pw-" in name else ()  # PaSST's weights
    file = f"discogs-maest-{name}-swa.ckpt"
    return Weights(
        name=f"maest-{name}",
        license="CC BY-NC-SA 4.0",
        non_commercial=True,
        sources=(Source(file, f"https://github.com/palonso/MAEST/releases/download/v0.0.0-beta/{file}", sha256, size),),
        parts=(Part("model", (file,), trained_on=("discogs20", *first)),),
        convert=reader(config.tensors, unused=UNUSED),
    )


_5, _10, _20, _30 = (Config(frames=frames) for frames in (312, 625, 1250, 1875))
PUBLISHED: Mapping[str, tuple[Config, str, int]] = {
    "30s-pw-129e": (_30, "2e8ac8ebdc8ac4a3750583df23fd715605935286cbd9d2c4231dfeaa3736ad01", 344_148_150),
    "30s-pw-129e-519l": (_30, "d6044e642b6ae295ee1164cc52b33ac663e247f03b4b100a0af1a5edfab18cdb", 344_878_270),
    "30s-pw-73e-ts": (_30, "26b954652cd75b0951a67b7ab8f85b8b4c459f63a921a04f62829de85ea801fb", 344_148_476),
    "20s-pw-129e": (_20, "1ea0880da17aed1b149323ae46c7dbbe6cf6c02c9d30a3f7931a962f7169353b", 343_957_686),
    "10s-dw-75e": (_10, "1265f4cab278eb1da66a7946f4c870e2ca659076ed1aa1de718f55dc72766b68", 343_763_987),
    "10s-fs-129e": (_10, "62f369fbf60e93c1e93869fbac2bc60ecbcc4eb0fe99ab523f8218212490520c", 343_764_150),
    "10s-pw-129e": (_10, "9862dbc5945a62de01de0c2cccd5e499563210e307324bf6305f6932ad967f1f", 343_764_150),
    "5s-pw-129e": (_5, "cc626ee9f0a816cadbef0a698f87424d72d7b5d84aef68983dac83bf2a03052a", 343_668_755),
}
"""Name -> sizes, hash and bytes. fs: trained from scratch; pw and dw: from the weights of PaSST and DeiT; ts: by a
teacher; 519l: with 519 styles instead of 400."""
WEIGHTS = {name: _weights(name, *values) for name, values in PUBLISHED.items()}
