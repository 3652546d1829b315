"""Training on the built-in data with one thread and with two: CPU and wall seconds, and whether scores are equal.

Fits of one process, in turn; each row is the least of several rounds. "Validation" is part of the training. On a busy
machine threads wait for one another, and this waiting counts as CPU seconds: the load is printed first.

    python benchmarks/threads.py
    python benchmarks/threads.py --models bert4rec:epochs=3 --threads 4
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from machine import machine

from bench.files.atomic import cache_root
from bench.machine import threads
from bench.protocols import RunContext
from bench.run.options import Data, Environment
from bench.run.progress import Ui
from bench.run.recommend.experiment import RecommendExperiment
from bench.run.recommend.request import RecommendRequest
from bench.run.recommend.validation import Validation

MODELS = ("shallow:epochs=3", "bert4rec:epochs=3", "sasrec:epochs=3", "bpr:epochs=10", "elsa:epochs=5", "ease")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=cache_root(None))
    arguments = parser.parse_args()
    print(machine())
    several = f"{arguments.threads}: CPU"
    print(f"{'':24}{'1 thread: CPU':>14}{'wall':>8}{several:>10}{'wall':>8}{'CPU x':>8}{'wall x':>8}")
    for name, fit in fits(arguments.models, arguments.cache):
        measured(fit)
        alone, both = (9e9, 9e9), (9e9, 9e9)
        for _ in range(arguments.rounds):
            with threads(1):
                found, *spent = measured(fit)
            alone = tuple(map(min, alone, spent))
            with threads(arguments.threads):
                again, *spent = measured(fit)
            both = tuple(map(min, both, spent))
        print(
            f"{name:24}{alone[0]:12.2f} s{alone[1]:6.2f} s{both[0]:8.2f} s{both[1]:6.2f} s"
            f"{both[0] / alone[0]:8.2f}{both[1] / alone[1]:8.2f}   {same(found, again)}",
            flush=True,
        )


def fits(specs: list[str], cache: Path) -> list[tuple[str, Callable[[], np.ndarray]]]:
    """Return a function for each model that fits it on the built-in data and returns its scores."""
    extractors = ("mfcc",) if any(spec.startswith(("shallow", "knn")) for spec in specs) else ("none", "mfcc")
    request = RecommendRequest(data=Data(), extractors=extractors, models=tuple(specs), controls=False)
    experiment = RecommendExperiment(request, Environment(cache, device="cpu"), Ui(log=lambda _: None)).open()
    experiment.fill()
    cells = {str(cell.model): cell for cell in experiment.cells}

    def fit(name: str) -> np.ndarray:
        cell = cells[name]
        table, model = experiment.table(cell.extractor, 0), cell.model.fresh()
        model.fit(experiment.split.train, table, valid=Validation(experiment.split, None, 10, 10, 0), run=RunContext())
        return np.asarray(model.score(np.arange(len(experiment.split.users), dtype=np.int32)))

    return [(name, lambda name=name: fit(name)) for name in specs]


def measured(fit: Callable[[], np.ndarray]) -> tuple[np.ndarray, float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    found = fit()
    return found, time.process_time() - cpu, time.perf_counter() - wall


def same(one: np.ndarray, other: np.ndarray) -> str:
    return "equal" if np.array_equal(one, other) else f"unlike by {np.abs(one - other).max() / np.abs(one).max():.0e}"


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))
    main()
