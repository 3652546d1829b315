"""Run by path in a process of its own: trains a model of RecBole 1.2.1 and scores for whoever started it.

RecBole sets ``np.int`` and the like for the whole process and needs three shims; none of that may reach
the harness. This file imports nothing of it, so any interpreter with RecBole can run it. Both sides speak
lines of JSON, some followed by bytes: requests come in on stdin, answers leave on stdout, and what RecBole
prints goes to stderr. When stdin ends, the harness is gone and so is this process.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # This folder holds modules called random and recbole: they must hide nobody else's.
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != os.path.dirname(os.path.abspath(__file__))]

import hashlib
import json
import queue
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

CELLS = 1 << 24
"""Scores made at a time: 64 MiB of float32."""
Histories = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Where each user's rows begin (n_users + 1,), and RecBole's item numbers (P,) in the order of listening."""


class Link:
    """The two pipes to the harness."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self._heard: queue.SimpleQueue[tuple[dict[str, Any], bytes]] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while line := sys.stdin.buffer.readline():
            message = json.loads(line)
            self._heard.put((message, sys.stdin.buffer.read(message.get("bytes", 0))))
        os._exit(0)

    def hear(self) -> tuple[dict[str, Any], bytes]:
        return self._heard.get()

    def say(self, what: str, body: NDArray[np.float32] | None = None, **more: Any) -> None:
        self._out.write(json.dumps({"say": what, **more}).encode() + b"\n")
        if body is not None:
            self._out.write(np.ascontiguousarray(body).data.cast("B"))
        self._out.flush()


class Table(torch.nn.Module):
    """Stands where the model had ``item_embedding``: the given vectors, as they are or through a projection.

    Lookups (histories) read `rows`; `weight`, which is all items as competitors, can be widened by cold
    items, or replaced, while scoring (`competitors`).
    """

    def __init__(self, rows: torch.Tensor, width: int | None, padding: int | None, trainable: bool):
        super().__init__()
        self.rows = torch.nn.Parameter(rows, requires_grad=trainable)
        # Without a bias, so that the padding row stays zero.
        self.project = None if width is None else torch.nn.Linear(rows.shape[1], width, bias=False)
        self.padding = padding
        self.competitors: torch.Tensor | None = None

    def projected(self, rows: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = rows if self.project is None else self.project(rows)
        return found

    @property
    def weight(self) -> torch.Tensor:
        return self.projected(self.rows) if self.competitors is None else self.competitors

    def forward(self, index: torch.Tensor) -> torch.Tensor:
        if self.project is not None and index.numel() > len(self.rows):
            return functional.embedding(index, self.projected(self.rows), self.padding)
        return self.projected(functional.embedding(index, self.rows, self.padding))


class Deadline(Exception):  # noqa: N818 - no error
    """Ends a training between two steps."""


class Work:
    """One model from its data to its scores.

    asked : what the harness wrote to ``asked.json``; its arrays lie beside it as .npy files
    """

    table: Table | None = None
    cold: NDArray[np.int64]
    """Items (C,) that have vectors and no listeners: columns behind all others, where the model allows it."""
    can_widen = True

    def __init__(self, link: Link, asked: dict[str, Any]):
        self.link, self.asked, self.cold = link, asked, np.empty(0, np.int64)
        self.user, self.item = np.load("user.npy"), np.load("item.npy")
        self.vectors = np.load("vectors.npy", mmap_mode="r") if asked["vectors"] else None
        self.deadline = np.inf if asked["seconds"] is None else time.monotonic() + asked["seconds"]
        self.notes: list[str] = []
        self._prepare()
        self._place()
        self._make_trainer()
        if self.table is not None:
            self._try_cold(self.table)
        self.link.say("ready", notes=self.notes)

    # -- data and model --------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Let RecBole read the training rows and make its model; check that it read just those."""
        shim()
        from recbole.config import Config
        from recbole.data import create_dataset
        from recbole.data.utils import get_dataloader
        from recbole.sampler import RepeatableSampler, Sampler
        from recbole.utils import get_model, get_trainer, init_seed

        sys.argv[1:] = []  # RecBole reads options there
        name = self.asked["model"]
        self.config = config = Config(model=name, dataset="bench", config_dict=self.asked["config"])
        init_seed(config["seed"], config["reproducibility"])
        whole = create_dataset(config)
        self.items = whole.field2id_token["item_id"][1:].astype(np.int64)
        self.users = whole.field2id_token["user_id"][1:].astype(np.int64)
        (self.dataset,) = whole.build()
        self.sequential = bool(self.asked["sequential"])
        self._check_rows()
        negatives = config["train_neg_sample_args"]
        sampler = None
        if negatives["distribution"] != "none":
            drawn = negatives["distribution"], negatives["alpha"]
            if config["repeatable"]:
                sampler = RepeatableSampler(["train"], self.dataset, *drawn)
            else:
                sampler = Sampler(["train"], [self.dataset], *drawn)
            sampler = sampler.set_phase("train")
        self.batches = get_dataloader(config, "train")(config, self.dataset, sampler, shuffle=config["shuffle"])
        init_seed(config["seed"], config["reproducibility"])
        self.model = get_model(name)(config, self.dataset).to(config["device"])
        self.trainer_class = get_trainer(config["MODEL_TYPE"], name)
        self.item_number, self.user_number = (
            inverse(tokens, self.asked[size]) for tokens, size in ((self.items, "n_items"), (self.users, "n_users"))
        )
        indptr = np.searchsorted(self.user, np.arange(self.asked["n_users"] + 1))
        self.histories: Histories = indptr, self.item_number[self.item]
        self.column = self.item_number
        """Where each item (N,) stands among RecBole's scores; 0, its padding: nowhere."""

    def _check_rows(self) -> None:
        """Compare the rows that RecBole trains on with those it was given, in order."""
        rows = slice(None) if not self.sequential else np.flatnonzero(np.diff(self.user, prepend=-1) == 0)
        for field, tokens, given in (("user_id", self.users, self.user), ("item_id", self.items, self.item)):
            if not np.array_equal(tokens[self.dataset.inter_feat[field].numpy() - 1], given[rows]):
                raise ValueError(f"RecBole trains on other rows than it was given ({field})")

    # -- item vectors ----------------------------------------------------------------------------------

    def _place(self) -> None:
        """Put the item vectors where the model's own initialiser has just drawn some."""
        if self.vectors is None:
            return
        own = getattr(self.model, "item_embedding", None)
        if not isinstance(own, torch.nn.Embedding) or own.num_embeddings < len(self.items) + 1:
            raise ValueError(f"{self.asked['model']} has no item_embedding to put vectors in: give vectors=none")
        width = own.embedding_dim
        given = torch.from_numpy(self.vectors[self.items])
        if self.vectors.shape[1] == width:
            rows = own.weight.detach().clone()  # padding, and a mask behind the items, stay RecBole's
        else:
            spread = float(own.weight.detach()[1:].std())
            rows = spread * torch.randn(own.num_embeddings, self.vectors.shape[1])
            rows[0] = 0.0
            self.notes.append(f"vectors of width {self.vectors.shape[1]} go through a learned projection to {width}")
        rows[1 : len(given) + 1] = given
        self.table = Table(
            rows,
            None if self.vectors.shape[1] == width else width,
            own.padding_idx,
            self.asked["vectors"] == "trainable",
        ).to(self.config["device"])
        self.model.item_embedding = self.table
        sizes = (len(self.items) + 1, own.num_embeddings)
        others = [
            path
            for path, part in self.model.named_modules()
            if isinstance(part, torch.nn.Embedding) and part.num_embeddings in sizes and "item" in path
        ]
        if others:
            self.notes.append(f"besides the vectors it learns tables of items of its own: {', '.join(others)}")

    def _try_cold(self, table: Table) -> None:
        """Give cold items columns behind the others if the model still scores the others the same."""
        there = np.load("present.npy")
        cold = np.flatnonzero(there & (self.item_number == 0))
        narrow, self.cold = self.column, cold
        some = np.unique(self.user)[:8]
        before = self.scores(some)
        self.column = self.column.copy()
        self.column[cold] = len(table.rows) + np.arange(len(cold))
        try:
            with self.widened():
                after = self.scores(some)
            known = narrow > 0
            gap = float(np.abs(after - before)[:, known].max()) / max(float(np.ptp(before[:, known])), 1e-12)
            problem = None if gap < 1e-4 else "its scores of known items change when the table grows"
            if problem is None and not np.isfinite(after[:, cold]).all():
                problem = "their scores are not finite"
        except (RuntimeError, IndexError, ValueError, TypeError, AttributeError, NotImplementedError) as error:
            problem = f"{type(error).__name__}: {error}"
        if problem:
            self.column, self.cold = narrow, np.empty(0, np.int64)
            self.can_widen = False
            if len(cold):
                self.notes.append(f"it cannot score the {len(cold)} tracks that nobody heard in training ({problem})")

    @contextmanager
    def widened(self, other: NDArray[np.float32] | None = None) -> Iterator[None]:
        """Let cold items compete, or the vectors `other` (N, D) in place of those trained on."""
        if self.table is None or not self.can_widen:
            yield
            return
        model, table, trainer = self.model, self.table, self.trainer
        before = model.n_items
        size = len(table.rows) + len(self.cold)
        rows = table.rows.detach()
        source = self.vectors if other is None else other
        assert source is not None
        if other is not None:  # what was learned on top of the vectors stays
            rows = rows.clone()
            moved = source[self.items] - self.vectors[self.items]  # type: ignore[index]
            rows[1 : len(self.items) + 1] += torch.from_numpy(moved).to(rows.device)
        behind = torch.from_numpy(source[self.cold]).to(rows.device)
        kept = [name for name in model.other_parameter() if name.startswith("restore_")]  # a graph's last result
        changed = {name: getattr(model, name) for name in kept} | {"n_items": before}
        wide: dict[str, Any] = dict.fromkeys(kept) | {"n_items": size}
        for name, value in model.named_parameters(recurse=False):
            if value.shape == (before,):  # a bias for each item: none was learned for the others
                changed[name], wide[name] = value, torch.nn.Parameter(functional.pad(value, (0, size - before)))
        nodes = getattr(model, "n_users", 0) + before
        for name, value in vars(model).items():
            if isinstance(value, torch.Tensor) and value.is_sparse and value.shape == (nodes, nodes):
                grown = value.coalesce()
                shape = (nodes + size - before,) * 2
                changed[name] = value
                wide[name] = torch.sparse_coo_tensor(grown.indices(), grown.values(), shape)
        try:
            with torch.no_grad():
                table.competitors = table.projected(torch.cat([rows, behind]))
            for name, value in wide.items():
                setattr(model, name, value)
            trainer.tot_item_num = size
            yield
        finally:
            table.competitors = None
            for name, value in changed.items():
                setattr(model, name, value)
            trainer.tot_item_num = self.dataset.item_num

    # -- training --------------------------------------------------------------------------------------

    def _make_trainer(self) -> None:
        """Take RecBole's trainer; validation asks the harness, and the best state stays in memory."""
        self.trainer = trainer = self.trainer_class(self.config, self.model)
        trainer.tensorboard.close()
        trainer.tot_item_num = self.dataset.item_num
        trainer.item_tensor = self.dataset.get_item_feature().to(self.config["device"])
        self.best: tuple[dict[str, torch.Tensor], dict[str, Any]] | None = None
        self.losses: list[float] = []
        learn, calculate = trainer._train_epoch, self.model.calculate_loss

        def step(*args: Any, **more: Any) -> Any:
            if time.monotonic() > self.deadline:
                raise Deadline
            found = calculate(*args, **more)
            parts = found if isinstance(found, tuple) else (found,)
            self.losses.append(sum(float(part.detach()) for part in parts))
            return found

        def epoch(batches: Any, number: int, *args: Any, **more: Any) -> Any:
            self.losses.clear()
            total = learn(batches, number, *args, **more)
            self._say_epoch(validated=(number + 1) % trainer.eval_step == 0)
            return total

        self.model.calculate_loss = step
        trainer._train_epoch = epoch
        trainer._valid_epoch = lambda *_args, **_more: (self._validated(), {})
        trainer._save_checkpoint = lambda *_args, **_more: self._keep()

    def _say_epoch(self, *, validated: bool) -> None:
        self.link.say("epoch", loss=sum(self.losses) / max(len(self.losses), 1), validated=validated)

    def _validated(self) -> float:
        self.link.say("valid")
        return self.serve()

    def _keep(self) -> None:
        state = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        self.best = state, self.model.other_parameter()

    def train(self) -> None:
        """Train until patience, epochs or time are used up, and leave the model in its best validated state."""
        trainer = self.trainer
        try:
            trainer.fit(self.batches, [None], verbose=False, saved=True, show_progress=False)
            stopped = "patience" if trainer.cur_step > trainer.stopping_step else "epochs"
        except Deadline:
            stopped = "deadline"
            if self.losses or self.best is None:
                self._say_epoch(validated=True)
                if self._validated() >= trainer.best_valid_score:
                    self._keep()
        if self.best is not None:
            self.model.load_state_dict(self.best[0])
            self.model.load_other_parameter(self.best[1])
        self.link.say("fitted", stopped=stopped, sha256=self._fingerprint())

    def _fingerprint(self) -> str | None:
        """sha256 of the vectors of the items trained on, in the harness's order."""
        if self.table is None:
            return None
        rows = self.table.rows.detach()[1:][np.argsort(self.items)]
        return hashlib.sha256(rows.cpu().numpy().tobytes()).hexdigest()

    # -- scores ----------------------------------------------------------------------------------------

    def serve(self) -> float:
        """Answer with scores until told to go on; return what comes with that."""
        step = max(1, min(512, CELLS // self.asked["n_items"]))
        while True:
            message, body = self.link.hear()
            if message["do"] == "go on":
                return float(message["value"])
            users = np.frombuffer(body, np.int32)
            other = np.load(message["other"], mmap_mode="r") if message["other"] else None
            if other is not None and not self.can_widen:
                raise ValueError(
                    f"{self.asked['model']} cannot score another item table than the one it was trained on"
                )
            with self.widened(other):
                for start in range(0, len(users), step):
                    block = self.scores(users[start : start + step])
                    self.link.say("scores", block, rows=len(block))

    def scores(self, users: NDArray[Any]) -> NDArray[np.float32]:
        """Scores (B, N) of all items: -inf where the model has none, zeros for users it knows nothing of."""
        from recbole.data.interaction import Interaction

        out = np.zeros((len(users), len(self.column)), np.float32)
        out[:, self.column == 0] = -np.inf
        known = np.flatnonzero(self.user_number[users])
        if not len(known):
            return out
        users = users[known]
        batch = {"user_id": torch.from_numpy(self.user_number[users])}
        if self.sequential:
            batch |= latest(self.histories, users, self.config["MAX_ITEM_LIST_LENGTH"])
        self.model.eval()
        with torch.no_grad():
            found = self.trainer._full_sort_batch_eval((Interaction(batch), None, None, None))[1]
            out[known] = found[:, torch.from_numpy(self.column).to(found.device)].float().cpu().numpy()
        return out


def latest(histories: Histories, users: NDArray[Any], longest: int) -> dict[str, torch.Tensor]:
    """Return the last `longest` items of each user (B, longest), zeros behind them, and how many (B,)."""
    indptr, items = histories
    counts = np.minimum(indptr[users + 1] - indptr[users], longest)
    place = np.arange(longest)
    at = np.minimum((indptr[users + 1] - counts)[:, None] + place, len(items) - 1)
    padded = np.where(place < counts[:, None], items[at], 0)
    return {"item_id_list": torch.from_numpy(padded), "item_length": torch.from_numpy(counts)}


def inverse(tokens: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return RecBole's number, from 1, of each of the harness's indexes (size,); 0 where it has none."""
    out = np.zeros(size, np.int64)
    out[tokens] = np.arange(1, len(tokens) + 1)
    return out


def shim() -> None:
    """Make RecBole 1.2.1 run with NumPy 2 and SciPy 1.13, and cut sequences out of plain rows."""
    for name, there in (("float_", np.float64), ("complex_", np.complex128), ("unicode_", np.str_)):
        if not hasattr(np, name):
            setattr(np, name, there)
    from scipy.sparse import dok_matrix

    if not hasattr(dok_matrix, "_update"):
        dok_matrix._update = lambda self, cells: self._dict.update(cells)
    from recbole.data.dataset import Dataset, SequentialDataset

    # Of pre-split files RecBole expects every prefix of every sequence written out. It makes the same from
    # plain rows when they are not called pre-split: so it is let.
    def cut(self: Any) -> None:
        Dataset._change_feat_format(self)
        self.data_augmentation()

    SequentialDataset._change_feat_format = cut
    SequentialDataset._benchmark_presets = lambda self: None


def main() -> None:
    """Train, then score until stdin ends; what goes wrong is said, and its traceback left on stderr."""
    link = Link()
    try:
        with open("asked.json", encoding="utf-8") as file:
            work = Work(link, json.load(file))
        work.train()
        work.serve()
    except BaseException as error:
        traceback.print_exc()
        sys.stderr.flush()
        link.say("error", message=f"{type(error).__name__}: {error}")
        os._exit(1)


if __name__ == "__main__":
    main()
