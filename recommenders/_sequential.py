"""What BERT4Rec and SASRec share: checks, the network, training, and scoring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.fit import History, Schedule, fit
from bench.protocols import Estimate, Interactions, Items, Recommender, RunContext, Shape, Validator

from ._memory import encoder_bytes, loss_bytes
from ._sequences import Batch, Histories, shuffled
from ._settings import model_width

if TYPE_CHECKING:
    import torch

    from ._items import Projection
    from ._network import Network

FULL_UP_TO = 1 << 30
"""Bytes that a full loss may take; beyond, the same numbers are computed in chunks."""


class Sequential(Recommender):
    """A model of sequences over an item table; subclasses make its batches."""

    deterministic = False
    validates = True
    needs = frozenset({"items"})
    settings: Any
    net: Network
    histories: Histories
    history: History
    _known: torch.Tensor | None
    """Competitors (N, d) of all items, until the network changes."""

    # -- what a subclass says --------------------------------------------------------------------------

    def _network(self, base: torch.Tensor) -> Network:
        raise NotImplementedError

    def _projection(self) -> Projection:
        raise NotImplementedError

    def _train_batch(self, users: NDArray[np.int64], device: str) -> Batch:
        raise NotImplementedError

    def _last_batch(self, users: NDArray[np.int64], device: str) -> tuple[Batch, NDArray[np.int64]]:
        raise NotImplementedError

    def _vocabulary(self, items: Items) -> NDArray[np.bool_]:
        """Which items (N,) are competitors in training: cold ones never, or they would be pushed down."""
        return np.asarray(items.hot & items.present)

    def _scaled(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors (N, D) as the network takes them: unit variance over the vocabulary, unless published."""
        if not vectors.shape[1] or self._raw:
            return vectors
        out: NDArray[np.float32] = (vectors - self._mean) / np.float32(self._scale)
        out[~self._present] = 0.0
        return out

    _raw = False
    _stopping = (20, 0)
    """Patience and plateau where the settings leave them open."""
    shortest = 1
    """Tracks of a listener that make a training sequence."""

    _cold_compete = False
    """Whether cold tracks that have a vector are competitors in training."""

    # -- the protocol ----------------------------------------------------------------------------------

    def plan(self, shape: Shape) -> Estimate:
        """Reckon tables, encoder and loss of one step; say what becomes of a full loss, and of short histories.

        Raises
        ------
        BenchError
            When the heads do not divide the width, or no listener makes a sequence.

        """
        settings = self.settings
        width = model_width(self.name, settings, shape.width, self._projection())
        lengths = shape.lengths[shape.lengths >= self.shortest]
        if not len(lengths):
            raise BenchError(self._nobody())
        rows = shape.items if self._cold_compete and shape.width else shape.hot
        states = self._states(lengths)
        notes = []
        loss = loss_bytes(settings, states, rows, shape.device)
        if settings.loss == "full" and loss > FULL_UP_TO:
            notes.append(f"the full loss needs {loss / 1e9:.1f} GB, using chunked: the same numbers")
            loss = loss_bytes(replace(settings, loss="chunked"), states, rows, shape.device)
        if short := int((shape.lengths < self.shortest).sum()):
            notes.append(f"{short} of {shape.users} listeners have fewer than {self.shortest} tracks: not trained on")
        learned = not shape.width or self.settings.items in ("trainable", "delta")
        tables = 4 * rows * width * 6 + (12 * rows * (shape.width or width) if learned else 0)
        return Estimate(loss + tables + encoder_bytes(settings, width, states / self._picked_share, states), notes)

    def fit(self, train: Interactions, items: Items, *, valid: Validator, run: RunContext) -> None:
        """Train, stopping early on `valid`; checkpoints go to ``run.folder``."""
        import torch

        from ._plateau import Plateau

        self._prepare(train, items, run)
        users = np.flatnonzero(self.histories.lengths >= self.shortest)
        if not len(users):
            raise BenchError(self._nobody())
        self._check_loss(users, run)
        settings = self.settings

        def batches(_epoch: int) -> Iterator[Batch]:
            for part in shuffled(users, settings.batch):
                yield self._train_batch(part, run.device)

        judge = self._judge(valid, run)

        def validate() -> float:
            self._known = None
            return judge()

        patience, wait = (
            default if asked is None else asked
            for asked, default in zip((settings.patience, settings.plateau), self._stopping, strict=True)
        )
        plateau = Plateau(0.1, wait) if wait else None
        self.net.plateau = plateau
        optimizer = torch.optim.Adam(
            [p for p in self.net.parameters() if p.requires_grad], lr=settings.rate, fused=True
        )
        self.history = fit(
            self.net,
            optimizer,
            batches=batches,
            loss=self.loss,
            valid=validate,
            run=run,
            schedule=Schedule(settings.epochs, patience or None, amp=settings.bf16, every=settings.every),
            after_valid=None if plateau is None else lambda value: plateau.step(value, optimizer),
        )
        self._known = None

    def _prepare(self, train: Interactions, items: Items, run: RunContext) -> None:
        """Make vocabulary, histories and the untrained network."""
        import torch

        from ._items import standardized

        known = self._vocabulary(items)
        if not known.any():
            raise BenchError(f"{self.name}: no track of the training part has a vector. Look at the failures listed.")
        self._present = np.asarray(items.present)
        self._rows, self._strange = np.flatnonzero(known), np.flatnonzero(~known)
        vocabulary = np.full(len(known), -1, np.int64)
        vocabulary[self._rows] = np.arange(len(self._rows))
        self._vocabulary_rows = vocabulary
        self.histories = Histories.of(train, vocabulary)
        if items.vectors.shape[1]:
            self._mean, self._scale = standardized(items.vectors, self._rows)
        torch.manual_seed(run.seed)
        self._device = run.device
        self._vectors = torch.from_numpy(np.array(self._scaled(items.vectors)))
        self.net = self._network(self._vectors[self._rows].clone()).to(run.device)
        self._known = None

    def loss(self, batch: Batch) -> torch.Tensor:
        """Mean loss of a batch over its picked rows; zero when none is."""
        import torch

        from . import _losses

        states: torch.Tensor
        states, table = self.net(batch)
        if not len(states):
            return states.sum() * 0.0
        settings = self.settings
        if settings.loss == "full" and not self._in_chunks:
            return _losses.full(states, table, batch.target)
        if settings.loss in ("full", "chunked"):
            return _losses.chunked(states, table, batch.target, bf16=settings.bf16)
        drawn = torch.randint(len(table), (settings.negatives,)).to(table.device)
        if settings.loss == "gbce":
            return _losses.gbce(states, table, batch.target, drawn, settings.calibration)
        expected = torch.full((len(drawn),), float(np.log(len(drawn) / len(table))), device=table.device)
        return _losses.sampled(states, table, batch.target, drawn, expected)

    def score(self, users: NDArray[np.int32], items: Items | None = None) -> torch.Tensor:
        """Scores (B, n_items) of what comes next, cold items included; `items` changes candidates, not histories.

        Without vectors a track never trained on has no score: -inf.
        """
        import torch

        self.net.eval()
        with torch.no_grad():
            if items is not None:
                table = self._catalogue(torch.from_numpy(np.array(self._scaled(items.vectors))))
            else:
                self._known = table = self._catalogue(self._vectors) if self._known is None else self._known
            scores: torch.Tensor = self.states(users) @ table.T
            if self.net.items.own:
                scores[:, torch.from_numpy(self._strange).to(self._device)] = -torch.inf
            return scores

    def states(self, users: NDArray[np.int32], size: int = 512) -> torch.Tensor:
        """Where the next track of each listener is sought, (B, d); zeros where nothing is known of one."""
        import torch

        inputs: torch.Tensor = self.net.items()[0]
        out = inputs.new_zeros(len(users), self.net.width)
        some = np.flatnonzero(self.histories.lengths[users] + self._asks_unheard > 0)
        for start in range(0, len(some), size):
            part = some[start : start + size]
            batch, order = self._last_batch(users[part].astype(np.int64), self._device)
            states = self.net.encode(batch, inputs)
            out[torch.from_numpy(part).to(self._device)] = states[torch.from_numpy(order).to(self._device)]
        return out

    _asks_unheard = 0
    """1 when the model can be asked about a listener without tracks."""

    def _catalogue(self, vectors: torch.Tensor) -> torch.Tensor:
        import torch

        rows = torch.from_numpy(self._rows).to(self._device)
        return self.net.items.catalogue(vectors.to(self._device), rows)

    def _judge(self, valid: Validator, run: RunContext) -> Callable[[], float]:
        """Return what a validation asks for: a value to maximise."""
        return lambda: valid(self)

    def _states(self, lengths: NDArray[np.int64]) -> float:
        """Positions of a mean batch that are to be guessed, for training sequences of these lengths (B,)."""
        mean, users = float(np.minimum(lengths, self.settings.max_len).mean()), min(self.settings.batch, len(lengths))
        return float(users * mean * self._picked_share)

    def _nobody(self) -> str:
        return (
            f"{self.name}: no listener has {self.shortest} known tracks in training, so there is no sequence to "
            "learn from. Check the split, and the coverage of the item table."
        )

    def _check_loss(self, users: NDArray[np.int64], run: RunContext) -> None:
        """Choose chunks when all logits together would not fit, and say so."""
        needed = loss_bytes(self.settings, self._states(self.histories.lengths[users]), len(self._rows), run.device)
        self._in_chunks = self.settings.loss == "full" and needed > FULL_UP_TO
        if self._in_chunks:
            run.log(f"{self.name}: the full loss needs {needed / 1e9:.1f} GB, using chunked: the same numbers")

    _picked_share = 1.0
