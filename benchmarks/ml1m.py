"""Quality on MovieLens-1M as published: leave one out, full ranking, seen items removed.

    python benchmarks/ml1m.py --file ml-1m.txt                          # 600 CPU-seconds of BERT4Rec
    python benchmarks/ml1m.py --file ml-1m.txt --budget 0 --folder run  # 200 epochs, with checkpoints
    python benchmarks/ml1m.py --file ml-1m.txt --model sasrec --budget 0

The file (a line "user item" for each rating, in the order of time) is that of the SASRec and BERT4Rec
repositories; its git blob id is checked. The last item of each user is for testing, the one before for
validation; the validation item is part of the history when testing. Published for this file and protocol
(Klenitskiy & Vasilev, RecSys 2023): BERT4Rec HR@10 0.2843, NDCG@10 0.1537; SASRec with the full softmax
0.3152, 0.1821. The budget counts the CPU time of training alone, evaluations left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.items.item_table import ItemTable
from bench.metrics import Truth, evaluate
from bench.protocols import Interactions, RunContext
from bench.ranking.rank import Candidates, rank
from bench.registry import create
from bench_recommenders.sequential.base import SequentialRecommender
from bench_recommenders.sequential.batches import Histories

BLOB = "9ab8e3edb8742f8d8cc4911e3dee25e82a6fcc24"
MODELS = {
    "bert4rec": "bert4rec:lane=published,predict_len=200,width=64,max_len=200,patience=0,plateau=0,judge=ndcg",
    "sasrec": "sasrec:width=64,ffn=64,max_len=200,epochs=100,patience=10",
}


class OutOfBudgetError(Exception):
    """The CPU seconds are spent."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--model", choices=tuple(MODELS), default="bert4rec")
    parser.add_argument("--set", default="", help="more settings, key=value,...")
    parser.add_argument("--budget", type=float, default=600, help="CPU-seconds of training; 0: as many as it takes")
    parser.add_argument("--folder", type=Path, help="checkpoints; a killed run goes on from there")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    user, item = read(arguments.file)
    n_users, n_items = int(user.max()) + 1, int(item.max()) + 1
    left = np.bincount(user)[user] - (np.arange(len(user)) - np.searchsorted(user, user)) - 1
    parts = {name: interactions(user[rows], item[rows], n_users, n_items) for name, rows in (
        ("train", left >= 2), ("known", left >= 1), ("valid", left == 1), ("test", left == 0),
    )}  # fmt: skip
    everything = np.ones(n_items, np.bool_)
    table = ItemTable(
        [f"{i:04d}" for i in range(n_items)], np.zeros((n_items, 0), np.float32), everything.copy(), everything, {}
    )
    spec = ",".join(filter(None, [MODELS[arguments.model], arguments.set]))
    model = create("recommenders", spec)
    assert isinstance(model, SequentialRecommender)
    spent, started, epoch = 0.0, time.process_time(), 0

    def measure(part: str) -> dict[str, float]:
        """Metrics at 10 with everything before `part` known."""
        known = parts["train" if part == "valid" else "known"]
        before, model.histories = model.histories, Histories.of(known, np.arange(n_items))
        ranked = rank(
            model.score, np.arange(n_users, dtype=np.int32), history=known, k=10, seed=0,
            candidates=[Candidates("all", everything)],
        )  # fmt: skip
        model.histories = before
        truth = Truth.of(parts[part].user, parts[part].item, n_users)
        values = evaluate(ranked.topk["all"], truth, [10], ("hitrate", "ndcg"))
        return {name: float(value.mean()) for name, value in values.items()}

    def valid(_model: object) -> float:
        """Print the curve; test values are for reading only, nothing is chosen by them."""
        nonlocal spent, started, epoch
        spent += time.process_time() - started
        epoch += 1
        found = {part: measure(part) for part in ("valid", "test")}
        line = {"evaluation": epoch, "cpu_s": round(spent, 1)}
        line |= {f"{part} {name}": round(value, 4) for part, each in found.items() for name, value in each.items()}
        print(json.dumps(line), flush=True)
        if arguments.budget and spent >= arguments.budget:
            raise OutOfBudgetError
        started = time.process_time()
        return found["valid"]["ndcg@10"]

    run = RunContext(seed=arguments.seed, device=arguments.device, folder=arguments.folder, log=print)
    try:
        model.fit(parts["train"], table, valid=valid, run=run)
    except OutOfBudgetError:
        print("budget spent: the last line is the result")
    else:
        print(
            json.dumps(
                {"best epoch": model.history.best_epoch + 1} | {f"test {k}": v for k, v in measure("test").items()}
            )
        )


def read(path: Path) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Users and items from 0, as in the file, once its content is known to be the right one."""
    content = path.read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    if blob != BLOB:
        raise SystemExit(f"{path} has git blob id {blob}, not {BLOB}: another file, or another order of ties.")
    pairs = np.array(content.split(), np.int32).reshape(-1, 2) - 1
    return pairs[:, 0], pairs[:, 1]


def interactions(user: NDArray[np.int32], item: NDArray[np.int32], n_users: int, n_items: int) -> Interactions:
    """Pairs in the order of the file; the times are ranks."""
    rank = np.arange(len(user), dtype=np.int64)
    return Interactions(user, item, rank, rank, np.ones(len(user), np.int32), n_users, n_items)


if __name__ == "__main__":
    main()
