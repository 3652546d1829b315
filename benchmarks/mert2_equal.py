"""Is `mert2` what upstream's code computes? Largest differences of every layer on shared random weights.

    pip install torchaudio transformers
    python benchmarks/mert2_equal.py FOLDER [BLOCKS]

FOLDER holds ``modeling_mert2.py`` and ``configuration_mert2.py`` as they stand beside the published weights. The
network gets random weights, and levels of the spectrogram such as those of music, is saved as the checkpoints are, and
is read by this project's reader of checkpoints. The width is that of the published models; fewer BLOCKS than their 24
need less memory.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from machine import machine
from safetensors.torch import save_file
from upstream import disturb, gap, row, sounds

from bench_extractors._mert2_config import FULL
from bench_extractors._mert2_net import MERT2Net
from bench_extractors._mert2_weights import FILE, TABLES, converter
from bench_extractors._modules import load_module

LEVELS = "feature_extractor.mel_"


def main() -> None:
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    torch.set_num_threads(1)
    print(machine("torchaudio", "transformers"))
    config = replace(FULL, depth=int(sys.argv[2]) if len(sys.argv) == 3 else FULL.depth)
    theirs = upstream(Path(sys.argv[1]), config.depth)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / FILE
        save_file(theirs.state_dict(), file)
        arrays = converter(config)({FILE: file})
    tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    ours = load_module(config.module, tensors, torch.float32)
    row("seconds", "blocks", "spectrogram", "first block", "largest of all blocks", "last block")
    row(*["---"] * 6)
    for wave in sounds(24_000, (30, 7.7, 0.1, 5)):
        compare(ours, theirs, wave)


def upstream(folder: Path, depth: int) -> torch.nn.Module:
    sys.path.insert(0, str(folder.resolve().parent))
    modeling = importlib.import_module(f"{folder.resolve().name}.modeling_mert2")
    config = modeling.MERT2Config(num_hidden_layers=depth, attn_implementation="sdpa")
    net: torch.nn.Module = modeling.MERT2Model(config).eval()
    tables = {name: net.state_dict()[name].clone() for name in TABLES}
    disturb(net)
    bands = torch.arange(FULL.mels)
    levels = {f"{LEVELS}mean": 20 - 0.3 * bands, f"{LEVELS}std": 15 + 0.02 * bands}
    net.load_state_dict(tables | levels, strict=False)
    return net


def compare(ours: MERT2Net, theirs: torch.nn.Module, wave: torch.Tensor) -> None:
    with torch.inference_mode():
        _, wanted = theirs._encode(wave, output_hidden_states=True)
        (mel,) = ours.front_end(wave)
        every = [gap(a, b) for a, b in zip(ours(mel), wanted, strict=True)]
        front = gap(mel, theirs.feature_extractor(wave))
    row(f"{wave.shape[1] / 24_000:.1f}", len(every), front, every[0], max(every), every[-1])


if __name__ == "__main__":
    main()
