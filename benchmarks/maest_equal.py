"""Is `maest` what upstream computes? Largest relative difference of every layer, at full width with random weights.

Upstream is not installed here: unpack the wheel maest-infer 0.2.0 (AGPL-3.0, the inference half of
github.com/palonso/MAEST) and torchaudio into a folder (`pip install --no-deps --target FOLDER`), then

    PYTHONPATH=FOLDER python benchmarks/maest_equal.py 5s-pw-129e 30s-pw-129e

Its module is filled with random weights and saved in the published format; `convert` reads that file.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from bench.registry import get
from bench.testing.clips import clip
from bench_extractors._maest_weights import PUBLISHED, WEIGHTS
from bench_extractors.maest import MAESTSettings


def main() -> None:
    if not sys.argv[1:]:
        raise SystemExit(__doc__)
    for name in sys.argv[1:]:
        compare(name)


def compare(name: str) -> None:
    from maest_infer import get_maest

    theirs = get_maest(arch=f"discogs-maest-{name}", pretrained=False).eval()
    generator = torch.Generator().manual_seed(0)
    for key, tensor in theirs.state_dict().items():
        noise = torch.randn(tensor.shape, generator=generator)
        matrix = tensor.ndim > 1 and "token" not in key and "pos_embed" not in key
        spread = 1 / np.sqrt(np.prod(tensor.shape[1:])) if matrix else 0.3
        tensor.copy_(spread * noise + float(tensor.ndim == 1 and key.endswith("weight")))
    (source,) = WEIGHTS[name].sources
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / source.file
        torch.save(theirs.state_dict(), path)
        arrays = WEIGHTS[name].convert({source.file: path})
    plugin = get("extractors", "maest")(MAESTSettings("random"), PUBLISHED[name][0])
    plugin.random_arrays = lambda: arrays
    plugin.load("cpu", "float32")
    waves = torch.from_numpy(np.stack([clip(plugin.config.seconds, 16_000, seed) for seed in range(2)]))
    with torch.inference_mode():
        for layer, frames in plugin.frames(waves):
            block = -1 if layer == "final" else int(layer)
            wanted = theirs(waves.clone(), transformer_block=block)[1]
            apart = float((frames[:, 0] - wanted).abs().max() / wanted.abs().max())
            print(f"{name}, layer {layer:>5}: {apart:.1e} of {float(wanted.abs().max()):.2f}, {wanted.shape[1]} values")


if __name__ == "__main__":
    main()
