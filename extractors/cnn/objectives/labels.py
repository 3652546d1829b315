"""Objectives that learn labels of recordings: tags, and words and phrases of text."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.listening.phrases import phrases
from bench.protocols import Batch, Objective, TrainingData

from .targets import Targets

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TagSettings:
    """Which labels are learned, and how many batches an epoch has.

    top : at most so many labels, the most frequent ones
    least : least number of training recordings with a label
    steps : batches of an epoch
    """

    top: int = 1000
    least: int = 5
    steps: int = 100

    def __post_init__(self) -> None:
        """Reject numbers below one."""
        if min(self.top, self.least, self.steps) < 1:
            raise ValueError("top, least and steps must be at least 1")


@dataclass(frozen=True)
class TextSettings(TagSettings):
    """Which words and phrases are learned, and how many batches an epoch has.

    top, least, steps : see `TagSettings`; the paper keeps the 100,000 most frequent terms
    words : most words of a phrase
    """

    top: int = 100_000
    least: int = 3
    words: int = 3

    def __post_init__(self) -> None:
        """Reject numbers below one."""
        super().__post_init__()
        if self.words < 1:
            raise ValueError("words must be at least 1")


class LabelObjective(Objective):
    """Learns labels with a linear classifier on the embeddings; an epoch draws recordings with labels in random order.

    The classifier starts with random rows of length about sqrt(width), and with biases that predict the frequency of
    each label.
    """

    Settings: ClassVar[type[Any]] = TagSettings
    settings: TagSettings

    @abstractmethod
    def labels(self, data: TrainingData) -> pl.DataFrame:
        """Return row (of ``data.ids``) and label, each pair once.

        Raises
        ------
        BenchError
            The data have no such labels.

        """

    @abstractmethod
    def start(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the first biases (L,) of labels that a `share` (L,) of the recordings has."""

    def open(self, data: TrainingData, seed: int) -> None:
        """Choose the labels by their frequency in training recordings.

        Raises
        ------
        BenchError
            The data have no such labels, or no label is frequent enough.

        """
        self._seed = seed
        train = pl.DataFrame({"row": np.flatnonzero(data.train)}, schema={"row": pl.Int64})
        pairs = self.labels(data).with_columns(pl.col("row").cast(pl.Int64)).join(train, on="row", how="semi")
        counts = pairs.group_by("label").len().filter(pl.col("len") >= self.settings.least)
        counts = counts.sort(["len", "label"], descending=[True, False]).head(self.settings.top)
        if not counts.height:
            raise BenchError(
                f"{self.name}: no label is on {self.settings.least} training recordings. Lower least=, or choose "
                "another objective."
            )
        self._words: list[str] = counts["label"].to_list()
        chosen = pairs.join(counts.select("label").with_row_index("column"), on="label").sort("row", "column")
        row = chosen["row"].to_numpy()
        self._column = chosen["column"].to_numpy().astype(np.int64)
        self._starts = np.searchsorted(row, np.arange(len(data.ids) + 1))
        self._labelled = np.unique(row)
        self._share = counts["len"].to_numpy() / len(self._labelled)

    def module(self, width: int) -> torch.nn.Linear:
        """Return the classifier: (M, width) -> (M, L)."""
        import torch

        self._classifier = torch.nn.Linear(width, len(self._words))
        with torch.no_grad():
            self._classifier.weight.normal_()
            self._classifier.bias.copy_(torch.from_numpy(self.start(self._share)))
        return self._classifier

    def batches(self, epoch: int, size: int) -> Iterator[Batch]:
        """Yield `steps` batches of `size` recordings: all that have labels, in random order, again and again."""
        rng = np.random.default_rng([self._seed, epoch])
        needed = self.settings.steps * size
        rounds = [rng.permutation(self._labelled) for _ in range(-(-needed // len(self._labelled)))]
        for tracks in np.concatenate(rounds)[:needed].reshape(-1, size):
            yield Batch(tracks, self.targets(tracks))

    def targets(self, tracks: NDArray[np.int64]) -> Targets:
        """Return the labels of recordings (M,)."""
        first = self._starts[tracks]
        lengths = self._starts[tracks + 1] - first
        window = np.repeat(np.arange(len(tracks)), lengths)
        at = np.arange(len(window)) + np.repeat(first - (np.cumsum(lengths) - lengths), lengths)
        return Targets(window, self._column[at])

    def label_words(self) -> Sequence[str]:
        """Return the labels, most frequent first."""
        return self._words


class Tags(LabelObjective):
    """Predict the tags of a recording: binary cross-entropy, mean over windows and tags."""

    name = "tags"
    signals = frozenset({"tags"})

    def labels(self, data: TrainingData) -> pl.DataFrame:
        """Return the tags of each recording."""
        if data.tags is None:
            raise BenchError(f"{self.name} learns from tags, and the data have none: give --meta a column tags.")
        frame = pl.DataFrame({"label": data.tags}, schema={"label": pl.List(pl.String)}).with_row_index("row")
        return frame.explode("label").drop_nulls("label").unique()

    def start(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log-odds of each tag."""
        inside = np.clip(share, 1e-4, 1 - 1e-4)
        return np.asarray(np.log(inside / (1 - inside)))

    def loss(self, vectors: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return the binary cross-entropy of the tags of embeddings (M, width)."""
        from .losses import tag_loss

        return tag_loss(vectors, self._classifier.weight, self._classifier.bias, batch.targets)


class Text(LabelObjective):
    """Predict the words and phrases of a recording's text: softmax cross-entropy (Huang et al. 2020).

    The labels of a recording are equally likely, and their probabilities sum to 1. The softmax over all labels is
    computed in chunks, exactly.
    """

    Settings: ClassVar[type[Any]] = TextSettings
    name = "text"
    signals = frozenset({"text"})
    settings: TextSettings

    def labels(self, data: TrainingData) -> pl.DataFrame:
        """Return the words and phrases of each recording."""
        if data.text is None:
            raise BenchError(
                f"{self.name} learns from text, and the data have none: give --meta a column title, description, "
                "tags or genre."
            )
        frame = pl.DataFrame({"text": data.text}, schema={"text": pl.List(pl.String)})
        return phrases(frame, "text", self.settings.words).unique()

    def start(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logarithm of the frequency of each label."""
        return np.asarray(np.log(share))

    def loss(self, vectors: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return the softmax cross-entropy of the labels of embeddings (M, width)."""
        from .losses import text_loss

        return text_loss(vectors, self._classifier.weight, self._classifier.bias, batch.targets)
