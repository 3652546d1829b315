"""From the clips of a track to the track: the rules, one of which is chosen on validation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.probes.data import Kind

_CLASS_RULES = ("vote", "max", "mean", "mean_probability")
RULES: dict[Kind, tuple[str, ...]] = {
    "classes": _CLASS_RULES,
    "keys": _CLASS_RULES,
    "tags": ("mean", "mean_probability", "max"),
    "values": ("mean",),
}
"""The rules of each kind, in the order that breaks ties."""


def join(outputs: NDArray[np.float32], track: NDArray[np.int64], rule: str, kind: Kind) -> NDArray[np.float32]:
    """Return the outputs of tracks (T, L) from those of clips (n, L), logits for all kinds but values.

    ``vote`` counts the clips that choose a class, ``max`` and ``mean`` take logits, ``mean_probability``
    takes softmax or sigmoid probabilities.

    Parameters
    ----------
    outputs
        One row per clip.
    track
        Track 0..T-1 of each clip (n,), none without a clip.
    rule
        One of ``RULES[kind]``.
    kind
        Of the labels.

    References
    ----------
    Castellon et al., Codified audio language modeling learns useful representations for MIR (2021):
    the four rules, and the choice on validation.

    """
    if rule not in RULES[kind]:
        raise ValueError(f"there is no rule {rule!r} for {kind}: {', '.join(RULES[kind])}")
    values = outputs.astype(np.float64)
    if rule == "vote":
        values = (np.arange(values.shape[1]) == values.argmax(axis=1)[:, None]).astype(np.float64)
    elif rule == "mean_probability" and kind == "tags":
        values = 1 / (1 + np.exp(-np.clip(values, -700, 700)))
    elif rule == "mean_probability":
        values = np.exp(values - values.max(axis=1, keepdims=True))
        values /= values.sum(axis=1, keepdims=True)
    order = np.argsort(track, kind="stable")
    starts = np.searchsorted(track[order], np.arange(track.max() + 1))
    if rule == "max":
        return np.maximum.reduceat(values[order], starts, axis=0).astype(np.float32)
    return (np.add.reduceat(values[order], starts, axis=0) / np.bincount(track)[:, None]).astype(np.float32)
