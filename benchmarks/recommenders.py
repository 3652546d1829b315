"""CPU seconds of fitting EASE, ItemKNN and BPR, against scipy's LAPACK and implicit.

    python benchmarks/recommenders.py                       # 10,000 users and tracks, EASE with 6,000
    python benchmarks/recommenders.py --tracks 18006        # EASE at this size: minutes

Both take turns in one process, on one thread; the log is made up.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import polars as pl
from machine import machine

from bench.machine import threads
from bench.protocols import Interactions, RunContext
from bench.registry import create
from bench.synthetic import planted


def log(users: int, items: int, plays: int) -> Interactions:
    """Return the distinct pairs of a planted log."""
    index = [pl.col(name).str.slice(1).cast(pl.Int32) for name in ("user", "item")]
    pairs = planted(users, items, 1, seed=0, plays=plays).listens.select(index).unique().sort("user", "item")
    user, item = (pairs[name].to_numpy() for name in ("user", "item"))
    when = np.arange(len(user))
    return Interactions(user, item, when, when, np.ones(len(user), np.int32), users, items)


def cpu(work: Callable[[], object]) -> float:
    """Return the CPU seconds of `work`."""
    started = time.process_time()
    work()
    return time.process_time() - started


def fit(spec: str, train: Interactions) -> None:
    """Fit a recommender without validation."""
    create("recommenders", spec).fit(train, None, valid=lambda _: 0.5, run=RunContext())  # type: ignore[attr-defined]


def ease(users: int, items: int, plays: int) -> tuple[float, float]:
    """Return CPU seconds of EASE, and of X^T X by scipy's sparse product with spotrf and spotri in place."""
    from scipy.linalg.lapack import spotrf, spotri
    from scipy.sparse import csr_array

    train = log(users, items, plays)

    def plain() -> None:
        ones = np.ones(len(train), np.float32)
        matrix = csr_array((ones, (train.user, train.item)), (users, items))
        gram = (matrix.T @ matrix).toarray()
        gram[np.diag_indices(items)] += 500
        spotri(spotrf(gram.T, clean=0, overwrite_a=1)[0], overwrite_c=1)

    return cpu(lambda: fit("ease", train)), cpu(plain)


def itemknn(users: int, items: int, plays: int) -> tuple[float, float]:
    """Return CPU seconds of ItemKNN and of implicit's CosineRecommender, 100 neighbours each."""
    from implicit.nearest_neighbours import CosineRecommender
    from scipy.sparse import csr_matrix

    train = log(users, items, plays)
    matrix = csr_matrix((np.ones(len(train)), (train.user, train.item)), (users, items))
    peer = CosineRecommender(K=100, num_threads=1)
    fit("itemknn", log(100, 100, 2_000))  # imports
    return cpu(lambda: fit("itemknn", train)), cpu(lambda: peer.fit(matrix, show_progress=False))


def bpr_epoch(users: int, items: int, plays: int, epochs: int = 3) -> tuple[float, float]:
    """Return CPU seconds of an epoch of BPR and of implicit's, 64 factors each; start-up is left out."""
    from implicit.cpu.bpr import BayesianPersonalizedRanking
    from scipy.sparse import csr_matrix

    train = log(users, items, plays)
    matrix = csr_matrix((np.ones(len(train), np.float32), (train.user, train.item)), (users, items))

    def ours(count: int) -> None:
        fit(f"bpr:epochs={count},every={count}", train)

    def peer(count: int) -> None:
        model = BayesianPersonalizedRanking(factors=64, iterations=count, num_threads=1)
        model.fit(matrix, show_progress=False)

    ours(1)  # imports
    mine, theirs = ((cpu(lambda w=w: w(1 + epochs)) - cpu(lambda w=w: w(1))) / epochs for w in (ours, peer))
    return mine, theirs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--plays", type=int, default=1_000_000)
    parser.add_argument("--tracks", type=int, default=6_000, help="tracks of EASE")
    arguments = parser.parse_args()
    print(machine("implicit"), end="")
    sizes = arguments.users, arguments.items, arguments.plays
    with threads(1):
        for name, row in (
            ("ItemKNN, implicit", itemknn(*sizes)),
            ("BPR epoch, implicit", bpr_epoch(*sizes)),
            ("EASE, scipy", ease(arguments.users, arguments.tracks, arguments.plays)),
        ):
            print(f"{name:22} bench {row[0]:8.2f} peer {row[1]:8.2f} CPU s, ratio {row[0] / row[1]:.2f}", flush=True)


if __name__ == "__main__":
    main()
