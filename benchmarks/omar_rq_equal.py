"""Is `omar-rq` what upstream computes? Largest relative difference of every layer, at full width with random weights.

Upstream (github.com/MTG/omar-rq, AGPL-3.0) is not installed here: unpack the wheel omar-rq 0.2.1 into a folder, and
beside it gin-config, einops, pytorch-lightning, huggingface_hub and torchaudio (`pip install --target FOLDER`). The
configurations are in its repository:

    PYTHONPATH=FOLDER python benchmarks/omar_rq_equal.py WEIGHTS CONFIG.gin

Its module is filled with random weights and saved in the published format; `convert` reads that file. `--seconds 5`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from bench.registry import get
from bench.testing.clips import clip
from bench_extractors._omar_rq_weights import VARIANTS, WEIGHTS
from bench_extractors.omar_rq import OmarRQSettings

PUBLISHED = ("net.", "embedding_layer.")
"""Beginnings of the names that upstream's checkpoints hold."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("weights", choices=VARIANTS)
    parser.add_argument("config", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()

    from omar_rq import get_model

    with tempfile.TemporaryDirectory() as scratch:
        gin, checkpoint = (Path(scratch) / name for name in ("config.gin", "model.ckpt"))
        gin.write_text(f'{arguments.config.read_text()}\nbuild_module.ckpt_path = "model.ckpt"\n')
        theirs = get_model(config_file=str(gin), device="cpu", load_weights=False)
        randomise(theirs)
        state = {k: v for k, v in theirs.state_dict().items() if k.startswith(PUBLISHED)}
        torch.save(state, checkpoint)
        arrays = WEIGHTS[arguments.weights].convert({path.name: path for path in (gin, checkpoint)})
    plugin = get("extractors", "omar-rq")(OmarRQSettings("random"), VARIANTS[arguments.weights])
    plugin.random_arrays = lambda: arrays
    plugin.load("cpu", "float32")
    wave = clip(arguments.seconds, plugin.sample_rate, 0)
    waves = torch.from_numpy(np.stack([wave, clip(arguments.seconds, plugin.sample_rate, 1)]))
    with torch.inference_mode():
        wanted = theirs.extract_embeddings(waves, layers=set(range(len(plugin.layers))))
        worst = []
        for number, (layer, frames) in enumerate(plugin.frames(waves)):
            assert frames.shape == wanted[number].shape, (frames.shape, wanted[number].shape)
            worst.append(float((frames - wanted[number]).abs().max() / wanted[number].abs().max()))
            print(f"layer {layer:>2}: {worst[-1]:.1e} of {float(wanted[number].abs().max()):.2f}")
    print(f"{arguments.weights}: {tuple(wanted.shape)}, largest {max(worst):.1e}")


def randomise(module: torch.nn.Module) -> None:
    """Fill the published tensors with random values; those of norms and running statistics matter, too."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        fixed = not name.startswith(PUBLISHED) or name.endswith("rotary_emb.freqs")
        if fixed or not tensor.is_floating_point():
            continue
        noise = torch.randn(tensor.shape, generator=generator)
        if name.endswith("running_var"):
            tensor.copy_((0.3 * noise).exp())
        elif tensor.ndim > 1:
            tensor.copy_(noise / np.sqrt(np.prod(tensor.shape[1:])))
        else:
            tensor.copy_(0.1 * noise + float(name.endswith("weight")))


if __name__ == "__main__":
    main()
