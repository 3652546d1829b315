"""Shallow Net: one linear layer over users and items, trained against negatives (Tamm & Aljanaki, RecSys 2024)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.devices import send
from bench.errors import BenchError
from bench.norms import scale_of
from bench.protocols import Estimate, Interactions, Items, Recommender, RunContext, Shape, Validator
from bench.training.loop import History, Schedule, fit

from ._shallow_settings import ShallowSettings

if TYPE_CHECKING:
    import torch

    from ._shallow_net import PairBatch


class Shallow(Recommender):
    """Cosine between ``relu(W e + b)`` of a user and of a track, trained with a hinge on negatives.

    Published: section 3 of the paper and the released code contradict each other on what is trained, so there
    is a reading for each; which of them the published table used is unknown. The hinge loss of the validation
    pairs, with new negatives each time, ends training and lowers the learning rate. A tower whose outputs are
    all zero has cosine 0 with everything, where the released code gives NaN.

    Corrected (default): with other users as the only negatives of a track, its popularity has no gradient, so
    negatives of both kinds are drawn. A known pair is no negative. Small logs have smaller steps, as 10,000
    pairs may be a whole epoch. The validation NDCG ends training and lowers the rate.

    Tracks without a vector take no part in training. Cold tracks are scored by their vectors; without vectors
    (``--extractor none``) tracks are learned from N(0, 1), and cold tracks score -inf.
    """

    Settings = ShallowSettings
    SPACE = "lr=1e-4..1e-2(log),margin=0.05..0.5,count=5|10|20|40,hidden=0|64|128|256"
    name = "shallow"
    needs = frozenset({"items"})
    deterministic = False
    validates = True
    settings: ShallowSettings
    history: History

    def __init__(self, settings: ShallowSettings) -> None:
        super().__init__(settings)
        self.warnings = [self.settings.departure] if self.settings.departure else []

    def fit(self, train: Interactions, items: Items, *, valid: Validator, run: RunContext) -> None:
        """Train on the pairs whose track has a vector.

        Raises
        ------
        BenchError
            When no such pair is left, fewer than two users or tracks to draw negatives from, or vectors too large or
            too small for float32.

        """
        import torch

        from bench.training.plateau import Plateau

        from ._made_of_table import MadeOfTable
        from ._shallow_net import ShallowNet, means, random_table

        own = self.settings
        if scale_of(items.vectors) != 1:
            raise BenchError(
                f"shallow trains on vectors as they are, and the largest value is {np.abs(items.vectors).max():.3g}: "
                "their products leave float32. Add --treat l2 or --treat standardize."
            )
        torch.manual_seed(run.seed)
        self._table, self._others = items.vectors, MadeOfTable()
        self._learned = not items.vectors.shape[1]
        rows = self._usable(train, items, run)
        user, item = send(run.device, *(part[rows].astype(np.int64) for part in (train.user, train.item)))
        self._hot = torch.zeros(train.n_items, dtype=torch.bool, device=run.device)
        self._hot[item] = True
        self._pools(user, train.n_users)

        table = torch.tensor(items.vectors, device=run.device)
        if self._learned:
            table = random_table(train.n_items, own.dim, run.device)
        # The released code cannot average vectors that are still to be learned.
        if own.user_init == "random" or (self._learned and own.lane == "published"):
            users = random_table(train.n_users, table.shape[1], run.device)
        else:
            indptr = torch.searchsorted(user, torch.arange(train.n_users + 1, device=run.device))
            users = means(table, item, indptr)
        self._net = ShallowNet(
            users,
            table,
            hidden=own.chosen("hidden"),
            tower=own.chosen("tower"),
            train_users=own.users == "trainable",
            train_items="trainable" if self._learned else own.chosen("items"),
            bound=own.bound,
            plateau=Plateau(own.factor, own.plateau),
        ).to(run.device)
        # Fused: one pass over the tables a step instead of a dozen.
        optimizer = torch.optim.Adam(self._net.parameters(), lr=own.chosen("lr"), fused=True)
        self.history = fit(
            self._net,
            optimizer,
            batches=self._batches(user, item),
            loss=lambda batch: self._net.loss(batch, own.chosen("margin")),
            valid=self._validation(valid, items, run),
            run=run,
            # Sparse products have no bfloat16, and the tower is a small part of the work on a GPU.
            schedule=Schedule(epochs=own.epochs, patience=own.patience, every=own.every, amp=False),
            after_valid=lambda value: self._net.plateau.step(value, optimizer),
        )
        self._refresh()

    def score(self, users: NDArray[np.int32], items: Items | None = None) -> torch.Tensor:
        """Return cosines (B, n_items) of tower outputs; learned changes are added to the vectors of `items`.

        Raises
        ------
        BenchError
            When `items` has vectors of another width.

        """
        import torch

        found = self._items if items is None else self._others.of(items, self._outputs)
        (rows,) = send(found.device, users.astype(np.int64))
        scores = self._users[rows] @ found.T
        return scores.masked_fill_(~self._hot, -torch.inf) if self._learned else scores

    def _outputs(self, items: Items) -> torch.Tensor:
        """Return the tower outputs (N, H) of another table."""
        import torch

        if items.vectors.shape != self._table.shape:
            raise BenchError(
                f"shallow was trained on a table of shape {self._table.shape} and cannot score one of "
                f"{items.vectors.shape}: give vectors of the same tracks and extractor."
            )
        if self._learned:
            return self._items
        with torch.no_grad():
            base = torch.tensor(items.vectors, device=self._items.device)
            if isinstance(self._net.item, torch.nn.Parameter):
                base += self._net.item - torch.tensor(self._table, device=base.device)
            return self._net.items(base=base)

    def plan(self, shape: Shape) -> Estimate:
        """Estimate the tables (trained ones with gradient and Adam's moments), and towers and negatives of a step."""
        own = self.settings
        width = shape.width or own.dim
        hidden, count = own.chosen("hidden") or width, own.chosen("count")
        pairs = own.chosen_batch(shape.pairs)
        trained_items = not shape.width or own.chosen("items") != "frozen"
        tables = shape.users * (4 if own.users == "trainable" else 1) + shape.items * (4 if trained_items else 1)
        towers = min(shape.users, pairs * (count + 1)) + min(shape.hot, pairs + own.pool)
        step = hidden * (4 * towers + 6 * pairs) + 12 * pairs * count
        return Estimate(4 * (width * tables + step) + 24 * shape.pairs)

    def _validation(self, valid: Validator, items: Items, run: RunContext) -> Callable[[], float]:
        """Return the function of the validation value: when published the negative hinge loss, else the NDCG."""
        if self.settings.lane == "published" and run.replay is None:
            return self._hinge_validation(valid.held_out(), items, run)

        def validate() -> float:
            self._refresh()
            return valid(self)

        return validate

    def _hinge_validation(self, held: Interactions, items: Items, run: RunContext) -> Callable[[], float]:
        import torch

        known = items.present[held.item] & self._hot.cpu().numpy()[held.item]
        if not known.any():
            raise BenchError(
                "shallow: the published lane ends training by the loss of validation pairs, and none of the "
                f"{len(held)} has a track that trains. Change --split, or take lane=corrected."
            )
        user, item = send(run.device, *(part[known].astype(np.int64) for part in (held.user, held.item)))
        batches, margin = self._batches(user, item), self.settings.chosen("margin")

        def validate() -> float:
            losses = [(self._net.loss(batch, margin).detach(), len(batch.user)) for batch in batches(0)]
            values: list[float] = torch.stack([loss for loss, _ in losses]).tolist()  # a GPU's host waits once
            return -sum(value * pairs for value, (_, pairs) in zip(values, losses, strict=True)) / len(user)

        return validate

    def _refresh(self) -> None:
        """Compute all tower outputs once, for all blocks of users that are ranked."""
        import torch

        with torch.no_grad():
            self._users, self._items = self._net.users(), self._net.items()

    def _usable(self, train: Interactions, items: Items, run: RunContext) -> NDArray[np.bool_]:
        """Return which pairs (P,) have a track with a vector."""
        rows = items.present[train.item]
        if not rows.any():
            raise BenchError(
                f"shallow: none of the {len(train)} training pairs has a track with a vector. "
                "Look at the failures of the extractor, or give another."
            )
        if not rows.all():
            tracks = len(np.unique(train.item[~rows]))
            run.log(f"shallow: {tracks} tracks without a vector, with {int((~rows).sum())} pairs, are left out")
        return rows

    def _pools(self, user: torch.Tensor, n_users: int) -> None:
        """Collect the users and items that negatives are drawn from."""
        import torch

        self._user_pool = torch.arange(n_users, device=user.device)
        if self.settings.exclude_known:
            self._user_pool = torch.unique(user)  # a user without pairs is never a positive
        if self.settings.drawn == "all_but_last":
            self._user_pool = self._user_pool[:-1]
        self._item_pool = torch.nonzero(self._hot).squeeze(1)
        for kind, pool in (("users", self._user_pool), ("items", self._item_pool)):
            if self.settings.negatives in (kind, "both") and len(pool) < 2:
                raise BenchError(
                    f"shallow: negatives={self.settings.negatives} needs at least two {kind}, and training has "
                    f"{len(pool)}. Choose other negatives, or an earlier start of the split."
                )

    def _batches(self, user: torch.Tensor, item: torch.Tensor) -> Callable[[int], Iterator[PairBatch]]:
        """Return epoch -> batches; their order and negatives come from torch's generator."""
        import torch

        from ._negatives import KnownPairs, sample_negatives
        from ._shallow_net import PairBatch

        own = self.settings
        size = own.chosen_batch(len(user))
        known = KnownPairs(user, item, len(self._hot)) if own.exclude_known else None

        def batches(_epoch: int) -> Iterator[PairBatch]:
            for rows in torch.split(torch.randperm(len(user), device=user.device), size):
                u, i = user[rows], item[rows]
                others: dict[str, torch.Tensor | None] = {"users": None, "items": None}
                if own.negatives in ("users", "both"):
                    seen = None if known is None else known.of_items(i)
                    others["users"] = sample_negatives(u, self._user_pool, own.chosen("count"), seen)
                if own.negatives in ("items", "both"):
                    seen = None if known is None else known.of_users(u)
                    pool = self._item_pool
                    if 0 < own.pool < len(pool):
                        pool = pool[torch.randperm(len(pool), device=pool.device)[: own.pool]]
                    others["items"] = sample_negatives(i, pool, own.chosen("count"), seen)
                yield PairBatch(u, i, others["users"], others["items"])

        return batches
