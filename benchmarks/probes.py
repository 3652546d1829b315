"""Probes: what the default costs, and what it loses to the full grid of 216 networks.

The task is a generated twin of MagnaTagATune: as many clips, 50 tags as frequent as its own (18.8 % of the clips
down to 1.9 %), and vectors made from hidden factors that the tags depend on, partly through products, through
noise: a line finds most of it, a hidden layer somewhat more. Points are 100 x macro ROC-AUC on test.

    python benchmarks/probes.py                                                   # full size
    python benchmarks/probes.py --size 0.1 --dim 64 --specs quick,jukemir --folder DIR    # against the grid, smaller

A search that was killed continues from --folder; its CPU seconds are then those of the last part.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from machine import machine

from bench.metrics.classification import tag_scores
from bench.probes import PARTS, ProbeData, probe, resolve_probe
from bench.protocols import RunContext
from bench.specs import parse_list

CLIPS = {"train": 18_706, "valid": 1_825, "test": 5_329}
TAGS = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=float, default=1.0, help="share of MagnaTagATune's clips")
    parser.add_argument("--dim", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--specs", default="quick,quick-v1,linear,mlp,knn", help="the first is compared with each")
    parser.add_argument("--folder", type=Path, help="where unfinished searches are kept")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    data = twin(arguments.size, arguments.dim, arguments.seed)
    print(machine(), end="")
    shapes = ", ".join(f"{part} {len(x)}" for part, x in data.x.items())
    print(f"{shapes} clips x {arguments.dim}, {TAGS} tags, {data.y['train'].sum(axis=1).mean():.2f} a clip\n")
    print(f"{'probe':40} {'AUC':>6} {'AP':>6} {'valid':>6} {'lost':>6} {'CPU s':>8} {'wall s':>8}  chosen")
    first = None
    for spec in parse_list(arguments.specs):
        run = RunContext(seed=arguments.seed, device=arguments.device, folder=arguments.folder)
        before, began = time.process_time(), time.perf_counter()
        outcome = probe(data, resolve_probe(spec), seed=arguments.seed, run=run)
        spent, wall = time.process_time() - before, time.perf_counter() - began
        scores = tag_scores(data.y["test"], outcome.prediction)
        auc, precision = 100 * scores["roc_auc"], 100 * scores["average_precision"]
        first = auc if first is None else first
        print(
            f"{spec:40} {auc:6.2f} {precision:6.2f} {100 * outcome.validation:6.2f} {auc - first:6.2f} {spent:8.1f} "
            f"{wall:8.1f}  {len(outcome.searched)} tried: {outcome.settings}",
            flush=True,
        )


def twin(size: float, dim: int, seed: int) -> ProbeData:
    """Return clips whose tags depend on 24 hidden factors; the vectors hold them bent, rotated and in noise."""
    rng = np.random.Generator(np.random.PCG64([seed, dim]))
    sizes = [round(n * size) for n in CLIPS.values()]
    n, factors = sum(sizes), 24
    hidden = rng.standard_normal((n, factors), np.float32)
    lines = rng.standard_normal((factors, TAGS), np.float32) / np.float32(factors**0.5)
    left, right = (rng.standard_normal((factors, TAGS), np.float32) / np.float32(factors**0.5) for _ in range(2))
    logits = 5 * (hidden @ lines) + 2 * (hidden @ left) * (hidden @ right)
    logits += rng.gumbel(size=logits.shape) - rng.gumbel(size=logits.shape)
    shares = np.geomspace(0.188, 0.019, TAGS)
    tags = logits > np.array([np.quantile(column, 1 - share) for column, share in zip(logits.T, shares, strict=True)])
    # A spectrum that falls, as that of a network's last layer does.
    scale = np.float32(1) / np.sqrt(np.arange(1, dim + 1, dtype=np.float32))
    mixer = rng.standard_normal((factors, dim), np.float32) / np.float32(factors**0.5)
    bent = np.tanh(hidden @ mixer) + 0.5 * rng.standard_normal((n, dim), np.float32)
    vectors = (bent * scale).astype(np.float32) + np.float32(0.1)
    cuts = np.cumsum(sizes)[:-1]
    x, y = (dict(zip(PARTS, np.split(table, cuts), strict=True)) for table in (vectors, tags))
    return ProbeData("tags", x, y, [f"tag{i}" for i in range(TAGS)])


if __name__ == "__main__":
    main()
