"""Is `dasheng` what its package computes? Largest differences of every layer on shared random weights.

    pip install torchaudio einops
    pip install --no-deps --target UPSTREAM dasheng==0.0.9
    python benchmarks/dasheng_equal.py UPSTREAM

The package's network gets random weights and is saved as its checkpoints are; this project's reader of checkpoints
reads the file. Both hear the same clips, each at real width: `base` whole, the two large ones with four blocks.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from machine import machine
from upstream import disturb, gap, row, sounds


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    sys.path.insert(0, sys.argv[1])
    torch.set_num_threads(1)
    print(machine("dasheng", "torchaudio"))
    row("weights", "blocks", "front end", "largest of all layers", "upstream's output")
    row(*["---"] * 5)
    for name, depth in (("base", 12), ("0.6B", 4), ("1.2B", 4)):
        compare(name, depth)


def compare(name: str, depth: int) -> None:
    from dasheng.pretrained.pretrained import Dasheng as Upstream

    from bench_extractors import _dasheng_weights as dasheng
    from bench_extractors._checkpoint import reader
    from bench_extractors._dasheng_net import DashengNet

    config = replace(dasheng.SIZES[name][0], depth=depth)
    sizes = {"embed_dim": config.width, "depth": depth, "num_heads": config.heads, "target_length": 1008}
    theirs = Upstream(**sizes).eval()
    disturb(theirs)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "dasheng.pt"
        torch.save({"model": theirs.state_dict(), "config": sizes | {"outputdir": Path(folder)}}, file)
        arrays = reader(config.tensors, inside="model", unused=dasheng.UNUSED, read=dasheng.read_checkpoint)(
            {file.name: file}
        )
    ours = DashengNet(config, {key: torch.from_numpy(array) for key, array in arrays.items()}, torch.float32)
    seen: list[torch.Tensor] = []
    for block in theirs.blocks:
        block.register_forward_hook(lambda _module, _given, out: seen.append(out))
    front = largest = last = 0.0
    with torch.inference_mode():
        for wave in sounds(16_000, (10, 3.3, 0.5, 7)):
            seen.clear()
            out = theirs(wave)
            mel = theirs.forward_to_spec(wave)[0, 0]  # (bands, frames)
            (patches,) = ours.front_end(wave)
            mine = list(ours(patches))
            front = max(front, gap(patches.view(-1, 64), mel[:, : 4 * patches.shape[1]].T))
            largest = max(largest, *(gap(a, b) for a, b in zip(mine[1:-1], seen[:-1], strict=True)))
            last = max(last, gap(mine[-1], out))
    row(name, depth, front, max(largest, last), last)


if __name__ == "__main__":
    main()
