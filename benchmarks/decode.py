"""Decoding and resampling: clips a second on one core as a ratio to librosa.load, threads, and memory.

Both halves of a ratio take turns in one process on the same made-up stereo clips (44.1 kHz, 30 s), so
that a busy machine slows both; the least CPU seconds of several rounds count (with threads: wall).
Memory is that of child processes that hear an hour of MP3, less what they had before they began.

    python benchmarks/decode.py
    python benchmarks/decode.py --formats mp3 --rates 24000 --rounds 10
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from measured_process import peak

from bench.audio.decode import stream

RATE = 44100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--formats", nargs="+", default=["wav", "mp3", "flac", "ogg"])
    parser.add_argument("--rates", type=int, nargs="+", default=[16000, 22050, 24000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--long", nargs=2, metavar=("WHO", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.long:
        growth(*arguments.long)
        return
    with tempfile.TemporaryDirectory() as folder:
        speed(arguments, Path(folder))
        memory(Path(folder))


def sound(seconds: int) -> np.ndarray:
    """Noise below 5 kHz under two slides of tone, stereo: about as hard to pack as music."""
    rng = np.random.default_rng(0)
    time_ = np.arange(seconds * RATE) / RATE
    noise = np.convolve(rng.standard_normal(len(time_)), np.hanning(9) / 20, "same")
    slides = [np.sin(2 * np.pi * f * time_ * (1 + time_ / 90)) for f in (220, 330)]
    return np.stack([0.2 * noise + 0.3 * slide for slide in slides], 1).astype(np.float32)


def ours(path: str, rate: int) -> int:
    return sum(len(block) for block in stream(path, sample_rate=rate))


def theirs(path: str, rate: int) -> int:
    import librosa

    return len(librosa.load(path, sr=rate)[0])


def best(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of CPU and of wall."""
    began, used = time.perf_counter(), time.process_time()
    work()
    return time.process_time() - used, time.perf_counter() - began


def speed(arguments: argparse.Namespace, folder: Path) -> None:
    clip = sound(30)
    print(f"30 s clips a second of CPU / wall   bench          librosa        ratio   with {arguments.threads} threads")
    for name in arguments.formats:
        path = str(folder / f"clip.{name}")
        soundfile.write(path, clip, RATE)
        for rate in arguments.rates:
            assert abs(ours(path, rate) - theirs(path, rate)) <= 1  # librosa rounds up
            a = b = (float("inf"), float("inf"))
            crowd = alone = float("inf")
            for _ in range(arguments.rounds):
                alone = min(alone, together(path, rate, 1))
                a = min(a, best(lambda: ours(path, rate)))  # noqa: B023
                b = min(b, best(lambda: theirs(path, rate)))  # noqa: B023
                crowd = min(crowd, together(path, rate, arguments.threads))
            factor = arguments.threads * alone / crowd
            rates = "  ".join(f"{1 / cpu:6.1f} /{1 / wall:6.1f}" for cpu, wall in (a, b))
            print(f"{name:5} to {rate:6} Hz            {rates}  {b[0] / a[0]:6.2f}   {factor:6.2f} x")


def together(path: str, rate: int, threads: int, turns: int = 4) -> float:
    """Seconds that `threads` threads take for one clip each, averaged over a few turns."""
    crowd = [threading.Thread(target=lambda: [ours(path, rate) for _ in range(turns)]) for _ in range(threads)]
    began = time.perf_counter()
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    return (time.perf_counter() - began) / turns


def memory(folder: Path) -> None:
    path = folder / "hour.mp3"
    minute = sound(60)
    with soundfile.SoundFile(path, "w", RATE, 2, format="MP3") as file:
        for _ in range(60):
            file.write(minute)
    for who in ("bench", "librosa"):
        command = [sys.executable, __file__, "--long", who, str(path)]
        print(subprocess.run(command, capture_output=True, text=True, check=True).stdout, end="")


def growth(who: str, path: str) -> None:
    work = ours if who == "bench" else theirs
    short = str(Path(path).parent / "short.wav")
    soundfile.write(short, np.full(RATE, 0.1), RATE)
    work(short, 16000)  # imports and tables are not what an hour costs
    before = peak()
    cpu, wall = best(lambda: work(path, 16000))
    more = (peak() - before) * 1024
    print(f"an hour of MP3 to 16000 Hz, {who:8}: {more:8.1f} MiB more, {cpu:6.1f} CPU s, {wall:6.1f} s wall")


if __name__ == "__main__":
    main()
