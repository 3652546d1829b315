"""How often `bench.stats.paired_test` tells two equally good models apart at p 0.05, by users and kind of metric.

    python benchmarks/significance.py [draws]

Prints a line for each kind; every number should be at most .06, but for what so many draws vary.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.stats import paired_test

USERS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 30, 50, 100, 200, 400, 800, 1500, 3000, 5000)
Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]
KINDS: dict[str, Draw] = {
    "hits, 30 %": lambda rng, n: (rng.random(n) < 0.3).astype(float),
    "hits, 2 %": lambda rng, n: (rng.random(n) < 0.02).astype(float),
    "ndcg, 30 % above 0": lambda rng, n: rng.random(n) * (rng.random(n) < 0.3),
    "ndcg, 10 % above 0": lambda rng, n: rng.random(n) * (rng.random(n) < 0.1),
    "mrr": lambda rng, n: (rng.random(n) < 0.4) / rng.integers(1, 11, n),
    "skewed": lambda rng, n: rng.random(n) ** 8,
    "normal": lambda rng, n: rng.normal(size=n),
}


def main(draws: int) -> None:
    """Print the share of draws with p 0.05 or less."""
    print(f"{'users':>20}", *(f"{n:>5}" for n in USERS))
    for kind, draw in KINDS.items():
        rng = np.random.default_rng(0)
        shares = [
            np.mean([paired_test(draw(rng, n)[None], draw(rng, n)[None], seed=i).p <= 0.05 for i in range(draws)])
            for n in USERS
        ]
        print(f"{kind:>20}", *(f"{share:5.3f}" for share in shares), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
