"""Is `matpac` what upstream's inference code computes? Largest differences of every layer on shared random weights.

    pip install torchaudio einops pandas
    pip install --no-deps timm==0.4.12
    python benchmarks/matpac_equal.py MATPAC/inference_matpac

The whole network gets random weights and is saved as its checkpoint is; this project's reader of checkpoints reads
the file. Both sides hear whole recordings: upstream cuts their frames by its inference `precise`, this project by its
windows. timm imports torchvision for images, which an empty module replaces here.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import torch
from machine import machine
from upstream import disturb, gap, row, sounds

from bench.audio.windows import windows
from bench_extractors._checkpoint import reader
from bench_extractors._matpac_config import FULL, RATE, WINDOW
from bench_extractors._matpac_net import MATPACNet
from bench_extractors.matpac import FILE, MATPAC, PREFIX, UNUSED


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    sys.path.insert(0, sys.argv[1])
    torch.set_num_threads(1)
    print(machine("timm", "torchaudio"))
    theirs = upstream()
    levels: list[torch.Tensor] = []
    theirs.log_mel.register_forward_hook(lambda _module, _given, out: levels.append(out))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / FILE
        torch.save(theirs.state_dict(), file)
        arrays = reader(FULL.tensors, prefix=PREFIX, unused=UNUSED)({FILE: file})
    ours = MATPACNet(FULL, {name: torch.from_numpy(array) for name, array in arrays.items()}, torch.float32)
    row("seconds", "patches", "largest of layers 1 to 12", "layer 12", "mean over time, layer 12")
    row(*["---"] * 5)
    for wave in sounds(RATE, (14, 6.12, 3.3, 0.2)):
        compare(ours, theirs, wave, levels)


def upstream() -> torch.nn.Module:
    for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
        sys.modules[name] = MagicMock()
    import matpac.encoder

    # Python 3.11 refuses defaults that cannot be hashed.
    matpac.encoder.encoder_layers_config.__hash__ = object.__hash__
    from matpac.model import matpac_wrapper

    net = matpac_wrapper(inference_type="precise", pull_time_dimension=False).eval()
    kept = {name: value.clone() for name, value in net.state_dict().items() if name.startswith("log_mel")}
    disturb(net)
    net.load_state_dict(kept, strict=False)
    return net


def compare(ours: MATPACNet, theirs: torch.nn.Module, wave: torch.Tensor, levels: list[torch.Tensor]) -> None:
    pieces = windows([wave[0].numpy().astype(np.float32)], WINDOW, MATPAC.clip, RATE)
    with torch.inference_mode():
        levels.clear()
        _, wanted = theirs(wave)  # (1, layers, columns, 3840)
        found: list[list[torch.Tensor]] = []
        patches = []
        for piece in pieces:
            (given,) = ours.front_end(torch.from_numpy(piece)[None])
            patches.append(given[0].view(5, -1, 16, 16).permute(0, 2, 1, 3).reshape(80, -1))
            found.append(list(ours(given)))
    mel = (levels[0][0] + 7.056) / 4.193
    mine = [torch.cat(states, dim=1)[0] for states in zip(*found, strict=True)]
    every = [gap(a, b) for a, b in zip(mine, wanted[0], strict=True)]
    last = gap(mine[-1].mean(0), wanted[0, -1].mean(0))
    row(f"{wave.shape[1] / RATE:.2f}", gap(torch.cat(patches, 1)[:, : mel.shape[1]], mel), max(every), every[-1], last)


if __name__ == "__main__":
    main()
