"""Shallow Net: CPU time of a training step with its data, as a ratio to the plain way of doing it.

The baseline does what the released reference does: pairs fetched one by one from a data frame, each
repeated 20 times, and four towers over all the repeats. Both sides do the same work on the same batch
from the same weights; their gradients are compared, then each trains `--steps` steps, one thread, in a
process of its own. Every step of an epoch costs the same, so the ratio of steps is that of epochs. The
baseline needs about 8.5 GiB at d = 1024 and 5,000 pairs a step, and twice that at 10,000.

    python benchmarks/shallow.py                               # the paper's size, d = 200
    python benchmarks/shallow.py --dim 1024 --batch 5000 --steps 1
    python benchmarks/shallow.py --reading code
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from measured_process import peak
from torch import nn

from bench.training.plateau import Plateau
from bench_recommenders._negatives import sample_negatives
from bench_recommenders._shallow_net import PairBatch, ShallowNet

MARGIN, NEGATIVES = 0.2, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--users", type=int, default=17053)
    parser.add_argument("--items", type=int, default=56193)
    parser.add_argument("--pairs", type=int, default=5_122_221)
    parser.add_argument("--dim", type=int, default=200)
    parser.add_argument("--batch", type=int, default=10_000)
    parser.add_argument(
        "--steps", type=int, default=2, help="timed steps of the baseline; bench does ten times as many"
    )
    parser.add_argument("--reading", choices=("text", "code"), default="text", help="which table is trained")
    parser.add_argument("--side", choices=("plain", "bench"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        side(arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for name in ("plain", "bench"):
            subprocess.run([sys.executable, __file__, *sys.argv[1:], "--side", name, "--folder", folder], check=True)
            found[name] = json.loads((Path(folder) / f"{name}.json").read_text())
        compare(Path(folder))
    print(
        f"{arguments.users} users, {arguments.items} items, d = {arguments.dim}, {arguments.batch} pairs a step, "
        f"reading {arguments.reading}, 1 thread"
    )
    for name, one in found.items():
        print(f"  {name:6s} data {one['data']:7.3f} s, step {one['step']:7.3f} s, peak {one['peak']:5.2f} GiB")
    sums = {name: one["data"] + one["step"] for name, one in found.items()}
    steps = -(-arguments.pairs // arguments.batch)
    print(f"  an epoch of {steps} steps: {sums['plain'] * steps:.0f} and {sums['bench'] * steps:.0f} CPU-seconds")
    print(f"  ratio {sums['plain'] / sums['bench']:.1f}")


def side(arguments: argparse.Namespace) -> None:
    """Write gradients on the common batch, CPU seconds of data and step, and peak memory (GiB)."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    user = np.sort(rng.integers(0, arguments.users, arguments.pairs))
    weight = (np.arange(arguments.items) + 1.0) ** -0.7
    item = rng.choice(arguments.items, arguments.pairs, p=weight / weight.sum())
    items = rng.standard_normal((arguments.items, arguments.dim), np.float32)
    users = rng.standard_normal((arguments.users, arguments.dim), np.float32)
    rows = rng.choice(arguments.pairs, arguments.batch, replace=False)
    common = [user[rows], item[rows], rng.integers(0, arguments.users, (arguments.batch, NEGATIVES))]
    batch = tuple(torch.from_numpy(part) for part in common)
    torch.manual_seed(0)
    make = {"plain": plain, "bench": bench}[arguments.side]
    module, loss, batches = make(arguments, user, item, torch.from_numpy(users), torch.from_numpy(items))
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3, fused=arguments.side == "bench" or None)

    loss(batch).backward()
    gradients = {name: p.grad.numpy() for name, p in module.named_parameters() if p.grad is not None}
    np.savez(arguments.folder / f"{arguments.side}.npz", **gradients)
    optimizer.step()  # both sides warm
    del gradients
    data = step = 0.0
    count = min(arguments.steps * (10 if arguments.side == "bench" else 1), arguments.pairs // arguments.batch - 1)
    following = batches()
    next(following)
    for _ in range(count):
        start = time.process_time()
        found = next(following)
        loaded = time.process_time()
        optimizer.zero_grad()
        loss(found).backward()
        optimizer.step()
        data, step = data + loaded - start, step + time.process_time() - loaded
    most = peak()
    report = {"data": data / count, "step": step / count, "peak": most}
    (arguments.folder / f"{arguments.side}.json").write_text(json.dumps(report))


Batch = tuple[torch.Tensor, ...]
Side = tuple[nn.Module, Callable[[Batch], torch.Tensor], Callable[[], Iterator[Batch]]]


def plain(
    arguments: argparse.Namespace, user: np.ndarray, item: np.ndarray, users: torch.Tensor, items: torch.Tensor
) -> Side:
    """Pairs one by one, and the tower over every repeat."""
    import pandas as pd

    class Pairs(torch.utils.data.Dataset):
        frame = pd.DataFrame({"user": user, "item": item, "count": 1})

        def __len__(self) -> int:
            return len(self.frame)

        def __getitem__(self, row: int) -> tuple[torch.Tensor, ...]:
            one = self.frame.iloc[row]
            return torch.tensor(one["user"]), torch.tensor(one["item"]), torch.tensor(one["count"])

    class Repeating(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tower = nn.Linear(arguments.dim, arguments.dim)
            self.user = nn.Embedding.from_pretrained(users, freeze=arguments.reading == "code")
            self.item = nn.Embedding.from_pretrained(items, freeze=arguments.reading == "text")

        def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
            left, right = torch.relu(self.tower(self.user(user))), torch.relu(self.tower(self.item(item)))
            return nn.functional.cosine_similarity(left, right)

    module = Repeating()

    def loss(batch: Batch) -> torch.Tensor:
        user, item = (part.repeat_interleave(NEGATIVES) for part in batch[:2])
        return (MARGIN - module(user, item) + module(batch[2].flatten(), item)).clamp(min=0).mean()

    def batches() -> Iterator[Batch]:
        for one, other, _ in torch.utils.data.DataLoader(Pairs(), batch_size=arguments.batch, shuffle=True):
            others = np.random.default_rng(len(one)).integers(0, arguments.users, (len(one), NEGATIVES))
            yield one, other, torch.from_numpy(others)

    return module, loss, batches


def bench(
    arguments: argparse.Namespace, user: np.ndarray, item: np.ndarray, users: torch.Tensor, items: torch.Tensor
) -> Side:
    """Each distinct row once, through the model's own parts."""
    module = ShallowNet(
        users,
        items,
        hidden=0,
        tower="shared",
        train_users=arguments.reading == "text",
        train_items="frozen" if arguments.reading == "text" else "trainable",
        bound=1.0,
        plateau=Plateau(0.1, 5),
    )
    all_users, all_items = torch.from_numpy(user), torch.from_numpy(item)
    pool = torch.arange(arguments.users)

    def loss(batch: Batch) -> torch.Tensor:
        return module.loss(PairBatch(*batch, None), MARGIN)

    def batches() -> Iterator[Batch]:
        for rows in torch.randperm(len(all_users)).split(arguments.batch):
            u, i = all_users[rows], all_items[rows]
            yield u, i, sample_negatives(u, pool, NEGATIVES)

    return module, loss, batches


def compare(folder: Path) -> None:
    """Fail unless all gradients agree to 1e-5 of their length.

    Single entries may differ more: a unit or a hinge within rounding of its kink falls to either side.
    """
    plain, ours = (np.load(folder / f"{name}.npz") for name in ("plain", "bench"))
    names = {"tower.weight": "tower.weight", "tower.bias": "tower.bias", "user.weight": "user", "item.weight": "item"}
    for name in plain.files:
        left, right = plain[name], ours[names[name]]
        entry = float(np.abs(left - right).max() / np.abs(left).max())
        whole = float(np.linalg.norm(left - right) / np.linalg.norm(left))
        print(f"gradient of {name}: difference {whole:.1e} of its length, {entry:.1e} of its greatest entry")
        if whole > 1e-5:
            raise SystemExit("the gradients differ")


if __name__ == "__main__":
    main()
