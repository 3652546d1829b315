"""Cost of ranking as a ratio to the bare matrix product, and of metrics as a ratio to rs_metrics.

Both halves of a ratio run in turn in one process on one thread, so that a busy machine slows both; ratios
are of CPU seconds, the least of several rounds. Ranking works on made-up vectors; its cost does not depend on them.

    python benchmarks/ranking.py                        # 2,000 users, 56,193 items, d = 200 and 1024
    python benchmarks/ranking.py --users 12151          # the size of the Music4All-Onion study
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from measured_process import peak
from numpy.typing import NDArray

from bench.metrics import Truth, evaluate
from bench.ranking.rank import Candidates, rank


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--items", type=int, default=56193)
    parser.add_argument("--dims", type=int, nargs="+", default=[200, 1024])
    parser.add_argument("--history", type=int, default=300, help="items masked per user")
    parser.add_argument("--cold", type=int, default=589, help="items that are cold in the mixed task")
    parser.add_argument("--k", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for dim in arguments.dims:
        ranking(arguments, dim)
    metrics(arguments)
    print(f"peak memory {peak():.2f} GiB, whole process")


def ranking(arguments: argparse.Namespace, dim: int) -> None:
    rng = np.random.default_rng(0)
    n_users, n_items = arguments.users, arguments.items
    users = np.arange(n_users, dtype=np.int32)
    user_vectors = torch.from_numpy(rng.standard_normal((n_users, dim), np.float32))
    item_vectors = torch.from_numpy(rng.standard_normal((n_items, dim), np.float32))
    seen = Truth.of(np.repeat(users, arguments.history), rng.integers(0, n_items, n_users * arguments.history), n_users)
    hot = np.ones(n_items, bool)
    cold = np.zeros(n_items, bool)
    cold[rng.choice(n_items, arguments.cold, replace=False)] = True
    block = max(1, (256 << 20) // (4 * n_items))

    def score(batch: NDArray[np.int32]) -> torch.Tensor:
        return user_vectors[torch.from_numpy(batch)] @ item_vectors.T

    def product() -> None:
        for start in range(0, n_users, block):
            score(users[start : start + block])

    def ranked(*sets: Candidates) -> Callable[[], object]:
        return lambda: rank(score, users, history=seen, candidates=sets, k=arguments.k, seed=0, block=block)

    times = fastest(
        arguments.rounds,
        product,
        ranked(Candidates("hot", hot)),
        ranked(Candidates("hot", ~cold), Candidates("cold", cold), Candidates("mixed", hot)),
    )
    print(f"{n_users} users x {n_items} items, d = {dim}, k = {arguments.k}, blocks of {block} users, 1 thread")
    for name, (cpu, wall) in zip(["product", "product + rank", "product + 3 sets"], times, strict=True):
        print(f"  {name:18s}{cpu:8.2f} CPU s {wall:8.2f} s wall {cpu / times[0][0]:6.3f} x product", flush=True)


def metrics(arguments: argparse.Namespace) -> None:
    from rs_metrics import hitrate, mapr, mrr, ndcg, precision, recall

    rng = np.random.default_rng(1)
    n_users, n_items, k = arguments.users, arguments.items, arguments.k
    topk = rng.integers(0, n_items - k, (n_users, 1)) + rng.permuted(np.tile(np.arange(k), (n_users, 1)), axis=1)
    sizes = rng.integers(1, 45, n_users)
    rows = np.repeat(np.arange(n_users), sizes)
    near = topk[rows, rng.integers(0, k, len(rows))]
    items = np.where(rng.random(len(rows)) < 0.05, near, rng.integers(0, n_items, len(rows)))
    truth = Truth.of(rows, items, n_users)
    lists = topk.astype(np.int32)
    true = {u: truth.item[truth.indptr[u] : truth.indptr[u + 1]].tolist() for u in range(n_users)}
    pred = dict(enumerate(lists.tolist()))
    theirs = {
        "hitrate": hitrate,
        "recall": recall,
        "ndcg": ndcg,
        "mrr": mrr,
        "map": mapr,
        "precision": precision,
    }
    times = fastest(
        arguments.rounds,
        lambda: [metric(true, pred, k=k) for metric in theirs.values()],
        lambda: evaluate(lists, truth, [k], tuple(theirs)),
    )
    ours = evaluate(lists, truth, [k])
    gap = max(abs(float(ours[f"{n}@{k}"].mean()) - float(m(true, pred, k=k))) for n, m in theirs.items())
    print(f"6 metrics of {n_users} users at k = {k}: greatest difference of a mean {gap:.1e}")
    theirs_cpu, ours_cpu = times[0][0], times[1][0]
    print(f"  rs_metrics {theirs_cpu:.3f} CPU s, bench {ours_cpu:.4f} CPU s: {theirs_cpu / ours_cpu:.0f} times faster")


def fastest(rounds: int, *jobs: Callable[[], object]) -> list[tuple[float, float]]:
    """Return the least CPU seconds of each job and the wall seconds of that turn; all run in turn `rounds` times."""
    best = [(float("inf"), float("inf"))] * len(jobs)
    for _ in range(rounds):
        for index, job in enumerate(jobs):
            start, used = time.perf_counter(), time.process_time()
            job()
            best[index] = min(best[index], (time.process_time() - used, time.perf_counter() - start))
    return best


if __name__ == "__main__":
    main()
