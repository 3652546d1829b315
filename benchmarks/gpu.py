"""Everything that a GPU is for, in one script of a few minutes; prints the card.

    python benchmarks/gpu.py                    # on a GPU: full sizes, random weights, under 8 minutes
    python benchmarks/gpu.py --rows mert,rank   # some rows only

Encoders: clips of 30 s a second, for the model alone (windows lie on the device), end to end from WAV files through
the harness's own loop, and for a naive loop (load 16 clips, then run them in float32, one after the other).
"Share" is the model's arithmetic over that of a square matrix product of the same precision in the same process.
Trainings: a step and an epoch of BERT4Rec and SASRec on made-up histories of the size of the Music4All-Onion study,
and the share of the products that the loss cannot do without. Ranking: full rankings beside the bare product. Probes:
the default probe.

Without a GPU the script runs tiny networks and tables on the CPU, to show that it works; its figures claim nothing.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from clip_folder import make
from machine import machine
from numpy.typing import NDArray
from probes import twin
from sequences import made
from timing import timed

from bench import devices
from bench.extract import Extraction
from bench.extract.batch_size import batch_size
from bench.extract.batches import Batcher, Track
from bench.extract.pooling import sums
from bench.extract.readers import Source, read_ahead
from bench.metrics import Truth
from bench.probes import DEFAULT, probe, resolve_probe
from bench.protocols import RunContext
from bench.ranking.rank import Candidates, rank
from bench.registry import create, get

SECONDS = 30.0
PRECISIONS = ("float32", "tf32", "bfloat16")
ENCODERS = ("mert", "musicfm", "encodecmae", "music2vec", "clap", "musicnn", "jukebox")
OTHERS = ("train", "rank", "probe")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", default=",".join((*ENCODERS, *OTHERS)), help="some of the rows (default all)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, default=64, help="most windows in a batch; fewer if memory is short")
    arguments = parser.parse_args()
    device, why = devices.choose(arguments.device)
    tiny = device == "cpu"
    print(machine("transformers"))
    card = devices.about(device)
    print(f"device {device} ({why}): {card or 'no GPU: tiny sizes, the figures claim nothing'}")
    rows = arguments.rows.split(",")
    if unknown := set(rows) - {*ENCODERS, *OTHERS}:
        parser.error(f"--rows {','.join(sorted(unknown))}: known are {', '.join((*ENCODERS, *OTHERS))}")
    for name in ENCODERS:
        if name in rows:
            encoder(name, device, 4 if tiny else arguments.batch, tiny=tiny)
    if "train" in rows:
        for name in ("bert4rec", "sasrec"):
            training(name, device, tiny=tiny)
    if "rank" in rows:
        ranking(device, tiny=tiny)
    if "probe" in rows:
        probing(device, tiny=tiny)
    if (most := devices.peak(device)) is not None:
        print(f"peak memory of the GPU {most / 2**30:.1f} GiB")


# -- encoders -----------------------------------------------------------------------------------------------


def encoder(name: str, device: str, batch: int, *, tiny: bool) -> None:
    """Print the rates of one encoder in every precision that it has."""
    settings = set(getattr(get("extractors", name).Settings, "__dataclass_fields__", {}))
    for precision in PRECISIONS if "precision" in settings else PRECISIONS[:1]:
        with failing_softly(f"{name} {precision}"):
            plugin = network(name, precision, settings, tiny=tiny)
            size = min(batch, batch_size(plugin, device))
            plugin.load(device, "float32")
            clips = alone(plugin, device, size, precision)
            end, naive = whole(plugin, device, size, 4 if tiny else 64, naive=precision == "float32")
            after = f", naive loop {naive:.2f} ({end / naive:.1f} times)" if naive else ""
            print(f"  {name:10} {precision:8} alone {clips}; end to end {end:8.2f} clips/s{after}", flush=True)
            del plugin
            devices.empty_cache(device)


def network(name: str, precision: str, settings: set[str], *, tiny: bool) -> Any:
    """Return an encoder with random weights."""
    wanted = ["weights=random", *([f"precision={precision}"] if "precision" in settings else [])]
    plugin = create("extractors", f"{name}:{','.join(wanted)}")
    if tiny:
        small = type(plugin).tiny()
        small.settings = plugin.settings
        return small
    return plugin


def alone(plugin: Any, device: str, batch: int, precision: str) -> str:
    """Return the rate of the model alone, and its share of a matrix product's arithmetic."""
    samples = plugin.window.length or round(SECONDS * plugin.sample_rate)
    samples = min(samples, 2 * plugin.sample_rate) if device == "cpu" else samples
    rng = np.random.default_rng(0)
    waves = torch.from_numpy((0.1 * rng.standard_normal((batch, samples))).astype(np.float32)).to(device)
    model = timed(device, lambda: sums(plugin, waves))
    rate = matrix_rate(device, precision)
    clips = batch * samples / plugin.sample_rate / SECONDS / model
    return f"{clips:8.2f} clips/s, share {batch * plugin.operations(samples) / model / rate:.2f}"


def matrix_rate(device: str, precision: str) -> float:
    """Return operations a second of a square product in a precision."""
    side = 512 if device == "cpu" else 8192
    matrix = torch.randn(side, side, device=device).to(torch.bfloat16 if precision == "bfloat16" else torch.float32)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        return 2 * side**3 / timed(device, lambda: matrix @ matrix)
    finally:
        torch.set_float32_matmul_precision(before)


def whole(plugin: Any, device: str, batch: int, count: int, *, naive: bool) -> tuple[float, float | None]:
    """Return clips a second of the harness's loop on WAV files, and of the naive loop."""
    with tempfile.TemporaryDirectory() as scratch:
        paths = make(Path(scratch), "wav", count)
        sources = [Source(str(at), str(path)) for at, path in enumerate(paths)]
        work = Extraction(plugin, Path(scratch), device, batch=batch, log=lambda _: None)
        work._made, work.size = plugin, batch  # it is loaded already
        started = time.perf_counter()
        work(sources)
        ours = count / (time.perf_counter() - started)
        if not naive:
            return ours, None
        started = time.perf_counter()
        for at in range(0, count, 16):
            batcher = Batcher(plugin, device, 16, lambda _: None)
            windows = [
                event for _, event in read_ahead(plugin, sources[at : at + 16], 1) if isinstance(event, np.ndarray)
            ]
            for wave in windows:
                batcher.add(Track("naive"), wave)
            batcher.flush()
        return ours, count / (time.perf_counter() - started)


# -- recommenders -------------------------------------------------------------------------------------------


def training(name: str, device: str, *, tiny: bool) -> None:
    """Print the time of a training step and an epoch, and the share of the loss's products in the matrix rate."""
    with failing_softly(name):
        users, items, dim, length, batch = (200, 500, 16, 50, 32) if tiny else (12_151, 56_193, 200, 300, 256)
        sizes = argparse.Namespace(users=users, items=items, dim=dim, length=length, reading="code", bf16=False)
        model = made(sizes, f"{name}:max_len={length},loss=chunked,items=trainable,bf16={not tiny}", device)
        optimizer = torch.optim.Adam([p for p in model.net.parameters() if p.requires_grad], fused=True)
        model.net.train()
        kind, targets = torch.device(device).type, [0]

        def step() -> None:
            some = model._train_batch(np.arange(batch), device)
            targets[0] = len(some.target)
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(kind, torch.bfloat16, enabled=not tiny):
                value = model.loss(some)
            value.backward()
            optimizer.step()

        seconds = timed(device, step)
        share = 2 * 3 * targets[0] * items * dim / seconds / matrix_rate(device, "float32" if tiny else "bfloat16")
        epoch = seconds * users / batch
        print(
            f"  {name:10} step of {batch} listeners {seconds:.3f} s, epoch about {epoch:.1f} s, products of the loss: "
            f"share {share:.2f}",
            flush=True,
        )


def ranking(device: str, *, tiny: bool) -> None:
    """Print full rankings beside the bare product."""
    with failing_softly("rank"):
        users, items, dim, k = (50, 400, 16, 5) if tiny else (10_000, 56_193, 200, 50)
        rng = np.random.default_rng(0)
        left, right = (torch.from_numpy(rng.standard_normal((n, dim), np.float32)).to(device) for n in (users, items))
        rows = np.arange(users, dtype=np.int32)
        seen = Truth.of(np.repeat(rows, 20), rng.integers(0, items, users * 20), users)

        def score(batch: NDArray[np.int32]) -> torch.Tensor:
            return left[int(batch[0]) : int(batch[-1]) + 1] @ right.T

        sets = [Candidates("hot", np.ones(items, np.bool_))]
        block = max(1, (256 << 20) // (4 * items))
        bare = timed(device, lambda: [score(rows[at : at + block]) for at in range(0, users, block)])
        ranked = timed(device, lambda: rank(score, rows, history=seen, candidates=sets, k=k, seed=0, block=block))
        print(f"  rank       {users} x {items}: product {bare:.3f} s, product and lists {ranked:.3f} s", flush=True)


def probing(device: str, *, tiny: bool) -> None:
    """Print the time of the default probe on a table of tags."""
    with failing_softly("probe"):
        data = twin(0.02 if tiny else 1.0, 16 if tiny else 1024, 0)
        entry, run = resolve_probe(DEFAULT), RunContext(device=device, log=lambda _: None)
        seconds = timed(device, lambda: probe(data, entry, seed=0, run=run), rounds=1)
        sizes = sum(len(part) for part in data.x.values()), data.x["train"].shape[1], len(data.names)
        print(f"  probe      {entry}, {sizes[0]} tracks x {sizes[1]}, {sizes[2]} tags: {seconds:.2f} s", flush=True)


# -- helpers ------------------------------------------------------------------------------------------------


@contextmanager
def failing_softly(row: str) -> Iterator[None]:
    """Print the error of one row, so that the others are still measured."""
    try:
        yield
    except Exception as error:
        print(f"  {row}: failed: {type(error).__name__}: {error}", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    main()
