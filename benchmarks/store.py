"""Writing and reading the store, as a ratio to np.save and np.load of the same bytes in as many files.

Written are shards of 256 tracks, as extraction does, each fsynced and renamed, from vectors in float64 as
they leave the loop; the plain half saves arrays that are half floats already, and fsyncs each file and, once,
the folder. Read are all tracks in a random order as float32: one layer, as an item table does, and all of
them, with checksums; the plain half maps or loads its files, picks, converts and reorders, and checks nothing.
Everything read is in the page cache. Both halves take turns; the fastest of several rounds counts.

    python benchmarks/store.py                                  # 4,096 tracks x 25 layers x 1,024: 210 MB
    python benchmarks/store.py --tracks 56193 --layers 1 --width 104 --dtype float32
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from machine import machine
from measured_process import peak
from numpy.typing import NDArray

from bench.extract.loop import SHARD_TRACKS
from bench.files.atomic import sync
from bench.store import Vector, VectorSet

Pair = NDArray[np.float64]
"""Seconds (2, 2): of the store and of plain files, in wall and in CPU time."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tracks", type=int, default=4096)
    parser.add_argument("--layers", type=int, default=25)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--dtype", choices=("float16", "float32"), default="float16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--folder", type=Path, help="measure the disk of this folder (default: that of temporary files)"
    )
    arguments = parser.parse_args()
    print(machine())
    best: dict[str, Pair] = {}
    for _ in range(arguments.rounds):
        folder = Path(tempfile.mkdtemp(dir=arguments.folder))
        try:
            for what, pair in turn(arguments, folder):
                best[what] = np.minimum(best.get(what, np.inf), pair)
        finally:
            shutil.rmtree(folder)
    size = arguments.tracks * arguments.layers * arguments.width * np.dtype(arguments.dtype).itemsize / 1e6
    print(f"{arguments.tracks} tracks x {arguments.layers} layers x {arguments.width} {arguments.dtype}: {size:.0f} MB")
    print(f"{'':22}{'store, s wall / CPU':>22}{'plain':>20}{'ratio':>16}")
    for what, (ours, plain) in best.items():
        line = f"{what:22}{ours[0]:12.2f} /{ours[1]:8.2f}"
        if np.isfinite(plain[0]):
            line += f"{plain[0]:10.2f} /{plain[1]:8.2f}{ours[0] / plain[0]:8.2f} /{ours[1] / plain[1]:6.2f}"
        print(line)
    print(f"peak memory of all {peak():.2f} GiB")


def turn(arguments: argparse.Namespace, folder: Path) -> list[tuple[str, Pair]]:
    """Write, look up and read once, both ways; return what, and seconds."""
    names = [f"layer{i}" for i in range(arguments.layers)]
    rng = np.random.default_rng(0)
    # One shard's numbers serve for all: only keys differ.
    block = rng.standard_normal((min(SHARD_TRACKS, arguments.tracks), arguments.layers, arguments.width))
    half = block.astype(arguments.dtype)
    filled = make_set(arguments, folder, names)
    (folder / "plain").mkdir()
    ours, plain = np.zeros(2), np.zeros(2)
    rows = [f"{i:064x}" for i in range(arguments.tracks)]
    for start in range(0, arguments.tracks, SHARD_TRACKS):
        part = rows[start : start + SHARD_TRACKS]
        cuts = [{name: block[at, layer] for layer, name in enumerate(names)} for at in range(len(part))]
        done = [Vector(row, 30.0, cut) for row, cut in zip(part, cuts, strict=True)]
        path = folder / "plain" / f"{start:09d}.npy"
        ours += seconds(lambda: filled.append(done, []))  # noqa: B023
        plain += seconds(lambda: save(path, half[: len(part)]))  # noqa: B023
    plain += seconds(lambda: sync(folder / "plain"))
    found = [("write", np.stack([ours, plain]))]

    order = rng.permutation(arguments.tracks)
    wanted = [rows[i] for i in order]
    paths = sorted((folder / "plain").iterdir())
    opened = make_set(arguments, folder, names)
    found.append(("look what is missing", np.stack([seconds(lambda: opened.missing(wanted)), np.full(2, np.nan)])))

    def mapped(layer: int) -> NDArray[np.float32]:
        parts = [np.load(path, mmap_mode="r")[:, layer].astype(np.float32) for path in paths]
        return np.concatenate(parts)[order]

    middle = len(names) // 2
    ours = seconds(lambda: opened.read(names[middle], wanted))
    found.append(("read one layer", np.stack([ours, seconds(lambda: mapped(middle))])))
    assert np.array_equal(opened.read(names[middle], wanted)[0], mapped(middle))

    def all_of_store() -> None:
        for name in names:
            opened.read(name, wanted)

    def all_of_plain() -> None:
        whole = np.concatenate([np.load(path) for path in paths])
        for layer in range(arguments.layers):
            whole[order, layer].astype(np.float32)

    found.append(("read every layer", np.stack([seconds(all_of_store), seconds(all_of_plain)])))
    return found


def make_set(arguments: argparse.Namespace, folder: Path, names: list[str]) -> VectorSet:
    layers = dict.fromkeys(names, arguments.width)
    return VectorSet(folder, "bench", {"extractor": "bench"}, layers, arguments.dtype)


def save(path: Path, array: NDArray[np.generic]) -> None:
    with open(path, "wb") as file:
        np.save(file, array)
        file.flush()
        os.fsync(file.fileno())


def seconds(work: Callable[[], object]) -> NDArray[np.float64]:
    """Seconds (2,) of wall and CPU that a piece of work takes."""
    began, used = time.perf_counter(), time.process_time()
    work()
    return np.array([time.perf_counter() - began, time.process_time() - used])


if __name__ == "__main__":
    main()
