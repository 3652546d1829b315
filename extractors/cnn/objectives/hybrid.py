"""First listening, then words: the curriculum of Huang et al. (ICASSP 2020)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from bench.protocols import Batch, Objective, TrainingData

from .labels import Text, TextSettings
from .targets import Targets
from .triplets import Triplets, TripletSettings

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class HybridSettings(TripletSettings):
    """The settings of `triplets` and `text`, of which `labels_least` is the latter's `least`.

    patience : validations without a better value after which the words follow
    """

    top: int = TextSettings.top
    labels_least: int = TextSettings.least
    words: int = TextSettings.words
    patience: int = 5

    def __post_init__(self) -> None:
        """Reject numbers that are not positive."""
        super().__post_init__()
        if self.patience < 1:
            raise ValueError("patience must be at least 1")
        self.text()

    def text(self) -> TextSettings:
        """Return the settings of the words."""
        return TextSettings(top=self.top, least=self.labels_least, steps=self.steps, words=self.words)

    def triplets(self) -> TripletSettings:
        """Return the settings of the triplets."""
        return TripletSettings(**{one.name: getattr(self, one.name) for one in fields(TripletSettings)})


class Hybrid(Objective):
    """Triplets until validation has not gained for `patience` evaluations, then the words of the text.

    What decides the switch is kept in the classifier's tensors `best`, `waited` and `reading`, so that checkpoints
    hold it and a resumed training goes on the same way.
    """

    Settings = HybridSettings
    name = "hybrid"
    signals = frozenset({"text", "listens"})
    settings: HybridSettings

    def __init__(self, settings: HybridSettings | None = None) -> None:
        super().__init__(settings)
        self._triplets, self._text = Triplets(self.settings.triplets()), Text(self.settings.text())

    def open(self, data: TrainingData, seed: int) -> None:
        """Build the graph and the vocabulary.

        Raises
        ------
        BenchError
            There is no listening or no text.

        """
        self._triplets.open(data, seed)
        self._text.open(data, seed)

    def module(self, width: int) -> torch.nn.Linear:
        """Return the classifier of the words, which the triplets leave as it is."""
        import torch

        self._state = self._text.module(width)
        self._state.register_buffer("best", torch.tensor(-math.inf))
        self._state.register_buffer("waited", torch.tensor(0))
        self._state.register_buffer("reading", torch.tensor(0))
        return self._state

    @property
    def reading(self) -> bool:
        """Whether the words have begun."""
        return bool(self._buffer("reading"))

    @property
    def stage(self) -> int:
        """0 for the triplets, 1 for the words."""
        return int(self.reading)

    def batches(self, epoch: int, size: int) -> Iterator[Batch]:
        """Yield the batches of the triplets, or of the words."""
        return (self._text if self.reading else self._triplets).batches(epoch, size)

    def loss(self, vectors: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return the loss of the objective that drew the batch."""
        return (self._text if isinstance(batch.targets, Targets) else self._triplets).loss(vectors, batch)

    def label_words(self) -> Sequence[str]:
        """Return the words of the classifier's rows."""
        return self._text.label_words()

    def after_valid(self, score: float) -> None:
        """Begin with the words after `patience` values that were not better than the best."""
        best, waited = self._buffer("best"), self._buffer("waited")
        value = best.new_tensor(score)  # rounded as the best one is
        if value > best:
            best.copy_(value)
            waited.zero_()
            return
        waited += 1
        if int(waited) >= self.settings.patience:
            self._buffer("reading").fill_(1)

    def _buffer(self, name: str) -> Any:
        return getattr(self._state, name)
