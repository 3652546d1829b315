"""BERT4Rec: masked tracks of a user's sequence are predicted from both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.protocols import Lane, RunContext, Validator

from .sequential.base import SequentialRecommender
from .sequential.batches import Histories, SequenceBatch, cloze, final
from .sequential.settings import ItemMode, SequentialSettings


@dataclass(frozen=True, kw_only=True)
class BERT4RecSettings(SequentialSettings):
    """Settings of BERT4Rec; None stands for the value of the lane.

    reading : of the published lane only: item vectors frozen as the paper says (text), or trained together
        with the rows of mask and padding as in its released code (code)
    predict_len : length of the sequence in prediction, the mask at its end included: published 50, else
        `max_len`
    mask_prob : share of positions that are masked in training
    force_last : share of sequences whose last track is always masked, as in prediction: published 0, else 0.2
    judge : what ends training: the masked loss of validation pairs (published) or the NDCG (else, always)
    judged : of the published lane only: the validation users of that loss have at least so many new tracks
    projection : auto is none when published (the model is as wide as the vectors), else linear
    items : published by `reading`, else frozen
    normalize : published no, else yes where there are vectors
    patience, patience_steps, plateau : published 16, 0 and 5 (of the masked loss), else 20, 500 and never (of the NDCG)
    """

    lane: Lane = "corrected"
    reading: Literal["text", "code"] | None = None
    predict_len: int | None = None
    mask_prob: float = 0.2
    force_last: float | None = None
    judge: Literal["loss", "ndcg"] | None = None
    judged: int = 10

    def __post_init__(self) -> None:
        """Reject values out of range, and settings that the lane does not have."""
        super().__post_init__()
        if not 0 < self.mask_prob < 1 or not 0 <= (self.force_last or 0.0) <= 1:
            raise ValueError(f"mask_prob and force_last are shares, got {self.mask_prob} and {self.force_last}")
        if self.lane != "published" and self.judge == "loss":
            raise ValueError("judge=loss belongs to lane=published: elsewhere models see validation as an NDCG")
        if self.judged < 2:
            raise ValueError(f"judged must be at least 2, got {self.judged}")
        if self.predict_len is not None and self.predict_len < 2:
            raise ValueError(f"predict_len must be at least 2 (a track and the mask), got {self.predict_len}")
        if self.lane != "published" and self.reading:
            raise ValueError(f"reading={self.reading} belongs to lane=published")
        if self.lane == "published" and self.items is not None:
            raise ValueError(f"items={self.items}: the published lane has reading=text (frozen) or reading=code")

    @property
    def item_mode(self) -> ItemMode:
        """How item vectors are trained."""
        return "trainable" if self.reading == "code" else super().item_mode


class BERT4Rec(SequentialRecommender):
    """Bidirectional encoder with a tied head (Sun et al., CIKM 2019), softmax at masked positions only.

    Published (Tamm & Aljanaki, RecSys 2024, and their code): the model is as wide as the vectors, with 2
    layers, 2 heads and 256 inner units. Vectors are used as they are; mask and padding compete in the softmax
    of training and are left out of prediction, which reads the last 49 tracks. reading=code is the released
    script with its default ``--ifreeze 1``, reading=text the same with ``--ifreeze 0``;
    benchmarks/bert4rec_equal.py compares both with it. Training ends by the masked loss over the new tracks of
    validation users who have at least 10 of them, masked anew each time, after 16 epochs without a lower one.
    The released code takes the mean over batches of 128 users; here it is the mean over all masked positions.
    Its splits of 2024 have no cold tracks; where the table holds some, they compete in training, as in the code
    of the paper that followed (arXiv 2604.23077).

    Corrected (default): vectors are scaled to unit variance and projected to one width, so that models of
    different extractors have similar sizes. Inputs go through a LayerNorm, and competitors have length 1 with a
    learned temperature. Cold tracks take no part in the softmax of training and are added in prediction.
    """

    Settings = BERT4RecSettings
    SPACE = "rate=3e-4..3e-3(log),width=64|128|256,layers=1|2|3,dropout=0.0..0.5,mask_prob=0.1..0.6"
    name = "bert4rec"
    settings: BERT4RecSettings
    style = "bert"
    _scores_empty_history = True

    def __init__(self, settings: BERT4RecSettings) -> None:
        super().__init__(settings)
        self._published = settings.lane == "published"
        self._stopping = (16, 5) if self._published else (20, 0)
        self._target_share = settings.mask_prob
        self._predict_len = settings.predict_len or (50 if self._published else settings.max_len)
        default = 0.0 if self._published else 0.2
        self._force_last = default if settings.force_last is None else settings.force_last

    @property
    def _positions(self) -> int:
        return max(self.settings.max_len, self._predict_len)

    def _validation(self, valid: Validator, run: RunContext) -> Callable[[], float]:
        """Return the negative masked loss in the published lane, unless settings say otherwise, else the NDCG."""
        if not self._published or self.settings.judge == "ndcg" or run.replay is not None:
            return super()._validation(valid, run)
        held = Histories.of(valid.held_out(), self.vocabulary.token)
        users = np.flatnonzero(held.lengths >= self.settings.judged)
        if not len(users):
            raise BenchError(
                f"{self.name}: the published lane ends training by validation users with at least "
                f"{self.settings.judged} new tracks, and the split has none. Set judged= lower, or take lane=corrected."
            )
        return lambda: -self._masked_loss(held, users, run.device)

    def _masked_loss(self, held: Histories, users: NDArray[np.int64], device: str) -> float:
        """Return the mean loss at masked positions of the sequences of `users`, drawn from torch's generator."""
        import torch

        losses: list[torch.Tensor] = []
        counts: list[int] = []
        while not sum(counts):  # a few short sequences may have no masked position
            for start in range(0, len(users), self.settings.batch):
                part = users[start : start + self.settings.batch]
                batch = self._cloze(held, part, device, last=0.0)
                losses.append(self.loss(batch).detach())
                counts.append(len(batch.target))
        values: list[float] = torch.stack(losses).tolist()  # a GPU's host waits once
        return sum(value * count for value, count in zip(values, counts, strict=True)) / sum(counts)

    def _train_batch(self, users: NDArray[np.int64], device: str) -> SequenceBatch:
        return self._cloze(self.histories, users, device, last=self._force_last)

    def _cloze(self, histories: Histories, users: NDArray[np.int64], device: str, *, last: float) -> SequenceBatch:
        return cloze(
            histories,
            users,
            longest=self.settings.max_len,
            mask=len(self.vocabulary),
            share=self.settings.mask_prob,
            last=last,
            device=device,
        )

    def _last_batch(self, users: NDArray[np.int64], device: str) -> tuple[SequenceBatch, NDArray[np.int64]]:
        return final(self.histories, users, longest=self._predict_len, mask=len(self.vocabulary), device=device)
