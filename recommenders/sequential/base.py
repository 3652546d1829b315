"""What BERT4Rec and SASRec share: settings resolved, the network, training, and scoring."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.devices import send
from bench.errors import BenchError
from bench.protocols import Estimate, Interactions, Items, Recommender, RunContext, Shape, Validator
from bench.training.loop import History, Schedule, fit

from .._made_of_table import MadeOfTable
from .batches import Histories, SequenceBatch, shuffled
from .memory import encoder_bytes, full_loss_note, loss_bytes
from .settings import SequentialSettings, model_width
from .vocabulary import Vocabulary

if TYPE_CHECKING:
    import torch

    from .encoder import SequenceNetwork, Style
    from .settings import Projection

STEPS = 500
"""Least steps without a better NDCG before training stops: with few users an epoch is a handful of steps."""


class SequentialRecommender(Recommender):
    """A model of sequences over an item table; subclasses make its batches."""

    deterministic = False
    validates = True
    version = "2"
    needs = frozenset({"items"})
    settings: SequentialSettings
    vocabulary: Vocabulary
    net: SequenceNetwork
    histories: Histories
    history: History

    style: Style
    shortest = 1
    """Fewest tracks of a user that make a training sequence."""
    _published = False
    """Whether item vectors are used as in the published BERT4Rec: as they are, cold ones competing in training."""
    _stopping = (20, 0)
    """Patience and plateau where the settings have none."""
    _target_share = 1.0
    """Share of the positions of a training sequence that are predicted."""
    _scores_empty_history = False
    _in_chunks = False
    """Whether a full loss is computed in chunks, because it does not fit into memory."""
    _candidates: torch.Tensor | None
    """Competitors (N, d) of all items, until the network changes."""

    # -- what a subclass defines -----------------------------------------------------------------------

    @abstractmethod
    def _train_batch(self, users: NDArray[np.int64], device: str) -> SequenceBatch:
        """Return a training batch of `users` (B,)."""

    @abstractmethod
    def _last_batch(self, users: NDArray[np.int64], device: str) -> tuple[SequenceBatch, NDArray[np.int64]]:
        """Return a batch that predicts the next track of `users` (B,), and the places (B,) of the users in it."""

    @property
    def _positions(self) -> int:
        """Length of the longest sequence in training and prediction."""
        return self.settings.max_len

    def _validation(self, valid: Validator, run: RunContext) -> Callable[[], float]:
        """Return the function that computes the validation value, which training maximises."""
        return lambda: valid(self)

    # -- the protocol ----------------------------------------------------------------------------------

    def plan(self, shape: Shape) -> Estimate:
        """Estimate tables, encoder and loss of one step, with a note on a full loss and on short histories.

        Raises
        ------
        BenchError
            When the heads do not divide the width, or no user has a training sequence.

        """
        settings = self.settings
        width = model_width(self.name, settings, shape.width, self._projection())
        lengths = shape.lengths[shape.lengths >= self.shortest]
        if not len(lengths):
            raise self._no_sequences()
        rows = shape.items if self._published and shape.width else shape.hot
        targets = self._targets(lengths)
        notes = []
        if note := full_loss_note(settings, targets, rows, shape.device):
            notes.append(note)
            settings = replace(settings, loss="chunked")
        if short := int((shape.lengths < self.shortest).sum()):
            notes.append(f"{short} of {shape.users} listeners have fewer than {self.shortest} tracks: not trained on")
        learned = not shape.width or settings.item_mode != "frozen"
        tables = 4 * rows * width * 6 + (12 * rows * (shape.width or width) if learned else 0)
        tables += 0 if shape.device == "cpu" else 4 * shape.items * shape.width  # of all items, on the device
        loss = loss_bytes(settings, targets, rows, shape.device)
        return Estimate(loss + tables + encoder_bytes(settings, width, targets / self._target_share, targets), notes)

    def fit(self, train: Interactions, items: Items, *, valid: Validator, run: RunContext) -> None:
        """Train, stopping early on `valid`; checkpoints go to ``run.folder``.

        Raises
        ------
        BenchError
            When no track has a vector, no user has a training sequence, or the heads do not divide the width.

        """
        import torch

        from bench.training.plateau import Plateau

        self._prepare(train, items, run)
        users = np.flatnonzero(self.histories.lengths >= self.shortest)
        if not len(users):
            raise self._no_sequences()
        settings = self.settings
        note = full_loss_note(settings, self._targets(self.histories.lengths[users]), len(self.vocabulary), run.device)
        self._in_chunks = note is not None
        if note:
            run.log(f"{self.name}: {note}")

        def batches(_epoch: int) -> Iterator[SequenceBatch]:
            for part in shuffled(users, settings.batch):
                yield self._train_batch(part, run.device)

        compute = self._validation(valid, run)

        def validate() -> float:
            self._candidates = None
            return compute()

        patience, wait = (
            default if given is None else given
            for given, default in zip((settings.patience, settings.plateau), self._stopping, strict=True)
        )
        plateau = Plateau(0.1, wait) if wait else None
        self.net.plateau = plateau
        trained = [parameter for parameter in self.net.parameters() if parameter.requires_grad]
        optimizer = torch.optim.Adam(trained, lr=settings.rate, fused=True)
        self.history = fit(
            self.net,
            optimizer,
            batches=batches,
            loss=self.loss,
            valid=validate,
            run=run,
            schedule=Schedule(
                settings.epochs, patience or None, self._patience_steps, amp=settings.bf16, every=settings.every
            ),
            after_valid=None if plateau is None else lambda value: plateau.step(value, optimizer),
        )
        self._candidates = None

    def update_history(self, known: Interactions) -> None:
        """Predict what follows the last tracks of `known`; those that are not in the vocabulary are left out."""
        self.histories = Histories.of(known, self.vocabulary.token)

    @property
    def _patience_steps(self) -> int:
        """Steps without a better value before training may stop: a default of the corrected lane's patience."""
        default = 0 if self._published or self.settings.patience is not None else STEPS
        return default if self.settings.patience_steps is None else self.settings.patience_steps

    def loss(self, batch: SequenceBatch) -> torch.Tensor:
        """Return the mean loss of a batch over its picked rows; zero when there are none."""
        import torch

        from bench.training.chunked_softmax import chunked

        from . import losses

        states: torch.Tensor
        states, table = self.net(batch)
        if not len(states):
            return states.sum() * 0.0
        settings = self.settings
        if settings.loss == "full" and not self._in_chunks:
            return losses.full(states, table, batch.target)
        if settings.loss in ("full", "chunked"):
            return chunked(states, table, batch.target, bf16=settings.bf16)
        drawn = torch.randint(len(table), (settings.negatives,), device=table.device)
        if settings.loss == "gbce":
            return losses.gbce(states, table, batch.target, drawn, settings.calibration)
        expected = torch.full((len(drawn),), float(np.log(len(drawn) / len(table))), device=table.device)
        return losses.sampled(states, table, batch.target, drawn, expected)

    def score(self, users: NDArray[np.int32], items: Items | None = None) -> torch.Tensor:
        """Return scores (B, n_items) of the next track, cold items included; `items` replaces the candidates only.

        Without vectors, tracks that do not occur in training score -inf.
        """
        import torch

        self.net.eval()
        with torch.no_grad():
            if items is not None:
                table = self._others.of(items, lambda other: self._catalog(*send(self._device, self._scaled(other))))
            else:
                if self._candidates is None:
                    self._candidates = self._catalog(self._vectors)
                table = self._candidates
            scores: torch.Tensor = self.states(users) @ table.T
            return scores.index_fill_(1, self._unknown, -torch.inf) if self.net.items.learned else scores

    def states(self, users: NDArray[np.int32], size: int = 512) -> torch.Tensor:
        """Return the states (B, d) that predict the next track of `users`; zeros for users without history."""
        inputs: torch.Tensor = self.net.items()[0]
        out = inputs.new_zeros(len(users), self.net.width)
        some = np.arange(len(users)) if self._scores_empty_history else np.flatnonzero(self.histories.lengths[users])
        for start in range(0, len(some), size):
            part = some[start : start + size]
            batch, order = self._last_batch(users[part].astype(np.int64), self._device)
            states = self.net.encode(batch, inputs)
            here, place = send(self._device, part, order)
            out[here] = states[place]
        return out

    # -- preparation -----------------------------------------------------------------------------------

    def _prepare(self, train: Interactions, items: Items, run: RunContext) -> None:
        """Make vocabulary, histories and the untrained network."""
        import torch

        self.vocabulary = Vocabulary(items, published=self._published)
        if not len(self.vocabulary):
            raise BenchError(f"{self.name}: no track of the training part has a vector. Look at the failures listed.")
        self.histories = Histories.of(train, self.vocabulary.token)
        torch.manual_seed(run.seed)
        self._device = run.device
        self._rows, self._unknown = send(run.device, self.vocabulary.rows, self.vocabulary.others)
        vectors = self._scaled(items)
        self.net = self._network(torch.from_numpy(vectors[self.vocabulary.rows])).to(run.device)
        (self._vectors,) = send(run.device, vectors)
        self._candidates, self._others = None, MadeOfTable()

    def _network(self, base: torch.Tensor) -> SequenceNetwork:
        from .encoder import SequenceNetwork
        from .item_encoder import ItemEncoderConfig

        settings, vectors, projection = self.settings, base.shape[1], self._projection()
        normalize = vectors > 0 and not self._published
        config = ItemEncoderConfig(
            projection,
            settings.item_mode,
            width=model_width(self.name, settings, vectors, projection),
            normalize=normalize if settings.normalize is None else settings.normalize,
            bound=settings.bound,
            extra=2 if self._published else 0,
        )
        return SequenceNetwork(
            base,
            config,
            self.style,
            positions=self._positions,
            layers=settings.layers,
            heads=settings.heads,
            ffn=settings.ffn,
            dropout=settings.dropout,
            norm_inputs=normalize,
            token_type=self._published,
        )

    def _projection(self) -> Projection:
        if self.settings.projection == "auto":
            return "none" if self._published else "linear"
        return self.settings.projection

    def _scaled(self, items: Items) -> NDArray[np.float32]:
        """Return a scaled copy of the vectors (N, D) of a table."""
        return np.array(self.vocabulary.scaled(items.vectors))

    def _catalog(self, vectors: torch.Tensor) -> torch.Tensor:
        return self.net.items.catalog(vectors, self._rows)

    def _targets(self, lengths: NDArray[np.int64]) -> float:
        """Return the mean number of predicted positions of a batch, for training sequences of these lengths (U,)."""
        mean, users = float(np.minimum(lengths, self.settings.max_len).mean()), min(self.settings.batch, len(lengths))
        return float(users * mean * self._target_share)

    def _no_sequences(self) -> BenchError:
        return BenchError(
            f"{self.name}: no listener has {self.shortest} known tracks in training, so there is no sequence to "
            "learn from. Check the split, and the coverage of the item table."
        )
