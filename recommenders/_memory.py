"""How much memory a step of a sequence model takes: reckoned from its sizes, before anything is computed."""

from __future__ import annotations

from ._settings import SequentialSettings

CHUNK = {"cpu": 192 << 20, "cuda": 1 << 30}
"""Bytes of logits that exist at a time in the chunked loss. Smaller chunks read the table more often."""


def loss_bytes(settings: SequentialSettings, states: float, competitors: int, device: str) -> int:
    """Bytes that a loss takes at its peak for so many states, each against `competitors` or drawn ones.

    full : logits, probabilities and their gradient, in float32
    chunked : one chunk of logits (beside it, for bfloat16, its probabilities in float32)
    sampled, gbce : scores, masked scores, their gradient and two steps in between; gbce in float64
    """
    if settings.loss == "full":
        return int(3 * 4 * states * competitors)
    if settings.loss == "chunked":
        limit = CHUNK[device.partition(":")[0]]
        return int(min(limit, 4 * states * competitors) * (1.5 if settings.bf16 else 1))
    return int(5 * (8 if settings.loss == "gbce" else 4) * states * (settings.negatives + 1))


def encoder_bytes(settings: SequentialSettings, width: int, positions: float, states: float) -> int:
    """Bytes of weights with their gradients and Adam's two moments, and of what backward needs of `positions`.

    A layer keeps, with the gradients under way, some 26 rows of `width` (queries, keys, values, both sublayers
    before and after dropout and norm) and 4 of the feed-forward net; the last one does so at the `states` asked
    for, and has keys and values for the others; inputs and positions keep some 10.
    """
    weights = settings.layers * (4 * width**2 + 2 * width * settings.ffn)
    layers = settings.layers - 1 + min(1.0, states / positions + 0.15)
    return int(16 * weights + 4 * positions * (layers * (26 * width + 4 * settings.ffn) + 10 * width))
