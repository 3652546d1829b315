"""Is `bert4rec` in lane published what the released code of the paper computes?

    git clone https://github.com/Darel13712/pretrained-audio-representations released
    git -C released checkout ad0f645
    pip install pandas scikit-learn tqdm transformers rs_metrics       # what that code imports
    python benchmarks/bert4rec_equal.py released                       # steps together, then seeds apart
    python benchmarks/bert4rec_equal.py released --stops               # each with its own early stopping

Both sides get the same planted log, split and vectors. "Together": the same weights and the same masked
batches without dropout; logits, gradients, the losses of a training that goes on step by step, and in the
end the mean loss with dropout. "Apart": whole trainings from seeds of their own, the same number of epochs;
the lists of both are measured by rs_metrics, as there, and by `bench.metrics`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import released
import rs_metrics
import torch
from machine import machine
from numpy.typing import NDArray
from released_weights import gradients, pack, pour

from bench.items.item_table import ItemTable
from bench.metrics import Truth, evaluate
from bench.protocols import RunContext
from bench.ranking.rank import Candidates, rank
from bench.registry import create
from bench.run.recommend.evaluate import Validation
from bench.splits.make import Split, make
from bench.splits.published import RecSys2024
from bench.synthetic import planted
from bench_recommenders.sequential.base import SequentialRecommender

USERS, ITEMS, DIM, PLAYS, LENGTH = 400, 500, 32, 24_000, 64
FREEZE = {"text": 0, "code": 1}
"""The flag --ifreeze of each reading: it is handed to `requires_grad`."""
NAMES = {"train": "train", "valid": "val", "test": "test"}
"""Its file of each part."""
KS = (10, 50)
DRAWS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("clone", type=Path)
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each side")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--steps", type=int, default=50, help="of the training together")
    parser.add_argument("--readings", nargs="+", choices=tuple(FREEZE), default=tuple(FREEZE))
    parser.add_argument("--stops", action="store_true", help="each side stops early and picks an epoch in its own way")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clone = released.checked(arguments.clone)
    made = planted(USERS, ITEMS, DIM, seed=1, plays=PLAYS)
    split = make(made.listens.lazy(), RecSys2024())
    vectors = made.tables["aligned"][np.searchsorted(np.array(made.ids), split.items)]
    everything = np.ones(len(split.items), np.bool_)
    table = ItemTable(list(split.items), vectors.copy(), everything.copy(), everything, {})
    print(machine("transformers", "rs_metrics", "pandas"))
    with tempfile.TemporaryDirectory() as folder:
        work = released.lay_out(clone, made, made.tables["aligned"], Path(folder))
        same_split(work, split)
        for reading in arguments.readings:
            if arguments.steps:
                together(clone, split, table, reading, arguments.steps)
            if arguments.seeds:
                apart(clone, work, split, table, reading, arguments)


def same_split(work: Path, split: Split) -> None:
    """Stop unless the released split script found the same pairs, first plays, counts and parts."""
    for part in NAMES:
        theirs = pd.read_parquet(work / "data" / f"{NAMES[part]}.pqt").sort_values(["user_id", "track_id"])
        ours = split.pairs.filter(part=part).sort("user", "item")
        assert [f"u{user:03d}" for user in theirs.user_id] == ours["user"].to_list(), part
        assert [f"i{item:03d}" for item in theirs.track_id] == ours["item"].to_list(), part
        assert (theirs.timestamp.to_numpy("datetime64[s]").astype(np.int64) == ours["first"].to_numpy()).all(), part
        assert (theirs["count"].to_numpy() == ours["count"].to_numpy()).all(), part
    numbers = {part: len(split.pairs.filter(part=part)) for part in NAMES}
    print(f"split: equal, {len(split.users)} users, {len(split.items)} items, pairs {numbers}\n", flush=True)


def prepared(reading: str, split: Split, table: ItemTable, more: str = "") -> SequentialRecommender:
    """Return our model with its network made, untrained."""
    model = create("recommenders", f"bert4rec:lane=published,reading={reading},max_len={LENGTH}{more}")
    assert isinstance(model, SequentialRecommender)
    model._prepare(split.train, table, RunContext())
    model._check_loss(np.arange(len(split.users)), RunContext())
    return model


def together(clone: Path, split: Split, table: ItemTable, reading: str, steps: int) -> None:
    """Train both from the same weights on the same batches, without dropout."""
    code = released.module(clone)
    n = len(split.items)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - masks are drawn from the global generator there
    rows = np.concatenate([table.vectors, np.random.default_rng(0).normal(0, 0.02, (2, DIM))])
    theirs = code.BERT4Rec(
        n + 2,
        {
            "vocab_size": 2,
            "max_position_embeddings": 200,
            "hidden_size": DIM,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 256,
        },
        rows,
        padding_idx=n + 1,
    )
    theirs.freeze_item_embs(bool(FREEZE[reading]))
    model = prepared(reading, split, table)
    pour(theirs, model)
    theirs.eval()
    model.net.eval()
    train = split.train
    frame = pd.DataFrame({"user_id": train.user, "item_id": train.item, "timestamp": train.first})
    loader = code.DataLoader(
        code.MaskedLMDataset(frame, masking_value=n, max_length=LENGTH), batch_size=128, shuffle=True,
        collate_fn=code.PaddingCollateFn(padding_value=n + 1),
    )  # fmt: skip
    optimizers = [
        torch.optim.Adam(theirs.parameters()),
        torch.optim.Adam([p for p in model.net.parameters() if p.requires_grad], fused=True),
    ]
    gaps, losses = [], []
    while len(gaps) < steps:
        for batch in loader:
            packed, order, hidden = pack(batch, n + 1)
            outputs = theirs(batch["input_ids"], batch["attention_mask"])
            loss = torch.nn.CrossEntropyLoss()(outputs.view(-1, outputs.size(-1)), batch["labels"].view(-1))
            if not gaps:
                states, competitors = model.net(packed)
                found, wanted = states @ competitors.T, outputs[order][hidden]
                logits = float((found - wanted).detach().abs().max() / wanted.detach().abs().max())
            for optimizer, value in zip(optimizers, (loss, own := model.loss(packed)), strict=True):
                optimizer.zero_grad(set_to_none=True)
                value.backward()
            if not gaps:
                gradient = gradients(theirs, model)
            for optimizer in optimizers:
                optimizer.step()
            losses.append(loss.item())
            gaps.append(abs(loss.item() - own.item()) / loss.item())
    shown = {step: f"{max(gaps[:step]):.1e}" for step in sorted({1, min(10, steps), steps})}
    drawn = []
    theirs.train()
    model.net.train()
    for number in range(DRAWS):
        torch.manual_seed(number)
        with torch.no_grad():
            outputs = theirs(batch["input_ids"], batch["attention_mask"])
            drawn.append(
                [
                    float(torch.nn.functional.cross_entropy(outputs.flatten(0, 1), batch["labels"].flatten())),
                    float(model.loss(packed)),
                ]
            )
    mean, error = np.mean(drawn, axis=0), np.std(drawn, axis=0, ddof=1) / DRAWS**0.5
    print(
        f"together, reading={reading}: logits {logits:.1e} of the largest, gradients {gradient:.1e}; "
        f"loss {losses[0]:.4f} -> {losses[-1]:.4f}, relative gap up to step {shown}; mean of {DRAWS} losses of the "
        f"last batch with dropout {mean[0]:.4f} ± {error[0]:.4f} and {mean[1]:.4f} ± {error[1]:.4f}",
        flush=True,
    )


def apart(clone: Path, work: Path, split: Split, table: ItemTable, reading: str, arguments: argparse.Namespace) -> None:
    """Train both from seeds of their own; print a line a run, then means, deviations and differences."""
    more = f",epochs={arguments.epochs}"
    if not arguments.stops:
        more += f",patience=0,plateau=0,judge=ndcg,every={arguments.epochs}"
    found: dict[str, list[dict[str, float]]] = {"released": [], "bench": []}
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        started = time.process_time()
        run = released.train(
            clone, work, seed=seed, freeze=FREEZE[reading], length=LENGTH, epochs=arguments.epochs,
            to_the_end=not arguments.stops,
        )  # fmt: skip
        taken = time.process_time() - started
        users = split.truth("test", "hot").users
        theirs = run.lists.groupby("user_id").item_id.apply(lambda items: items.to_numpy()[: max(KS)])
        theirs = np.stack(theirs.loc[users].to_list()).astype(np.int32)
        poured = prepared(reading, split, table)
        pour(run.model, poured)
        again = lists(poured, split)
        about = {"side": "released", "seed": seed, "cpu_s": round(taken, 1), "epoch": run.best}
        about["same_places"] = round(float((again == theirs).mean()), 5)
        line = measured(theirs, split)
        assert abs(line["rs ndcg@50"] - run.metrics["NDCG@50"]) < 1e-9, "not the figure that its own code printed"
        found["released"].append(line | losses(run.train_loss))
        print(json.dumps(about | found["released"][-1]), flush=True)

        model = prepared(reading, split, table, more)
        started = time.process_time()
        valid = Validation(split, None, max(KS), max(KS), seed) if arguments.stops else lambda _: 0.0
        model.fit(split.train, table, valid=valid, run=RunContext(seed=seed))
        about = {"side": "bench", "seed": seed, "cpu_s": round(time.process_time() - started, 1)}
        about["epoch"] = model.history.best_epoch + 1
        found["bench"].append(measured(lists(model, split), split) | losses(model.history.loss))
        print(json.dumps(about | found["bench"][-1]), flush=True)
    print(f"\nreading={reading}\n\n| | released | bench | difference / sd |\n|---|---:|---:|---:|")
    for name in (name for name in found["bench"][0] if not name.startswith("rs ")):  # equal: see `measured`
        a, b = (np.array([each[name] for each in found[side]]) for side in ("released", "bench"))
        sd = float(np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2))
        print(
            f"| {name} | {a.mean():.4f} ± {a.std(ddof=1):.4f} | {b.mean():.4f} ± {b.std(ddof=1):.4f} | "
            f"{(b.mean() - a.mean()) / sd:+.2f} |"
        )
    print(flush=True)


def lists(model: SequentialRecommender, split: Split) -> NDArray[np.int32]:
    """Rank everything unheard for the test users (U, 50)."""
    candidates = [Candidates("hot", split.candidates("test", "hot"))]
    users = split.truth("test", "hot").users
    return rank(model.score, users, history=split.history(), candidates=candidates, k=max(KS), seed=0).topk["hot"]


def measured(topk: NDArray[np.int32], split: Split) -> dict[str, float]:
    """Metrics by rs_metrics, and by bench, of lists (U, 50) of the test users; the two must agree."""
    users, indptr, item = split.truth("test", "hot")
    truth = pd.DataFrame({"user_id": np.repeat(users, np.diff(indptr)), "item_id": item})
    pred = pd.DataFrame({"user_id": np.repeat(users, topk.shape[1]), "item_id": topk.ravel()})
    ours = evaluate(topk, Truth(indptr, item), KS, ("hitrate", "recall", "ndcg"))
    found = {}
    for k in KS:
        for name in ("hitrate", "recall", "ndcg"):
            found[f"rs {name}@{k}"] = float(getattr(rs_metrics, name)(truth, pred, k=k))
            found[f"{name}@{k}"] = float(ours[f"{name}@{k}"].mean())
            assert abs(found[f"rs {name}@{k}"] - found[f"{name}@{k}"]) < 1e-9, name
    return found


def losses(curve: list[float]) -> dict[str, float]:
    """Mean training loss of some epochs."""
    return {f"loss of epoch {n}": curve[n - 1] for n in (1, 2, 5, 10, 20, 30) if n <= len(curve)}


if __name__ == "__main__":
    main()
