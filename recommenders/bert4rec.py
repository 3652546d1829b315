"""BERT4Rec: hidden tracks of a listener's sequence are guessed from both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bench.protocols import Items, Lane

from ._sequences import Batch, cloze, final
from ._sequential import Sequential
from ._settings import SequentialSettings, model_width

if TYPE_CHECKING:
    import torch

    from ._items import Mode
    from ._network import Network


@dataclass(frozen=True, kw_only=True)
class BERT4RecSettings(SequentialSettings):
    """Settings of BERT4Rec; None stands for what the lane has.

    reading : of the published lane only: item vectors frozen as the paper's text says, or trained as its
        released code does, the rows of mask and padding with them (code)
    predict_len : tracks that prediction looks at, the mask at the end included: published 50, else `max_len`
    mask_prob : share of positions that are hidden in training
    force_last : share of sequences whose last track is hidden in any case, as in prediction: published 0,
        else 0.2
    projection : auto is none when published (the model is as wide as the vectors), else linear
    items : published by `reading`, else frozen
    normalize : published no, else yes where there are vectors
    patience, plateau : published 16 and 5, else 20 and never
    """

    lane: Lane = "corrected"
    reading: Literal["text", "code"] | None = None
    predict_len: int | None = None
    mask_prob: float = 0.2
    force_last: float | None = None

    def __post_init__(self) -> None:
        """Reject what cannot be, or is not published."""
        super().__post_init__()
        if not 0 < self.mask_prob < 1 or not 0 <= (self.force_last or 0.0) <= 1:
            raise ValueError(f"mask_prob and force_last are shares, got {self.mask_prob} and {self.force_last}")
        if self.predict_len is not None and self.predict_len < 2:
            raise ValueError(f"predict_len must be at least 2 (a track and the mask), got {self.predict_len}")
        if self.lane != "published" and self.reading:
            raise ValueError(f"reading={self.reading} belongs to lane=published")
        if self.lane == "published" and self.items is not None:
            raise ValueError(f"items={self.items}: the published lane takes reading=text (frozen) or reading=code")


class BERT4Rec(Sequential):
    """Bidirectional encoder with a tied head (Sun et al., CIKM 2019), softmax at hidden positions only.

    Published (Tamm & Aljanaki, RecSys 2024, and their code): as wide as the vectors, 2 layers, 2 heads, 256
    inner units, vectors as they are, mask and padding compete in the softmax of training and are cut at
    prediction, as are cold tracks that the table holds; prediction reads the last 49 tracks. Their
    early stopping on the masked loss of validation users is not reproduced: models see validation as
    an NDCG and nothing else, and both lanes stop on that.

    Corrected (default): vectors scaled to unit variance and projected to one width, so that extractors
    of unlike widths get models of like size; input LayerNorm; competitors of length 1 with a learned
    temperature; cold tracks take no part in training's softmax and are added at prediction.
    """

    Settings = BERT4RecSettings
    name = "bert4rec"
    settings: BERT4RecSettings
    _asks_unheard = 1

    def __init__(self, settings: BERT4RecSettings) -> None:
        super().__init__(settings)
        self._published = self._raw = settings.lane == "published"
        self._stopping = (16, 5) if self._published else (20, 0)
        self._picked_share = settings.mask_prob
        self._predict = settings.predict_len or (50 if self._published else settings.max_len)
        default = 0.0 if self._published else 0.2
        self._force = default if settings.force_last is None else settings.force_last

    def _vocabulary(self, items: Items) -> NDArray[np.bool_]:
        # The released code has one vocabulary: whatever has a vector competes from the start.
        return np.asarray(items.present) if self._published and items.vectors.shape[1] else super()._vocabulary(items)

    def _network(self, base: torch.Tensor) -> Network:
        from ._items import ItemPlan
        from ._network import Network

        settings, vectors = self.settings, base.shape[1]
        projection = settings.projection
        if projection == "auto":
            projection = "none" if self._published else "linear"
        mode: Mode = "trainable" if settings.reading == "code" else settings.items or "frozen"
        normalize = settings.normalize if settings.normalize is not None else not self._published and vectors > 0
        plan = ItemPlan(
            projection,
            mode,
            width=model_width(self.name, settings, vectors, projection),
            normalize=normalize,
            bound=settings.bound,
            extra=2 if self._published else 0,
        )
        return Network(
            base,
            plan,
            "bert",
            positions=max(settings.max_len, self._predict),
            layers=settings.layers,
            heads=settings.heads,
            ffn=settings.ffn,
            dropout=settings.dropout,
            norm_inputs=not self._published and vectors > 0,
        )

    def _train_batch(self, users: NDArray[np.int64], device: str) -> Batch:
        return cloze(
            self.histories,
            users,
            longest=self.settings.max_len,
            mask=len(self._rows),
            share=self.settings.mask_prob,
            last=self._force,
            device=device,
        )

    def _last_batch(self, users: NDArray[np.int64], device: str) -> tuple[Batch, NDArray[np.int64]]:
        return final(self.histories, users, longest=self._predict, mask=len(self._rows), device=device)
