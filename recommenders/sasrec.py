"""SASRec: each track of a user's sequence is predicted from those before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.protocols import Lane

from .sequential.base import SequentialRecommender
from .sequential.batches import SequenceBatch, final, shifted
from .sequential.settings import SequentialSettings

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, kw_only=True)
class SASRecSettings(SequentialSettings):
    """Settings of SASRec; item vectors are frozen and normalized by default."""

    heads: int = 1
    ffn: int = 128


class SASRec(SequentialRecommender):
    """Causal encoder with a tied head (Kang & McAuley, ICDM 2018), every position a training example.

    The default loss is the full softmax, with which SASRec outperforms BERT4Rec in fewer epochs on most public
    sets (Klenitskiy & Vasilev, RecSys 2023); ``loss=gbce`` is gSASRec (Petrov & Macdonald, RecSys 2023). The
    study of Tamm & Aljanaki does not contain SASRec, so there is no published lane. Item vectors are used as in
    the corrected BERT4Rec.
    """

    Settings = SASRecSettings
    SPACE = "rate=3e-4..3e-3(log),width=64|128|256,layers=1|2|3,heads=1|2|4,dropout=0.0..0.5"
    name = "sasrec"
    lanes: Sequence[Lane] = ("corrected",)
    settings: SASRecSettings
    style = "sasrec"
    shortest = 2

    def _train_batch(self, users: NDArray[np.int64], device: str) -> SequenceBatch:
        return shifted(self.histories, users, longest=self.settings.max_len, device=device)

    def _last_batch(self, users: NDArray[np.int64], device: str) -> tuple[SequenceBatch, NDArray[np.int64]]:
        return final(self.histories, users, longest=self.settings.max_len, mask=None, device=device)
