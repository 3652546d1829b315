"""Training windows per second of `bench train`, against a plain loader and training loop, in one run.

Both train the same network by the same objective on the same batches of the demo's recordings. The plain loop decodes
a file for each window with soundfile, resamples it with soxr, computes the log-mel spectrogram with NumPy, and trains
with torch's defaults. bench draws windows from its cache of decoded samples and computes the spectrogram in batches;
decoding for the cache is done once and shown apart. Rounds take turns; the best of each counts, in CPU seconds.

    OMP_NUM_THREADS=1 python benchmarks/train.py
    OMP_NUM_THREADS=1 python benchmarks/train.py --arch small --steps 4
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from machine import machine
from timing import NEVER, best

from bench import memory
from bench.audio.pcm_cache import Recording, decoded
from bench.files.atomic import cache_root
from bench.protocols import Batch
from bench.registry import create
from bench.run.options import Data, Environment
from bench.run.train.recordings import choose
from bench.run.train.windows import Windows

RATE, LENGTH = 16_000, 48_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--arch", default="mobilenet")
    parser.add_argument("--steps", type=int, default=2, help="steps of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=132)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cache", type=Path, default=cache_root())
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    chosen = choose(Data(), None, Environment(arguments.cache), lambda _line: None, 0)
    before = time.process_time()
    pcm = decoded(chosen.files, RATE, arguments.cache)
    spent = time.process_time() - before
    extractor = create("extractors", f"cnn:arch={arguments.arch},weights=random")
    objective = create("objectives", "tags")
    objective.open(chosen.data, 0)
    device = arguments.device
    head = objective.module(128).to(device)
    windows = Windows(pcm, LENGTH, extractor.front_end().to(device), device)
    steps, batch = arguments.steps, arguments.batch

    def trainer(network):
        optimizer = torch.optim.Adam([*network.parameters(), *head.parameters()], 1e-3)
        network.train()

        def step(inputs: torch.Tensor, drawn: Batch) -> None:
            optimizer.zero_grad(set_to_none=True)
            objective.loss(network(inputs), drawn).backward()
            optimizer.step()

        return step

    ours = trainer(extractor.network(0).to(device))
    plain = trainer(extractor.network(0).to(device, memory_format=torch.contiguous_format))
    filters = extractor.front_end().filters.numpy()

    def run_ours() -> None:
        with memory.kept():
            for inputs, drawn in itertools.islice(windows.batches(objective, 0, batch, 0), steps):
                ours(inputs, drawn)

    def run_plain() -> None:
        rng = np.random.default_rng(0)
        for drawn in itertools.islice(objective.batches(0, batch), steps):
            found = [log_mel(window(chosen.files[at], rng), filters) for at in drawn.tracks.tolist()]
            plain(torch.from_numpy(np.stack(found)).to(device), drawn)

    run_ours()  # to warm up
    run_plain()
    times = {run_ours: NEVER, run_plain: NEVER}
    for _, work in itertools.product(range(arguments.rounds), times):
        times[work] = best(times[work], device, work)
    at = 1 if device == "cpu" else 0
    rates = {name: steps * batch / times[work][at] for name, work in (("bench", run_ours), ("plain", run_plain))}
    print(machine(), end="")
    print(f"cache of {len(chosen.files)} recordings: {spent:.1f} CPU s once (0 if it was there)")
    shown = ", ".join(f"{name} {rate:.1f} windows/s" for name, rate in rates.items())
    ratio = rates["bench"] / rates["plain"]
    print(f"{arguments.arch}, {batch} windows a step, {device}: {shown}, ratio {ratio:.2f}")


def window(recording: Recording, rng: np.random.Generator) -> np.ndarray:
    """Decode a recording and return 3 s of it from a random place."""
    samples, rate = soundfile.read(recording.path, dtype="float32", always_2d=True)
    samples = soxr.resample(samples.mean(axis=1), rate, RATE)
    first = rng.integers(0, max(len(samples) - LENGTH, 0) + 1)
    return np.pad(samples, (0, max(LENGTH - len(samples), 0)))[first : first + LENGTH]


def log_mel(wave: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Return the log-mel spectrogram (300, 64) as the front end computes it, one window with NumPy."""
    padded = np.pad(wave, 176)
    frames = np.lib.stride_tricks.sliding_window_view(padded, 400)[::160][:300]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(401)[:400], 512))
    return np.log(spectrum @ filters + 0.01).astype(np.float32)


if __name__ == "__main__":
    main()
