"""Rules that join the predictions of a track's clips; validation chooses among them."""

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
"""The rules for each kind of label; of rules with equal results, the first one is chosen."""


def join(outputs: NDArray[np.float32], track: NDArray[np.int64], rule: str, kind: Kind) -> NDArray[np.float32]:
    """Return outputs of tracks (T, L) computed from outputs of clips (n, L), which are logits or values.

    ``vote`` is the share of clips that predict a class; ``max`` and ``mean`` are taken over the outputs;
    ``mean_probability`` is the mean of softmax (for tags: sigmoid) probabilities.

    Parameters
    ----------
    outputs
        One row per clip.
    track
        Track 0..T-1 of each clip (n,); every track has a clip.
    rule
        One of ``RULES[kind]``.
    kind
        Kind of the labels.

    References
    ----------
    Castellon et al., Codified audio language modeling learns useful representations for MIR (2021):
    the four rules, and their choice on validation.

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
