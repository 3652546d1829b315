"""Settings that BERT4Rec and SASRec share, and their checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.errors import BenchError

Loss = Literal["full", "chunked", "sampled", "gbce"]
Projection = Literal["none", "linear", "mlp"]
ItemMode = Literal["frozen", "trainable", "delta"]


@dataclass(frozen=True, kw_only=True)
class SequentialSettings:
    """Settings of all sequence models.

    projection : of item vectors to `width`; none: the model is as wide as the vectors; auto: linear
    width : of the model (d), and of the vectors that it learns with ``--extractor none``
    layers, heads, ffn, dropout : of the encoder
    max_len : how many of a user's latest tracks are trained on
    items : vectors are frozen, trained, or moved by at most `bound` of their length (delta)
    normalize : competitors have length 1 in the softmax, with a learned temperature; without it the norm of a
        vector acts as a popularity
    loss : softmax over all competitors, with all logits in memory (full) or a chunk at a time (chunked: the
        same numbers); over `negatives` drawn ones (sampled); or gBCE with `calibration` t
    batch, rate, epochs : users a step, rate of Adam, most epochs
    patience : validations without a better NDCG after which training stops, 20 by default; 0: never
    patience_steps : training steps without a better NDCG that must also pass before training stops; 500 by default,
        because an epoch of few users has few steps; 0 where `patience` is given
    plateau : validations without a better NDCG after which the rate falls to a tenth; 0, the default: never
    every : epochs between validations
    bf16 : logits in bfloat16 (chunked only), and on a GPU the encoder as well: faster, not exact
    """

    projection: Literal["auto", "none", "linear", "mlp"] = "auto"
    width: int = 128
    layers: int = 2
    heads: int = 2
    ffn: int = 256
    dropout: float = 0.1
    max_len: int = 300
    items: ItemMode | None = None
    bound: float = 0.5
    normalize: bool | None = None
    loss: Loss = "chunked"
    negatives: int = 256
    calibration: float = 0.75
    batch: int = 128
    rate: float = 1e-3
    epochs: int = 200
    patience: int | None = None
    patience_steps: int | None = None
    plateau: int | None = None
    every: int = 1
    bf16: bool = False

    def __post_init__(self) -> None:
        """Reject values out of range."""
        for name in ("width", "layers", "heads", "ffn", "max_len", "negatives", "batch", "epochs", "every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if min(self.patience or 0, self.patience_steps or 0, self.plateau or 0) < 0:
            raise ValueError("patience, patience_steps and plateau must not be negative")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}")
        if not (self.rate > 0 and self.bound > 0):
            raise ValueError(f"rate and bound must be positive, got {self.rate} and {self.bound}")
        if not 0 <= self.calibration <= 1:
            raise ValueError(f"calibration must lie in [0, 1], got {self.calibration}")
        if self.bf16 and self.loss != "chunked":
            raise ValueError(f"bf16 goes with loss=chunked, not with loss={self.loss}")

    @property
    def item_mode(self) -> ItemMode:
        """How item vectors are trained."""
        return self.items or "frozen"


def model_width(name: str, settings: SequentialSettings, vectors: int, projection: str) -> int:
    """Return the model's width for item vectors of width `vectors` (0: none).

    Raises
    ------
    BenchError
        When the heads do not divide the width; the message lists numbers that do.

    """
    width = vectors if vectors and projection == "none" else settings.width
    if width % settings.heads:
        divisors = [h for h in range(1, min(width, 16) + 1) if width % h == 0]
        raise BenchError(
            f"{name}: heads={settings.heads} does not divide the width {width}. "
            f"Take heads={' or '.join(map(str, divisors))}, or projection=linear with another width."
        )
    return width
