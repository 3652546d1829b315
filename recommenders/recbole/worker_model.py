"""One model of RecBole from its data to its scores, with given item vectors; imports nothing of the harness."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

Histories = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Where each user's rows begin (n_users + 1,), and RecBole's item numbers (P,) in the order of listening."""


class ItemEmbedding(torch.nn.Module):
    """Replaces a model's ``item_embedding``: the given vectors, as they are or through a projection.

    Look-ups (histories) read `rows`. `weight`, all items as candidates, is `candidates` while that is set: the
    rows followed by those of cold items, or other vectors.
    """

    def __init__(self, rows: torch.Tensor, width: int | None, padding: int | None, trainable: bool):
        super().__init__()
        self.rows = torch.nn.Parameter(rows, requires_grad=trainable)
        # Without a bias, so that the padding row stays zero.
        self.project = None if width is None else torch.nn.Linear(rows.shape[1], width, bias=False)
        self.padding = padding
        self.candidates: torch.Tensor | None = None

    def projected(self, rows: torch.Tensor) -> torch.Tensor:
        """Return rows (n, D) at the width of the model."""
        out: torch.Tensor = rows if self.project is None else self.project(rows)
        return out

    @property
    def weight(self) -> torch.Tensor:
        """Return all candidates, as ``torch.nn.Embedding`` does."""
        return self.projected(self.rows) if self.candidates is None else self.candidates

    def forward(self, index: torch.Tensor) -> torch.Tensor:
        """Return the embeddings of items."""
        if self.project is not None and index.numel() > len(self.rows):
            return functional.embedding(index, self.projected(self.rows), self.padding)
        return self.projected(functional.embedding(index, self.rows, self.padding))


class RecBoleModel:
    """A network of RecBole's with its data set and trainer, and scores in the harness's numbering.

    request : what the harness asked for; its arrays are in the working directory as .npy files
    """

    embedding: ItemEmbedding | None = None
    can_widen = True
    """Whether the model can score more items than it was trained on."""

    def __init__(self, request: dict[str, Any]):
        self.request = request
        self.cold = np.empty(0, np.int64)
        """Items (C,) with a vector and without listeners: columns behind all others, where the model allows it."""
        self.user, self.item = np.load("user.npy"), np.load("item.npy")
        self.vectors = np.load("vectors.npy", mmap_mode="r") if request["vectors"] else None
        self.notes: list[str] = []
        """What the harness shall log."""
        trainer_class = self._read_and_build()
        self._place_vectors()
        self.trainer = trainer_class(self.config, self.network)
        self.trainer.tensorboard.close()
        self.trainer.tot_item_num = self.dataset.item_num
        self.trainer.item_tensor = self.dataset.get_item_feature().to(self.config["device"])
        if self.embedding is not None:
            self._try_cold_items(self.embedding)

    # -- data and network ------------------------------------------------------------------------------

    def _read_and_build(self) -> Any:
        """Let RecBole read the training rows and build its network; return the class of its trainer."""
        from recbole.config import Config
        from recbole.data import create_dataset
        from recbole.data.utils import get_dataloader
        from recbole.sampler import RepeatableSampler, Sampler
        from recbole.utils import get_model, get_trainer, init_seed

        sys.argv[1:] = []  # RecBole reads options there
        name = self.request["model"]
        self.config = config = Config(model=name, dataset="bench", config_dict=self.request["config"])
        init_seed(config["seed"], config["reproducibility"])
        everything = create_dataset(config)
        self.items = everything.field2id_token["item_id"][1:].astype(np.int64)
        self.users = everything.field2id_token["user_id"][1:].astype(np.int64)
        (self.dataset,) = everything.build()
        self.sequential = bool(self.request["sequential"])
        self._check_rows()
        negatives = config["train_neg_sample_args"]
        sampler = None
        if negatives["distribution"] != "none":
            drawn = negatives["distribution"], negatives["alpha"]
            if config["repeatable"]:
                sampler = RepeatableSampler(["train"], self.dataset, *drawn)
            else:
                check_listeners(self.user, self.item)
                sampler = Sampler(["train"], [self.dataset], *drawn)
            sampler = sampler.set_phase("train")
        self.batches = get_dataloader(config, "train")(config, self.dataset, sampler, shuffle=config["shuffle"])
        init_seed(config["seed"], config["reproducibility"])
        self.network = get_model(name)(config, self.dataset).to(config["device"])
        self.item_number = inverse(self.items, self.request["n_items"])
        self.user_number = inverse(self.users, self.request["n_users"])
        self.read_histories()
        self.column = self.item_number
        """The column of each item (N,) in RecBole's scores; 0, the column of its padding: no score."""
        return get_trainer(config["MODEL_TYPE"], name)

    def read_histories(self) -> None:
        """Let sequential models read the rows that are in ``user.npy`` and ``item.npy`` now, less unknown items."""
        user, number = np.load("user.npy"), self.item_number[np.load("item.npy")]
        indptr = np.searchsorted(user[number > 0], np.arange(self.request["n_users"] + 1))
        self.histories: Histories = indptr, number[number > 0]

    def _check_rows(self) -> None:
        """Compare the rows that RecBole trains on with those it was given, in order."""
        rows = slice(None) if not self.sequential else np.flatnonzero(np.diff(self.user, prepend=-1) == 0)
        for field, tokens, given in (("user_id", self.users, self.user), ("item_id", self.items, self.item)):
            if not np.array_equal(tokens[self.dataset.inter_feat[field].numpy() - 1], given[rows]):
                raise ValueError(f"RecBole trains on other rows than it was given ({field})")

    # -- item vectors ----------------------------------------------------------------------------------

    def _place_vectors(self) -> None:
        """Replace the item embedding that the network's initialiser has drawn by the given vectors."""
        if self.vectors is None:
            return
        own = getattr(self.network, "item_embedding", None)
        if not isinstance(own, torch.nn.Embedding) or own.num_embeddings < len(self.items) + 1:
            raise ValueError(f"{self.request['model']} has no item_embedding to put vectors in: give vectors=none")
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
        self.embedding = ItemEmbedding(
            rows,
            None if self.vectors.shape[1] == width else width,
            own.padding_idx,
            self.request["vectors"] == "trainable",
        ).to(self.config["device"])
        self.network.item_embedding = self.embedding
        sizes = (len(self.items) + 1, own.num_embeddings)
        others = [
            path
            for path, part in self.network.named_modules()
            if isinstance(part, torch.nn.Embedding) and part.num_embeddings in sizes and "item" in path
        ]
        if others:
            self.notes.append(f"besides the vectors it learns item embeddings of its own: {', '.join(others)}")

    def vectors_sha256(self) -> str | None:
        """Return the sha256 of the vectors of the training items, in the harness's order; None without vectors."""
        if self.embedding is None:
            return None
        rows = self.embedding.rows.detach()[1:][np.argsort(self.items)]
        return hashlib.sha256(rows.cpu().numpy().tobytes()).hexdigest()

    def _try_cold_items(self, embedding: ItemEmbedding) -> None:
        """Append columns for cold items, if the network still gives the other items the same scores."""
        present = np.load("present.npy")
        cold = np.flatnonzero(present & (self.item_number == 0))
        narrow, self.cold = self.column, cold
        some = np.unique(self.user)[:8]
        before = self.scores(some)
        self.column = self.column.copy()
        self.column[cold] = len(embedding.rows) + np.arange(len(cold))
        try:
            with self.widened():
                after = self.scores(some)
            known = narrow > 0
            gap = float(np.abs(after - before)[:, known].max()) / max(float(np.ptp(before[:, known])), 1e-12)
            problem = None if gap < 1e-4 else "its scores of known items change when items are added"
            if problem is None and not np.isfinite(after[:, cold]).all():
                problem = "their scores are not finite"
        except (RuntimeError, IndexError, ValueError, TypeError, AttributeError, NotImplementedError) as error:
            problem = f"{type(error).__name__}: {error}"
        if problem:
            self.column, self.cold = narrow, np.empty(0, np.int64)
            self.can_widen = False
            if len(cold):
                self.notes.append(f"it cannot score the {len(cold)} tracks without listeners in training ({problem})")

    @contextmanager
    def widened(self, other: NDArray[np.float32] | None = None) -> Iterator[None]:
        """Add cold items to the candidates; `other` (N, D) replaces the vectors that the model was trained on."""
        if other is not None and not self.can_widen:
            raise ValueError(f"{self.request['model']} cannot score another item table than the one it was trained on")
        if self.embedding is None or not self.can_widen:
            yield
            return
        network, embedding, trainer = self.network, self.embedding, self.trainer
        before = network.n_items
        size = len(embedding.rows) + len(self.cold)
        rows = embedding.rows.detach()
        source = self.vectors if other is None else other
        assert source is not None
        if other is not None:  # what was learned on top of the vectors stays
            rows = rows.clone()
            moved = source[self.items] - self.vectors[self.items]  # type: ignore[index]
            rows[1 : len(self.items) + 1] += torch.from_numpy(moved).to(rows.device)
        behind = torch.from_numpy(source[self.cold]).to(rows.device)
        cached = [name for name in network.other_parameter() if name.startswith("restore_")]  # a graph's last result
        changed = {name: getattr(network, name) for name in cached} | {"n_items": before}
        wide: dict[str, Any] = dict.fromkeys(cached) | {"n_items": size}
        for name, value in network.named_parameters(recurse=False):
            if value.shape == (before,):  # a bias for each item: cold items have learned none
                changed[name], wide[name] = value, torch.nn.Parameter(functional.pad(value, (0, size - before)))
        nodes = getattr(network, "n_users", 0) + before
        for name, value in vars(network).items():
            if isinstance(value, torch.Tensor) and value.is_sparse and value.shape == (nodes, nodes):
                graph = value.coalesce()
                shape = (nodes + size - before,) * 2
                changed[name] = value
                wide[name] = torch.sparse_coo_tensor(graph.indices(), graph.values(), shape)
        try:
            with torch.no_grad():
                embedding.candidates = embedding.projected(torch.cat([rows, behind]))
            for name, value in wide.items():
                setattr(network, name, value)
            trainer.tot_item_num = size
            yield
        finally:
            embedding.candidates = None
            for name, value in changed.items():
                setattr(network, name, value)
            trainer.tot_item_num = self.dataset.item_num

    # -- scores ----------------------------------------------------------------------------------------

    def scores(self, users: NDArray[Any]) -> NDArray[np.float32]:
        """Return scores (B, N) of all items: -inf where there is none, zeros for users without training rows."""
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
        self.network.eval()
        with torch.no_grad():
            scores = self.trainer._full_sort_batch_eval((Interaction(batch), None, None, None))[1]
            out[known] = scores[:, torch.from_numpy(self.column).to(scores.device)].float().cpu().numpy()
        return out


class RefusedError(Exception):
    """Training rows that RecBole cannot be trained on; the message is for the user."""


def check_listeners(user: NDArray[Any], item: NDArray[Any]) -> None:
    """Refuse rows (P,) in which a listener has every item: RecBole would look for a negative item without end."""
    pairs = np.unique(np.stack([user, item]), axis=1)
    listeners, heard = np.unique(pairs[0], return_counts=True)
    full = listeners[heard == len(np.unique(item))]
    if len(full):
        raise RefusedError(
            f"{len(full)} of {len(listeners)} listeners have all {int(heard.max())} training tracks in their history "
            f"(the first is listener {int(full[0]) + 1} in the order of ids), so RecBole finds no track for them that "
            "they have not heard. Remove them from the log, or use a model without negative sampling, such as EASE."
        )


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
