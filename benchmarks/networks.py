"""A pretrained network as fast as the machine multiplies? Model alone, loader alone, end to end, naive loop.

Called by extract.py. "Model alone" starts from full windows that lie on the device as int16 and ends with
sums over frames; its operations (`operations` of the extractor) over its time stand beside those of a
product of two square matrices of the same precision, which takes turns with it: torch's own, and on a CPU
also oneDNN's, which is the faster one on some (the share is of the faster). "Loader alone" decodes,
resamples, evens out and cuts. "End to end" is the harness's own loop from files to a store. The naive loop
is upstream's: decode a batch of whole clips, then run it in float32 with `transformers`, in one thread of
control; where that package is absent there is no ratio. Clips are made up: stereo, 44.1 kHz, 30 s.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import measured_process
import numpy as np
import soundfile
import soxr
import torch
from machine import machine
from timing import NEVER, best

from bench import records
from bench.extract import Extraction
from bench.extract.pooling import sums
from bench.extract.readers import Source, read_ahead
from bench.registry import create
from bench_extractors._transformer import Linear

SECONDS = 30.0


def measure(arguments: argparse.Namespace) -> None:
    from clip_folder import make

    if arguments.json:
        torch.set_num_threads(1)
    given = f"weights={arguments.weights}" if arguments.weights else ""
    spec = ("," if ":" in arguments.extractor else ":").join(filter(None, (arguments.extractor, given)))
    plugin, device = create("extractors", spec), arguments.device
    print(machine("transformers", "safetensors"))
    print(f"{spec} on {torch.cuda.get_device_name() if device == 'cuda' else 'cpu'}, "
          f"{torch.get_num_threads()} threads, batch {arguments.batch}")  # fmt: skip
    plugin.load(device, "float32")
    measured = alone(plugin, device, arguments.batch, arguments.rounds)
    if arguments.json:
        record(arguments.json, arguments.extractor, arguments.batch, measured)
        return
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.formats:
            paths = make(Path(scratch), name, arguments.clips)
            whole(plugin, arguments, name, paths)
    print(f"peak memory {peak(device):.2f} GiB")


def record(path: Path, name: str, batch: int, measured: tuple[float, float | None]) -> None:
    """Replace the entry of an extractor in a file of speeds: name -> figures, machine and date."""
    about = records.environment("cpu")
    entry = {
        "clips_per_cpu_second": float(f"{measured[0]:.4g}"),
        "share_of_sgemm": None if measured[1] is None else round(measured[1], 3),
        "batch": batch,
        "cpu": about.cpu,
        "cores": about.cores,
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "torch": torch.__version__.partition("+")[0],
        "date": datetime.now(UTC).date().isoformat(),
    }
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps(known | {name: entry}, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def alone(plugin: Any, device: str, batch: int, rounds: int) -> tuple[float, float | None]:
    """Print the model's rate beside that of a matrix product.

    Returns clips of 30 s by processor time (on a GPU by the clock), and the share of the product's rate, if the
    extractor counts its operations.
    """
    precision, window = getattr(plugin, "precision", "float32"), plugin.window
    dtype = getattr(torch, precision)
    samples = window.length and window.left + window.length + window.right
    samples, step = samples or round(SECONDS * plugin.sample_rate), window.hop or round(SECONDS * plugin.sample_rate)
    rng = np.random.default_rng(0)
    resident = torch.from_numpy((3e3 * rng.standard_normal((batch, samples))).astype(np.int16)).to(device)
    side = 8192 if device == "cuda" else 2048
    matrix = torch.randn(side, side, device=device).to(dtype)
    products = {"torch": lambda: matrix @ matrix}
    if device == "cpu" and dtype == torch.float32:
        laid_out = Linear(matrix, None, dtype)
        products["oneDNN"] = lambda: laid_out(matrix)
    model, product = NEVER, dict.fromkeys(products, NEVER)
    with torch.inference_mode():
        for _ in range(rounds + 1):
            model = best(model, device, lambda: sums(plugin, resident.float() / 2**15))
            product = {name: best(product[name], device, work) for name, work in products.items()}
    clips = batch * step / plugin.sample_rate / SECONDS
    counted = hasattr(plugin, "operations")
    speed, share = float("nan"), None
    for at, what in enumerate(("by the clock", "by processor time")[: 1 if device == "cuda" else 2]):
        ours = batch * plugin.operations(samples) / 1e12 / model[at] if counted else float("nan")
        rates = {name: 2 * side**3 / 1e12 / spent[at] for name, spent in product.items()}
        listed = ", ".join(f"{name} {rate:.3f}" for name, rate in rates.items())
        speed, share = clips / model[at], ours / max(rates.values())
        print(f"  model alone, {what:18} {speed:8.3f} clips/s, {ours:7.3f} TFLOP/s; product of {side} in "
              f"{precision}: {listed}; share {share:.2f}")  # fmt: skip
    return speed, share if counted else None


def whole(plugin: Any, arguments: argparse.Namespace, name: str, paths: Sequence[Path]) -> None:
    """Print loader, end to end and naive loop on files."""
    sources = [Source(str(at), str(path)) for at, path in enumerate(paths)]
    workers = arguments.workers or torch.get_num_threads()
    work = Extraction(plugin, Path(), arguments.device, batch=arguments.batch, workers=workers, log=lambda _: None)
    work._made, work.size = plugin, arguments.batch  # it is loaded already
    loader = ours = theirs = NEVER
    naive = upstream(plugin, arguments.device)
    for _ in range(max(1, arguments.rounds // 2)):
        loader = best(loader, "cpu", lambda: list(read_ahead(plugin, sources, workers)))
        with tempfile.TemporaryDirectory() as cache:
            work.cache = Path(cache)
            ours = best(ours, arguments.device, lambda: work(sources))
        if naive:
            theirs = best(theirs, arguments.device, lambda: naive(paths))
    n = len(paths)
    print(f"  {name}: loader alone {n / loader[0]:.2f} clips/s; end to end {n / ours[0]:.3f} clips/s")
    if naive:
        print(f"  {name}: naive loop {n / theirs[0]:.3f} clips/s; bench is {theirs[0] / ours[0]:.2f} times as fast "
              f"by the clock, {theirs[1] / ours[1]:.2f} by processor time")  # fmt: skip


def upstream(plugin: Any, device: str) -> Callable[[Sequence[Path]], object] | None:
    """Return the loop one writes first, with upstream's network, untrained; None where it cannot be had."""
    try:
        import transformers
    except ImportError:
        return None
    if plugin.name not in ("mert", "music2vec"):
        return None
    c = plugin.config
    sizes = {"hidden_size": c.width, "num_hidden_layers": c.layers, "num_attention_heads": c.heads}
    if c.front == "layer":
        model = transformers.Data2VecAudioModel(transformers.Data2VecAudioConfig(**sizes, intermediate_size=c.ffn))
    else:
        made = transformers.HubertConfig(**sizes, intermediate_size=c.ffn, do_stable_layer_norm=c.before)
        made.conv_pos_batch_norm = False
        model = transformers.HubertModel(made)
    model = model.eval().to(device)
    together = 16 if device == "cuda" else 2

    def loop(paths: Sequence[Path]) -> object:
        vectors = []
        for start in range(0, len(paths), together):
            heard = []
            for path in paths[start : start + together]:
                wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
                wave = soxr.resample(wave.mean(1), rate, plugin.sample_rate)[: round(SECONDS * plugin.sample_rate)]
                heard.append((wave - wave.mean()) / np.sqrt(wave.var() + 1e-7))
            with torch.no_grad():
                given = torch.from_numpy(np.stack(heard)).float().to(device)
                vectors.append(model(given).last_hidden_state.mean(1).cpu())
        return vectors

    return loop


def peak(device: str) -> float:
    """Return the most memory used so far, in GiB: of the GPU, or of the process."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return measured_process.peak()
