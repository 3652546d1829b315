"""CPU seconds of writing and reading the store, as a ratio to shards of the safetensors library and of Arrow files.

All three do the same: they write shards of 256 tracks, as extraction does, each fsynced and renamed, from vectors in
float64 as they leave the loop; the baselines hash each file (sha256) for its name. They read, as float32 and in a
random order of keys, one layer and all of them: keys are read, joined and the vectors reordered. The store is opened
anew for each. The first read compares the hash of what it reads, and so do the baselines; later ones ("again") do not.
Everything read is in the page cache. All take turns; the least of several rounds counts.

    python benchmarks/store.py                                  # 5,000 tracks x 25 layers x 1,024: 256 MB
    python benchmarks/store.py --tracks 56193 --layers 1 --width 104 --dtype float32
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from machine import machine
from measured_process import peak
from numpy.typing import NDArray

from bench.extract.loop import SHARD_TRACKS
from bench.files.atomic import file_sha256, whole
from bench.store import Vector, VectorSet

Seconds = dict[str, dict[str, float]]
"""Work -> who -> CPU seconds."""
BASELINES = ("safetensors", "Arrow IPC")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tracks", type=int, default=5000)
    parser.add_argument("--layers", type=int, default=25)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--dtype", choices=("float16", "float32"), default="float16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--folder", type=Path, help="measure the disk of this folder (default: that of temporary files)"
    )
    arguments = parser.parse_args()
    print(machine())
    size = arguments.tracks * arguments.layers * arguments.width * np.dtype(arguments.dtype).itemsize / 1e6
    print(f"{arguments.tracks} tracks x {arguments.layers} layers x {arguments.width} {arguments.dtype}: {size:.0f} MB")
    best = measure(
        arguments.tracks, arguments.layers, arguments.width, arguments.dtype, arguments.rounds, arguments.folder
    )
    print(f"{'CPU s':22}{'store':>12}" + "".join(f"{who:>14}" for who in BASELINES) + f"{'ratio to the less':>20}")
    for what, row in best.items():
        peers = [row[who] for who in BASELINES if who in row]
        line = f"{what:22}{row['store']:12.3f}" + "".join(f"{least:14.3f}" for least in peers)
        print(line + (f"{row['store'] / min(peers):20.2f}" if peers else ""))
    print(f"peak memory of all {peak():.2f} GiB")


def measure(tracks: int, layers: int, width: int, dtype: str, rounds: int, folder: Path | None = None) -> Seconds:
    """Let the store and the baselines take turns; return the least CPU seconds of each over all rounds."""
    best: Seconds = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            for what, who, used in turn(Path(place), tracks, [f"layer{i}" for i in range(layers)], width, dtype):
                row = best.setdefault(what, {})
                row[who] = min(used, row.get(who, np.inf))
    return best


def turn(folder: Path, tracks: int, names: list[str], width: int, dtype: str) -> list[tuple[str, str, float]]:
    """Write and read once in all three ways; return what, who and CPU seconds."""
    rng = np.random.default_rng(0)
    # One shard's numbers serve for all: only keys differ.
    block = rng.standard_normal((min(SHARD_TRACKS, tracks), len(names), width))
    rows = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(tracks)]
    wanted = [rows[i] for i in rng.permutation(tracks)]
    filled = make_set(folder, names, width, dtype)
    used = dict.fromkeys(("store", *BASELINES), 0.0)
    for who in BASELINES:
        (folder / who).mkdir()
    for start in range(0, tracks, SHARD_TRACKS):
        part = rows[start : start + SHARD_TRACKS]
        cuts = [{name: block[at, layer] for layer, name in enumerate(names)} for at in range(len(part))]
        done = [Vector(row, 30.0, cut) for row, cut in zip(part, cuts, strict=True)]
        used["store"] += seconds(lambda: filled.append(done, []))  # noqa: B023
        for who in BASELINES:
            used[who] += seconds(lambda: WRITERS[who](folder / who, part, cuts, dtype))  # noqa: B023
    for shard in filled.folder.iterdir():
        os.utime(shard, (1e9, 1e9))  # so old that their state can be remembered
    found = [("write", who, least) for who, least in used.items()]

    found.append(("which are missing", "store", seconds(lambda: make_set(folder, names, width, dtype).missing(wanted))))
    for what, chosen in (("read one layer", names[:1]), ("read every layer", names)):
        for again in ("", ", again"):
            opened = make_set(folder, names, width, dtype)
            found.append((what + again, "store", seconds(lambda: read(opened, chosen, wanted))))  # noqa: B023
            for who in BASELINES:
                least = seconds(lambda: READERS[who](folder / who, chosen, wanted, not again))  # noqa: B023
                found.append((what + again, who, least))
    for who in BASELINES:
        assert np.array_equal(READERS[who](folder / who, names[-1:], wanted, False), filled.read(names[-1], wanted)[0])
    return found


def make_set(folder: Path, names: Sequence[str], width: int, dtype: str) -> VectorSet:
    return VectorSet(folder / "store", "bench", {"extractor": "bench"}, dict.fromkeys(names, width), dtype)


def read(opened: VectorSet, names: Sequence[str], wanted: Sequence[str]) -> None:
    places = opened.find(wanted)
    for name in names:
        opened.read(name, places)


Cuts = Sequence[Mapping[str, NDArray[np.float64]]]


def stacked(cuts: Cuts, name: str, dtype: str) -> NDArray[Any]:
    return np.stack([cut[name] for cut in cuts], dtype=dtype, casting="same_kind")


def write_safetensors(folder: Path, rows: Sequence[str], cuts: Cuts, dtype: str) -> None:
    from safetensors.numpy import save_file

    tensors = {name: stacked(cuts, name, dtype) for name in cuts[0]}
    tensors["row"] = np.array([bytes.fromhex(row) for row in rows]).view(np.uint8).reshape(len(rows), 32)
    with whole(folder / "x.safetensors", named=lambda path: f"{file_sha256(path)}.safetensors") as temporary:
        save_file(tensors, temporary)


def read_safetensors(folder: Path, names: Sequence[str], wanted: Sequence[str], check: bool) -> NDArray[np.float32]:
    from safetensors import safe_open

    files = [safe_open(path, framework="np") for path in sorted(folder.iterdir())]
    rows = [row.tobytes().hex() for file in files for row in file.get_tensor("row")]
    order = joined(rows, wanted)
    for name in names:
        out = ordered([file.get_tensor(name) for file in files], order, check)
    return out


def write_arrow(folder: Path, rows: Sequence[str], cuts: Cuts, dtype: str) -> None:
    import pyarrow as pa

    arrays = [pa.array(rows)]
    for name in cuts[0]:
        matrix = stacked(cuts, name, dtype)
        arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), matrix.shape[1]))
    batch = pa.record_batch(arrays, names=["row", *cuts[0]])
    named = whole(folder / "x.arrow", named=lambda path: f"{file_sha256(path)}.arrow")
    with named as temporary, pa.ipc.new_file(str(temporary), batch.schema) as file:
        file.write_batch(batch)


def read_arrow(folder: Path, names: Sequence[str], wanted: Sequence[str], check: bool) -> NDArray[np.float32]:
    import pyarrow as pa

    parts = [pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0) for path in sorted(folder.iterdir())]
    order = joined([row for part in parts for row in part.column("row").to_pylist()], wanted)
    for name in names:
        columns = [part.column(name).flatten().to_numpy().reshape(len(part), -1) for part in parts]
        out = ordered(columns, order, check)
    return out


def ordered(parts: Sequence[NDArray[Any]], order: NDArray[np.int64], check: bool) -> NDArray[np.float32]:
    if check:
        for part in parts:
            hashlib.sha256(part.data).hexdigest()
    return np.concatenate(parts)[order].astype(np.float32)


def joined(rows: Sequence[str], wanted: Sequence[str]) -> NDArray[np.int64]:
    """Return the place in `rows` of each wanted key."""
    have = pl.DataFrame({"row": rows}).with_row_index("at")
    return pl.DataFrame({"row": wanted}).join(have, on="row", how="left", maintain_order="left")["at"].to_numpy()


WRITERS = {"safetensors": write_safetensors, "Arrow IPC": write_arrow}
READERS = {"safetensors": read_safetensors, "Arrow IPC": read_arrow}


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of a piece of work."""
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    main()
