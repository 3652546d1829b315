"""Find the same recording in two files, such as two encodings, levels or cuts, by their fingerprints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.audio.fingerprint import Words

MOST_ERRORS = 0.25
"""Largest share of unlike bits. Measured: MP3 of 33 kbit/s at another level and cut .12 to .20; other pieces at the
best of all shifts .44 and more for music, .36 for pieces that one synthesiser made."""
LEAST = 40
"""Fewest words (4 s) that are compared: by chance, no 1,280 bits agree so well."""
NEXT = 2
"""Each word is paired with so many recordings that follow it among those with the same word."""
HITS = 2
"""Fewest equal words at one shift before two recordings are compared: most pairs that share one do so by chance."""


def same_recordings(fingerprints: Sequence[Words]) -> NDArray[np.int64]:
    """Return pairs (E, 2), first < second, of recordings whose fingerprints agree at some shift.

    Of many copies of one recording, not all pairs are returned, but enough to connect all. Takes time and memory
    proportional to the number of words, not to the square of the number of recordings.
    """
    place, shift = _candidates(fingerprints)
    found = [
        pair
        for pair, by in zip(place.tolist(), shift.tolist(), strict=True)
        if errors(fingerprints[pair[0]], fingerprints[pair[1]], by) <= MOST_ERRORS
    ]
    return np.unique(np.array(found, np.int64).reshape(-1, 2), axis=0)


def errors(one: Words, other: Words, shift: int) -> float:
    """Return the share of bits in which word i + `shift` of `one` differs from word i of `other`; 1 for too few."""
    a, b = one[max(shift, 0) :], other[max(-shift, 0) :]
    a, b = a[: len(b)], b[: len(a)]
    known = (a != 0) & (b != 0)
    if (count := int(known.sum())) < LEAST:
        return 1.0
    return int(np.bitwise_count((a ^ b)[known]).sum()) / (32 * count)


def _candidates(fingerprints: Sequence[Words]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs (C, 2) of recordings that have words in common at a shift (C,)."""
    sizes = [len(one) for one in fingerprints]
    if not sum(sizes):
        return np.empty((0, 2), np.int64), np.empty(0, np.int64)
    word = np.concatenate(fingerprints)
    track = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    at = np.concatenate([np.arange(size, dtype=np.int32) for size in sizes])
    order = np.lexsort((at, track, word))
    order = order[word[order] != 0]
    keys, longest = [], max(sizes)
    for step in range(1, NEXT + 1):
        a, b = order[:-step], order[step:]
        there = (word[a] == word[b]) & (track[a] != track[b])
        a, b = a[there], b[there]
        pair = track[a].astype(np.int64) * len(sizes) + track[b]
        keys.append(pair * (2 * longest) + at[a] - at[b] + longest)
    found, hits = np.unique(np.concatenate(keys), return_counts=True)
    pair, shift = np.divmod(found[hits >= HITS], 2 * longest)
    return np.stack(np.divmod(pair, len(sizes)), axis=1), shift - longest
