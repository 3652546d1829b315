"""Learn from listening: recordings with common listeners are to lie close together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.errors import BenchError
from bench.listening.co_listen import GraphSettings, connect
from bench.protocols import Batch, Objective, TrainingData

from .sampler import TripletSampler

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TripletSettings(GraphSettings):
    """The co-listen graph (see `GraphSettings`), the margin of the loss, and the batches of an epoch."""

    margin: float = 0.1
    steps: int = 100

    def __post_init__(self) -> None:
        """Reject numbers that are not positive."""
        super().__post_init__()
        if self.steps < 1 or not self.margin > 0:
            raise ValueError("steps must be at least 1, margin positive")


class Triplets(Objective):
    """Bring recordings with common listeners together: triplet loss on the co-listen graph (Huang et al. 2020).

    A triplet is an anchor, one of its neighbours, and a neighbour of that one that is not one of the anchor. The
    loss takes, for each anchor, the closest of the batch's negatives that is farther than the positive. A batch of
    `size` windows has size // 3 triplets: the paper's 132 are 44.
    """

    Settings = TripletSettings
    name = "triplets"
    signals = frozenset({"listens"})
    settings: TripletSettings

    def open(self, data: TrainingData, seed: int) -> None:
        """Build the graph of the training recordings.

        Raises
        ------
        BenchError
            There is no listening, or no two recordings have enough listeners in common.

        """
        if data.interactions is None or not len(data.interactions):
            raise BenchError(f"{self.name} learns from listening, and the data have none: give --listens, or tags.")
        self._seed = seed
        pairs = data.interactions
        used = data.train[pairs.item] & (pairs.count >= self.settings.plays)
        nodes, edges, _ = connect(pairs.user[used], pairs.item[used], self.settings)
        self._sampler = TripletSampler(nodes[edges], len(data.ids))

    def batches(self, epoch: int, size: int) -> Iterator[Batch]:
        """Yield `steps` batches of size // 3 triplets: all anchors, all positives, all negatives.

        Raises
        ------
        BenchError
            The graph has no triplets.

        """
        rng = np.random.default_rng([self._seed, epoch])
        many = max(size // 3, 1)
        for triplets in self._sampler.draw(rng, self.settings.steps * many).reshape(-1, many, 3):
            yield Batch(triplets.T.ravel(), self._sampler.allowed(triplets[:, 0], triplets[:, 2]))

    def loss(self, vectors: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return the sum of the hinges of embeddings (3 T, width)."""
        from .losses import triplet_loss

        return triplet_loss(vectors, batch.targets, self.settings.margin)
