"""One training step of BERT4Rec at the paper's size: arithmetic, memory, and a plain implementation beside it.

    python benchmarks/sequences.py                              # d = 200, items trained (reading=code)
    python benchmarks/sequences.py --reading text --dim 1024
    python benchmarks/sequences.py --bf16                       # and how far it is from exact

Figures are CPU seconds on one thread. "Products" are the matrix products that loss and gradients cannot do
without (hidden positions only, no padding, last layer at hidden positions), timed bare with torch.mm and
torch.bmm in the same process, in turn with the steps. The plain implementation computes what the paper's released
code does: padded batches, every layer and the softmax over all items at all positions. Its batch is small
(memory) and its time is scaled by the number of listeners; both sides' losses and gradients are compared on
that small batch, without dropout.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from measured_process import peak
from torch import nn
from torch.nn import functional as F  # noqa: N812

from bench.items.item_table import ItemTable
from bench.protocols import Interactions, RunContext
from bench.registry import create
from bench.training.chunked_softmax import chunked
from bench_recommenders.sequential.base import SequentialRecommender
from bench_recommenders.sequential.batches import SequenceBatch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--items", type=int, default=56193)
    parser.add_argument("--dim", type=int, default=200)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--length", type=int, default=300)
    parser.add_argument("--reading", choices=("text", "code"), default="code")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plain-batch", type=int, default=4, help="0: leave the plain implementation out")
    parser.add_argument("--only", choices=("step", "plain"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only is None:  # a process each, so that each has its own peak of memory
        sides = ["step", *(["plain"] if arguments.plain_batch else [])]
        seconds = [float(_child(side)) for side in sides]
        if len(seconds) > 1:
            print(f"plain / ours, per listener: {seconds[1] / seconds[0]:.1f}")
        return
    torch.set_num_threads(1)
    model = made(arguments)
    each = step(model, arguments) if arguments.only == "step" else plain(model, arguments)
    print(f"  peak memory {peak():.2f} GiB, whole process")
    print(each)


def _child(side: str) -> str:
    found = subprocess.run([sys.executable, *sys.argv, "--only", side], check=True, stdout=subprocess.PIPE, text=True)
    *said, value = found.stdout.splitlines()
    print("\n".join(said), flush=True)
    return value


def made(arguments: argparse.Namespace, spec: str = "", device: str = "cpu") -> SequentialRecommender:
    """Make a model, by default BERT4Rec as published, with made-up histories; nothing is learned.

    Lengths are lognormal with median 156, as in the study.
    """
    rng = np.random.default_rng(0)
    n_users, n_items, dim = arguments.users, arguments.items, arguments.dim
    lengths = np.clip(rng.lognormal(np.log(156), 1.0, n_users), 2, 5000).astype(np.int64)
    user = np.repeat(np.arange(n_users, dtype=np.int32), lengths)
    rank = np.arange(len(user), dtype=np.int64)
    item = rng.integers(0, n_items, len(user)).astype(np.int32)
    train = Interactions(user, item, rank, rank, np.ones(len(user), np.int32), n_users, n_items)
    there = np.ones(n_items, np.bool_)
    vectors = rng.standard_normal((n_items, dim), dtype=np.float32)
    table = ItemTable([f"{i:06d}" for i in range(n_items)], vectors, there.copy(), there, {})
    published = f"bert4rec:lane=published,reading={arguments.reading},max_len={arguments.length},bf16={arguments.bf16}"
    model = create("recommenders", spec or published)
    assert isinstance(model, SequentialRecommender)
    model._prepare(train, table, RunContext(device=device))
    return model


def step(model: SequentialRecommender, arguments: argparse.Namespace) -> float:
    """Time whole training steps, and the bare products; return CPU seconds a listener."""
    rng = np.random.default_rng(1)
    users = [rng.choice(arguments.users, arguments.batch, replace=False) for _ in range(arguments.rounds + 1)]
    optimizer = torch.optim.Adam([p for p in model.net.parameters() if p.requires_grad], fused=True)
    model.net.train()
    times, losses, products, inner = [], [], [], []
    batch = model._train_batch(users[0], "cpu")
    for number, some in enumerate(users):
        torch.manual_seed(number)
        started = time.process_time()
        batch = model._train_batch(some, "cpu")
        optimizer.zero_grad(set_to_none=True)
        model.loss(batch).backward()
        optimizer.step()
        times.append(time.process_time() - started)
    most = peak()
    optimizer.zero_grad(set_to_none=True)
    for _ in users:
        states, table = model.net(batch)
        states, table = states.detach().requires_grad_(), table.detach().requires_grad_(arguments.reading == "code")
        started = time.process_time()
        chunked(states, table, batch.target, bf16=arguments.bf16).backward()
        losses.append(time.process_time() - started)
        del states, table
        head, body = bare(model, batch, arguments)
        inner.append(head)
        products.append(head + body)
    whole, loss, product, head = (min(each[1:]) for each in (times, losses, products, inner))
    print(
        f"BERT4Rec step, d = {arguments.dim}, batch {arguments.batch}, length {arguments.length}, "
        f"{arguments.items} items, reading={arguments.reading}{', bfloat16 logits' * arguments.bf16}"
    )
    print(f"  {len(batch)} positions, {len(batch.target)} hidden; peak memory {most:.2f} GiB after the steps alone")
    print(f"  step    {whole:7.2f} s   float32 products, all      {product:7.2f} s   share {product / whole:.3f}")
    print(f"  loss    {loss:7.2f} s   float32 products, the loss {head:7.2f} s   share {head / loss:.3f}")
    macs = len(batch.target) * len(model.net.items()[1]) * arguments.dim * (3 if arguments.reading == "code" else 2)
    print(f"  products of the loss at {2e-9 * macs / head:.1f} GFLOP/s, the loss at {2e-9 * macs / loss:.1f} GFLOP/s")
    return whole / arguments.batch


def bare(model: SequentialRecommender, batch: SequenceBatch, arguments: argparse.Namespace) -> tuple[float, float]:
    """CPU seconds of the products of the loss and of the encoder, each at its own shape, with its gradients."""
    d, ffn, heads = arguments.dim, model.settings.ffn, model.settings.heads
    competitors, hidden, positions = len(model.net.items()[1]), len(batch.target), len(batch)
    table = torch.randn(competitors, d)
    rows = min(hidden, 1024)
    states, space = torch.randn(rows, d), torch.empty(rows, competitors)
    of_table = torch.zeros(competitors, d)
    jobs: list[Callable[[], object]] = [lambda: torch.mm(states, table.T, out=space), lambda: torch.mm(space, table)]
    if arguments.reading == "code":
        jobs.append(lambda: of_table.addmm_(space.T, states))
    head = sum(_cpu(job) for job in jobs) * hidden / rows
    body = 0.0
    for last in (False, True):
        asked = hidden if last else positions
        for n, i, o in ((asked, d, d), (positions, d, 2 * d), (asked, d, d), (asked, d, ffn), (asked, ffn, d)):
            x, weight, y = torch.randn(n, i), torch.randn(i, o), torch.randn(n, o)
            body += _cpu(lambda x=x, w=weight: x @ w) + _cpu(lambda y=y, w=weight: y @ w.T)
            body += _cpu(lambda x=x, y=y: x.T @ y)
        for mine, group in zip(batch.picked.groups if last else batch.groups, batch.groups, strict=True):
            some = torch.randn(group.sequences * heads, mine.length, d // heads)
            keys = torch.randn(group.sequences * heads, group.length, d // heads)
            shares = torch.randn(group.sequences * heads, mine.length, group.length)
            body += 2 * _cpu(lambda a=some, b=keys: a @ b.mT) + 2 * _cpu(lambda a=shares, b=keys: a @ b)
            body += 2 * _cpu(lambda a=shares, b=some: a.mT @ b)
    return head, body


def _cpu(job: Callable[[], object]) -> float:
    started = time.process_time()
    job()
    return time.process_time() - started


def plain(model: SequentialRecommender, arguments: argparse.Namespace) -> float:
    """Time the plain implementation on a small batch, and compare losses and gradients with ours."""
    rng = np.random.default_rng(2)
    # As full as an average batch: its padding is part of what is compared.
    longest = np.minimum(model.histories.lengths, arguments.length)
    users = min(
        (rng.choice(arguments.users, arguments.plain_batch, replace=False) for _ in range(200)),
        key=lambda some: abs(longest[some].mean() - longest.mean()) + 1e3 * (longest[some].max() < arguments.length),
    )
    torch.manual_seed(0)
    net = model.net
    batch = model._train_batch(users, "cpu")
    position = batch.position.numpy()
    sequence = np.cumsum(position == 0) - 1
    shape = (len(users), arguments.length)
    padding = len(model.vocabulary) + 1
    token, target = torch.full(shape, padding), torch.full(shape, -100)
    token[sequence, position] = batch.token
    rows = batch.picked.row.numpy()
    target[sequence[rows], position[rows]] = batch.target

    def everywhere(dropout: float) -> torch.Tensor:
        inputs, competitors = net.items()
        x = net.norm(F.embedding(token, inputs) + net.position_rows()[: shape[1]])
        x = F.dropout(x, dropout)
        for layer in net.encoder.layers:
            x = _plain_layer(layer, x, token == padding, dropout)
        return F.cross_entropy((x @ competitors.T).flatten(0, 1), target.flatten())

    parameters = [p for p in net.parameters() if p.requires_grad]
    net.eval()
    losses, gradients = [], []
    for side in (lambda: everywhere(0.0), lambda: model.loss(batch)):
        value = side()
        gradients.append(torch.autograd.grad(value, parameters))
        losses.append(value.item())
    gap = max(float((a - b).norm() / a.norm()) for a, b in zip(*gradients, strict=True) if float(a.norm()) > 1e-7)
    del gradients, value
    optimizer = torch.optim.Adam(parameters)
    times = []
    for _ in range(2):
        started = time.process_time()
        optimizer.zero_grad(set_to_none=True)
        everywhere(model.settings.dropout).backward()
        optimizer.step()
        times.append(time.process_time() - started)
    print(f"Plain implementation, batch {len(users)}: {min(times):.2f} s")
    print(f"  loss {losses[0]:.6f}, ours {losses[1]:.6f}; greatest relative difference of a gradient {gap:.1e}")
    return min(times) / len(users)


def _plain_layer(layer: nn.Module, x: torch.Tensor, padded: torch.Tensor, dropout: float) -> torch.Tensor:
    """One BERT layer at all positions, by torch's own multi-head attention."""
    mixed, _ = F.multi_head_attention_forward(
        x.transpose(0, 1), x.transpose(0, 1), x.transpose(0, 1), x.shape[2], layer.heads,
        torch.cat([layer.query.weight, layer.key_value.weight]), torch.cat([layer.query.bias, layer.key_value.bias]),
        None, None, False, dropout, layer.out.weight, layer.out.bias,
        training=dropout > 0, key_padding_mask=padded, need_weights=False,
    )  # fmt: skip
    x = layer.first(x + F.dropout(mixed.transpose(0, 1), dropout))
    return layer.second(x + F.dropout(layer.down(F.gelu(layer.up(x))), dropout))


if __name__ == "__main__":
    main()
