"""The co-listen graph and triplets at the size of the paper: 56,193 tracks, 17,053 listeners, 5.1 million pairs.

Each work runs on one thread in a process of its own; ratios are of CPU seconds. The baseline of the graph is the sparse
product X'X of scipy, in blocks of tracks, of which only pairs with enough common listeners are kept; every tenth block
is computed, and the time taken ten times. It leaves out what the graph does beside: the 250 nearest neighbours on
both sides. The baseline of the triplets is a plain sampler with Python's lists and sets.

    python benchmarks/co_listen.py
    python benchmarks/co_listen.py --scale 0.1
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path
from typing import Any

import measured_process
import numpy as np
from machine import machine
from numpy.typing import NDArray

TRACKS, LISTENERS, PAIRS = 56_193, 17_053, 5_122_221
STYLES = 60
"""Groups of tracks; a listener plays tracks of four of them for nine tenths."""
TRIPLETS, BATCH = 44 * 5_000, 44
BLOCK = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="share of tracks, listeners and pairs")
    parser.add_argument("--child", nargs=2, metavar=("WHO", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        who, folder = arguments.child
        measured_process.report(lambda: WORK[who](Path(folder)))
        return
    print(machine("scipy"))
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "log.npz", **log(arguments.scale))
        rows = {who: measured_process.run(__file__, who, folder) for who in WORK}
    ours, product = rows["graph"], rows["product"]
    print(f"{ours['pairs']:,} pairs of {ours['tracks']:,} tracks")
    print(
        f"graph: {ours['edges']:,} edges in {ours['cpu']:.1f} CPU s, peak {ours['peak']:.2f} GiB; "
        f"scipy's product takes {10 * product['cpu'] / ours['cpu']:.1f} x as long"
    )
    for name in ("triplets", "batches"):
        fast, plain = rows[name], rows[f"plain {name}"]
        rate, slow = fast["number"] / fast["seconds"], plain["number"] / plain["seconds"]
        print(f"{name}: {rate:,.0f} triplets a CPU second, {rate / slow:.1f} x the plain sampler")


def log(scale: float) -> dict[str, NDArray[np.int64]]:
    """Return listener and track (P,) of each pair."""
    rng = np.random.default_rng(0)
    tracks, listeners, pairs = round(TRACKS * scale), round(LISTENERS * scale), round(PAIRS * scale)
    style = np.sort(rng.integers(0, STYLES, tracks))
    first = np.searchsorted(style, np.arange(STYLES + 1))
    length = rng.lognormal(0, 1.2, listeners)
    lengths = np.minimum(np.maximum(10, length / length.sum() * pairs * 3), tracks / 8).astype(np.int64)
    user = np.repeat(np.arange(listeners), lengths)
    taste = rng.integers(0, STYLES, (listeners, 4))[user, rng.integers(0, 4, len(user))]
    # Within a style, and among all tracks, few are popular.
    size = first[taste + 1] - first[taste]
    near = first[taste] + (size * rng.random(len(user)) ** 2.5).astype(np.int64)
    anywhere = rng.permutation(tracks)[(tracks * rng.random(len(user)) ** 2.5).astype(np.int64)]
    item = np.where(rng.random(len(user)) < 0.9, np.minimum(near, tracks - 1), anywhere)
    keys = np.unique(user * tracks + item)
    keys = np.sort(rng.choice(keys, min(pairs, len(keys)), replace=False))
    return {"user": keys // tracks, "item": keys % tracks}


def graph(folder: Path) -> dict[str, Any]:
    from bench.listening.co_listen import GraphSettings, connect

    data = np.load(folder / "log.npz")
    user, item = data["user"], data["item"]
    nodes, edges, _ = connect(user, item, GraphSettings())
    np.save(folder / "edges.npy", nodes[edges])
    return {"pairs": len(user), "tracks": len(np.unique(item)), "edges": len(edges)}


def product(folder: Path) -> dict[str, Any]:
    from scipy import sparse

    data = np.load(folder / "log.npz")
    user, item = data["user"], data["item"]
    matrix = sparse.csr_matrix((np.ones(len(user), np.int32), (user, item)))
    columns, kept = matrix.T.tocsr(), 0
    for start in range(0, columns.shape[0], 10 * BLOCK):
        common = columns[start : start + BLOCK] @ matrix
        kept += int((common.data >= 5).sum())
    return {"kept": kept}


def triplets(folder: Path, masks: bool = False) -> dict[str, Any]:
    import time

    from bench_extractors.cnn.objectives.sampler import TripletSampler

    sampler = TripletSampler(np.load(folder / "edges.npy"), TRACKS)
    began = time.process_time()
    drawn = sampler.draw(np.random.default_rng(0), TRIPLETS)
    if masks:
        for batch in drawn.reshape(-1, BATCH, 3):
            sampler.allowed(batch[:, 0], batch[:, 2])
    return {"number": TRIPLETS, "seconds": time.process_time() - began}


def plain(folder: Path, masks: bool = False) -> dict[str, Any]:
    import time

    edges = np.load(folder / "edges.npy")
    pairs = np.concatenate([edges, edges[:, ::-1]]).tolist()
    near: dict[int, list[int]] = {}
    for a, b in pairs:
        near.setdefault(a, []).append(b)
    known = {a: set(found) for a, found in near.items()}
    rng, drawn = random.Random(0), list[tuple[int, int, int]]()
    number = 44 * 500
    began = time.process_time()
    while len(drawn) < number:
        anchor, positive = rng.choice(pairs)
        for _ in range(16):
            negative = rng.choice(near[positive])
            if negative != anchor and negative not in known[anchor]:
                drawn.append((anchor, positive, negative))
                break
    if masks:
        for start in range(0, number, BATCH):
            batch = drawn[start : start + BATCH]
            for anchor, _, _ in batch:
                [n != anchor and n not in known[anchor] for _, _, n in batch]
    return {"number": number, "seconds": time.process_time() - began}


WORK = {
    "graph": graph,
    "product": product,
    "triplets": triplets,
    "plain triplets": plain,
    "batches": lambda folder: triplets(folder, masks=True),
    "plain batches": lambda folder: plain(folder, masks=True),
}

if __name__ == "__main__":
    main()
