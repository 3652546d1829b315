"""MusiCNN: the model alone beside the machine's own sgemm, and whole clips a second from MP3 and WAV.

The network's products are counted (2 a multiplication with its addition) and divided by the time of
`frames`, the mel spectrogram included; torch's product of two square matrices takes turns with it in the
same process. A ratio above 1 is no error: torch multiplies matrices with MKL, convolutions with oneDNN,
and on some processors the second uses wider instructions. On a busy machine look at the ratio by
processor time. End to end is the harness's own loop on made-up stereo clips (44.1 kHz, 30 s): threads
decode and resample while the network runs; vectors go to disk.

    python benchmarks/musicnn.py
    python benchmarks/musicnn.py --clips 48 --rounds 5 --weights random
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from clip_folder import make
from machine import machine
from timing import NEVER, best

from bench.audio import TrackReader
from bench.extract import Extraction
from bench.extract.readers import Source
from bench.protocols import Extractor
from bench.registry import create

CLIP_PATCHES = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--formats", nargs="+", default=["wav", "mp3"])
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--weights", default="msd", help="msd, mtt or random (needs no file)")
    arguments = parser.parse_args()
    print(machine("safetensors"))
    musicnn = create("extractors", f"musicnn:weights={arguments.weights}")
    musicnn.load("cpu", "float32")
    alone(musicnn, arguments.rounds)
    precision(musicnn)
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.formats:
            end_to_end(musicnn, arguments, Path(scratch), name)


def alone(musicnn: Any, rounds: int, batch: int = 16, side: int = 2048) -> None:
    assert musicnn.window.length
    rng = np.random.default_rng(0)
    samples = musicnn.window.left + musicnn.window.length + musicnn.window.right
    waves = torch.from_numpy(0.1 * rng.standard_normal((batch, samples), np.float32))
    matrix = torch.from_numpy(rng.standard_normal((side, side), np.float32))
    model = product = NEVER
    for _ in range(rounds + 1):
        model = best(model, "cpu", lambda: list(musicnn.frames(waves)))
        product = best(product, "cpu", lambda: matrix @ matrix)
    ours = [batch * musicnn.operations(samples) / 1e9 / t for t in model]
    theirs = [2 * side**3 / 1e9 / t for t in product]
    print(f"model alone, batch {batch}, {torch.get_num_threads()} threads (GF/s: 10^9 operations a second)")
    for at, what in enumerate(("by the clock", "by processor time, a core")):
        print(
            f"  {what:26} {1e3 * model[at] / batch:5.1f} ms a patch, {batch / CLIP_PATCHES / model[at]:5.1f} clips of "
            f"30 s/s, {ours[at]:5.0f} GF/s; sgemm of {side}: {theirs[at]:5.0f} GF/s; ratio {ours[at] / theirs[at]:.2f}"
        )


def precision(musicnn: Any) -> None:
    """What bfloat16 would cost: cosine of the outputs, the network in bfloat16 on one patch of noise and tone."""
    net = musicnn._net
    assert musicnn.window.length
    time_ = np.arange(musicnn.window.length + 512) / musicnn.sample_rate
    rng = np.random.default_rng(1)
    wave = 0.3 * np.sin(2 * np.pi * 440 * time_) + 0.05 * rng.standard_normal(len(time_))
    with torch.inference_mode():
        (patch,) = net.front_end(torch.from_numpy(wave.astype(np.float32))[None])
        half = type(net)({name: tensor.bfloat16() for name, tensor in net.tensors.items()})(patch.bfloat16())
        near = {
            name: torch.nn.functional.cosine_similarity(exact, low.float(), dim=-1).item()
            for name, exact, low in zip(musicnn.layers, net(patch), half, strict=True)
        }
    print("  bfloat16 throughout: cosine to float32 " + ", ".join(f"{k} {v:.5f}" for k, v in near.items()) + "\n")


def end_to_end(musicnn: Extractor, arguments: argparse.Namespace, folder: Path, name: str) -> None:
    paths = make(folder, name, arguments.clips)
    sources = [Source(str(i), str(path)) for i, path in enumerate(paths)]
    work = Extraction(musicnn, Path(), log=lambda line: None)
    work.load()
    spent = decoding = NEVER
    for _ in range(max(1, arguments.rounds // 2)):
        with tempfile.TemporaryDirectory() as cache:
            work.cache = Path(cache)
            spent = best(spent, "cpu", lambda: work(sources))
        decoding = best(decoding, "cpu", lambda: [decode(musicnn, path) for path in paths])
    n = len(paths)
    print(f"whole clips from {name}: {n / spent[0]:.1f} a second ({1e3 * spent[1] / n:.0f} ms of processor each, "
          f"of which decoding {1e3 * decoding[1] / n:.0f} ms)")  # fmt: skip


def decode(musicnn: Extractor, path: Path) -> int:
    return sum(len(w) for w in TrackReader(path, sample_rate=musicnn.sample_rate, window=musicnn.window).windows())


if __name__ == "__main__":
    main()
