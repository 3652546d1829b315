"""Objectives: what a network of audio learns from, beside the audio."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench.protocols.common import Plugin
from bench.protocols.recordings import Signal

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from bench.protocols.recommender import Interactions


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What is known of N recordings that a network may learn from; nothing of it comes from held-out recordings.

    ids : track ids (N,), sorted
    train, valid : masks (N,) of the recordings to learn from and of those that choose the best epoch; disjoint
    artist : artist of each recording, or None where unknown
    tags : tags of each recording; None: the data set has none
    text : pieces of text of each recording, such as its title and each of its tags; None: the data set has none
    interactions : listening before the cut-off by training users, whose items are rows of `ids`; None: no listening
    """

    ids: Sequence[str]
    train: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    artist: Sequence[str | None] | None = None
    tags: Sequence[Sequence[str]] | None = None
    text: Sequence[Sequence[str]] | None = None
    interactions: Interactions | None = None


@dataclass(frozen=True, eq=False)
class Batch:
    """One step of training.

    tracks : rows (M,) of `TrainingData.ids`, the recordings to hear; the trainer draws a window of each entry
    targets : what `Objective.loss` needs of them
    """

    tracks: NDArray[np.int64]
    targets: Any = None


class Objective(Plugin, ABC):
    """What a network learns from, and the loss that says how well it did.

    The trainer calls `open` once, `module` once, and for each epoch `batches` and, batch by batch, `loss`.
    """

    REQUIRED: ClassVar[Mapping[str, str]] = {**Plugin.REQUIRED, "signals": 'frozenset({"tags"})'}
    signals: frozenset[Signal]
    """What it learns from; it stands in the card of the trained weights."""

    @property
    def stage(self) -> int:
        """The stage of a curriculum, from 0; the best epoch is one of the last stage that training reached."""
        return 0

    @abstractmethod
    def open(self, data: TrainingData, seed: int) -> None:
        """Build vocabulary or graph from the recordings of ``data.train`` alone.

        Raises
        ------
        BenchError
            A signal is absent; the message names it and says what to do.

        """

    def module(self, width: int) -> torch.nn.Module | None:
        """Return the classifier to train with the network; None (the default) if there is none.

        `loss` uses the returned object, which the trainer moves to its device. Where `label_words` names words, the
        module has a tensor `weight` (L, width): one row a word, in the space of the embeddings.
        """
        return None

    @abstractmethod
    def batches(self, epoch: int, size: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, of about `size` windows each; the same for the same seed and epoch."""

    @abstractmethod
    def loss(self, vectors: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return the loss, a scalar, of the embeddings (M, width) of the windows of ``batch.tracks``."""

    def label_words(self) -> Sequence[str] | None:
        """Return the words (L,) of the classifier's rows; None (the default) if it has no classifier."""
        return None

    def after_valid(self, score: float) -> None:
        """Learn of a validation value, the higher the better. The default does nothing."""
        return
