"""How much memory one training step of a sequence model needs, computed from its sizes before training."""

from __future__ import annotations

from .settings import SequentialSettings

FULL_UP_TO = 1 << 30
"""Bytes that a full loss may need; above, the same numbers are computed in chunks."""


def loss_bytes(settings: SequentialSettings, states: float, competitors: int, device: str) -> int:
    """Return the peak bytes of a loss at so many states, each against all `competitors` or the drawn ones.

    full : logits, probabilities and their gradient, in float32
    chunked : one chunk of logits, and for bfloat16 its probabilities in float32
    sampled, gbce : scores, masked scores, their gradient and two steps in between; gbce in float64
    """
    if settings.loss == "full":
        return int(3 * 4 * states * competitors)
    if settings.loss == "chunked":
        from bench.training.chunked_softmax import chunk  # needs torch

        limit = chunk(device)
        return int(min(limit, 4 * states * competitors) * (1.5 if settings.bf16 else 1))
    return int(5 * (8 if settings.loss == "gbce" else 4) * states * (settings.negatives + 1))


def full_loss_note(settings: SequentialSettings, states: float, competitors: int, device: str) -> str | None:
    """Return the note that a full loss is too large and computed in chunks; None for any other loss."""
    needed = loss_bytes(settings, states, competitors, device)
    if settings.loss != "full" or needed <= FULL_UP_TO:
        return None
    return f"the full loss needs {needed / 1e9:.1f} GB, using chunked: the same numbers"


def encoder_bytes(settings: SequentialSettings, width: int, positions: float, states: float) -> int:
    """Return the bytes of weights, gradients and Adam's moments, and of the activations at `positions`.

    A layer keeps, with the gradients of the moment, about 26 rows of `width` (queries, keys, values, both
    sublayers before and after dropout and norm) and 4 of the feed-forward net. The last layer does so at the
    `states` only, and keeps keys and values for the other positions. Inputs and positions keep about 10 rows.
    """
    weights = settings.layers * (4 * width**2 + 2 * width * settings.ffn)
    layers = settings.layers - 1 + min(1.0, states / positions + 0.15)
    return int(16 * weights + 4 * positions * (layers * (26 * width + 4 * settings.ffn) + 10 * width))
