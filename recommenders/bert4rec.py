"""BERT4Rec: hidden tracks of a listener's sequence are guessed from both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.protocols import Items, Lane, RunContext, Validator

from ._sequences import Batch, Histories, cloze, final
from ._sequential import Sequential
from ._settings import SequentialSettings, model_width

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from ._items import Mode, Projection
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
    judge : what ends training: the masked loss of validation pairs (published) or the NDCG (else, always)
    judged : of the published lane only: fewest new tracks of the validation users whose loss ends training
    projection : auto is none when published (the model is as wide as the vectors), else linear
    items : published by `reading`, else frozen
    normalize : published no, else yes where there are vectors
    patience, plateau : published 16 and 5 (of the masked loss), else 20 and never (of the NDCG)
    """

    lane: Lane = "corrected"
    reading: Literal["text", "code"] | None = None
    predict_len: int | None = None
    mask_prob: float = 0.2
    force_last: float | None = None
    judge: Literal["loss", "ndcg"] | None = None
    judged: int = 10

    def __post_init__(self) -> None:
        """Reject what cannot be, or is not published."""
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
            raise ValueError(f"items={self.items}: the published lane takes reading=text (frozen) or reading=code")


class BERT4Rec(Sequential):
    """Bidirectional encoder with a tied head (Sun et al., CIKM 2019), softmax at hidden positions only.

    Published (Tamm & Aljanaki, RecSys 2024, and their code): as wide as the vectors, 2 layers, 2 heads, 256
    inner units, vectors as they are, mask and padding compete in the softmax of training and are cut at
    prediction; prediction reads the last 49 tracks. reading=code is the released script with its default
    ``--ifreeze 1``, reading=text the same with ``--ifreeze 0``; benchmarks/bert4rec_equal.py compares both
    with it. Training ends by the masked loss over what is new in validation to users with at least 10 such
    tracks, masked anew each time, after 16 epochs without a lower one. Theirs is a mean over batches of 128
    users; here it is the mean over all hidden positions. Their splits of 2024 have no cold tracks; where
    the table holds some, they compete in training, as in the code of the paper that followed (arXiv
    2604.23077).

    Corrected (default): vectors scaled to unit variance and projected to one width, so that extractors
    of unlike widths get models of like size; input LayerNorm; competitors of length 1 with a learned
    temperature; cold tracks take no part in training's softmax and are added at prediction.
    """

    Settings = BERT4RecSettings
    SPACE = "rate=3e-4..3e-3(log),width=64|128|256,layers=1|2|3,dropout=0.0..0.5,mask_prob=0.1..0.6"
    name = "bert4rec"
    settings: BERT4RecSettings
    _asks_unheard = 1

    def __init__(self, settings: BERT4RecSettings) -> None:
        super().__init__(settings)
        self._published = self._raw = settings.lane == "published"
        self._stopping = (16, 5) if self._published else (20, 0)
        self._cold_compete = self._published
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
        projection = self._projection()
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
            token_type=self._published,
        )

    def _projection(self) -> Projection:
        if self.settings.projection == "auto":
            return "none" if self._published else "linear"
        return self.settings.projection

    def _judge(self, valid: Validator, run: RunContext) -> Callable[[], float]:
        """Published: the masked loss, negated, unless told otherwise. Corrected: the NDCG."""
        if not self._published or self.settings.judge == "ndcg" or run.replay is not None:
            return super()._judge(valid, run)
        held = Histories.of(valid.held_out(), self._vocabulary_rows)
        users = np.flatnonzero(held.lengths >= self.settings.judged)
        if not len(users):
            raise BenchError(
                f"{self.name}: the published lane ends training by validation users with at least "
                f"{self.settings.judged} new tracks, and the split has none. Set judged= lower, or take lane=corrected."
            )
        return lambda: -self._masked_loss(held, users, run.device)

    def _masked_loss(self, held: Histories, users: NDArray[np.int64], device: str) -> float:
        """Mean loss at hidden positions of the sequences of `users`, which of them drawn from torch's generator."""
        total, count = 0.0, 0
        while not count:  # few short sequences may have nothing hidden, which is no loss of 0
            for start in range(0, len(users), self.settings.batch):
                part = users[start : start + self.settings.batch]
                batch = self._cloze(held, part, device, last=0.0)
                total += float(self.loss(batch).detach()) * len(batch.target)
                count += len(batch.target)
        return total / count

    def _train_batch(self, users: NDArray[np.int64], device: str) -> Batch:
        return self._cloze(self.histories, users, device, last=self._force)

    def _cloze(self, histories: Histories, users: NDArray[np.int64], device: str, *, last: float) -> Batch:
        return cloze(
            histories,
            users,
            longest=self.settings.max_len,
            mask=len(self._rows),
            share=self.settings.mask_prob,
            last=last,
            device=device,
        )

    def _last_batch(self, users: NDArray[np.int64], device: str) -> tuple[Batch, NDArray[np.int64]]:
        return final(self.histories, users, longest=self._predict, mask=len(self._rows), device=device)
