"""SASRec: each track of a listener's sequence is guessed from those before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.protocols import Lane

from ._sequences import Batch, final, shifted
from ._sequential import Sequential
from ._settings import SequentialSettings, model_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from ._items import Projection
    from ._network import Network


@dataclass(frozen=True, kw_only=True)
class SASRecSettings(SequentialSettings):
    """Settings of SASRec; where there are vectors they are frozen and normalized unless said otherwise."""

    heads: int = 1
    ffn: int = 128


class SASRec(Sequential):
    """Causal encoder with a tied head (Kang & McAuley, ICDM 2018), every position a training example.

    The default loss is the full softmax, with which it beats BERT4Rec in fewer epochs on most public sets
    (Klenitskiy & Vasilev, RecSys 2023); ``loss=gbce`` is gSASRec (Petrov & Macdonald, RecSys 2023). Not
    part of the paper: there is no published lane. Item vectors are treated as in the corrected BERT4Rec.
    """

    Settings = SASRecSettings
    SPACE = "rate=3e-4..3e-3(log),width=64|128|256,layers=1|2|3,heads=1|2|4,dropout=0.0..0.5"
    name = "sasrec"
    lanes: Sequence[Lane] = ("corrected",)
    settings: SASRecSettings
    shortest = 2

    def _network(self, base: torch.Tensor) -> Network:
        from ._items import ItemPlan
        from ._network import Network

        settings, vectors = self.settings, base.shape[1]
        projection = self._projection()
        plan = ItemPlan(
            projection,
            settings.items or "frozen",
            width=model_width(self.name, settings, vectors, projection),
            normalize=vectors > 0 if settings.normalize is None else settings.normalize,
            bound=settings.bound,
            extra=0,
        )
        return Network(
            base,
            plan,
            "sasrec",
            positions=settings.max_len,
            layers=settings.layers,
            heads=settings.heads,
            ffn=settings.ffn,
            dropout=settings.dropout,
            norm_inputs=vectors > 0,
        )

    def _projection(self) -> Projection:
        return "linear" if self.settings.projection == "auto" else self.settings.projection

    def _train_batch(self, users: NDArray[np.int64], device: str) -> Batch:
        return shifted(self.histories, users, longest=self.settings.max_len, device=device)

    def _last_batch(self, users: NDArray[np.int64], device: str) -> tuple[Batch, NDArray[np.int64]]:
        return final(self.histories, users, longest=self.settings.max_len, mask=None, device=device)
