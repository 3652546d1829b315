"""Vectors of texts in the space of an extractor: of any text, or of the words that it was trained with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.entries import ExtractorEntry
from bench.errors import BenchError, did_you_mean
from bench.norms import l2
from bench.protocols import TextTower, WordVectors

LONGEST = 3
"""Most words of a phrase that are looked up as one label."""


def check_text_space(entry: ExtractorEntry) -> None:
    """Check that texts have vectors in the space of an entry's table.

    Raises
    ------
    BenchError
        When the entry joins extractors, its extractor has no text side, or its layer is not the one of texts.

    """
    component = entry.components[0]
    if len(entry.components) > 1 or not isinstance(component.plugin, TextTower | WordVectors):
        raise BenchError(
            f"{entry} has no vectors of words: texts need one extractor with a text tower, such as clap, or one that "
            "was trained with labels, such as cnn."
        )
    if isinstance(component.plugin, TextTower) and component.layer_used != component.plugin.text_layer:
        raise BenchError(
            f"{entry}: texts are comparable with layer={component.plugin.text_layer} alone, not with "
            f"{component.layer_used}."
        )


def text_vectors(entry: ExtractorEntry, texts: Sequence[str], prompt: str = "{}") -> NDArray[np.float32]:
    """Return the unit vectors (N, D) of N texts, each set in `prompt` at ``{}`` if the extractor has a text tower.

    An extractor with word vectors gets the texts alone: it knows labels, no sentences.

    Raises
    ------
    BenchError
        As `check_text_space` does; when a text is empty, or the weights of the text tower are absent; or, with word
        vectors, when a word is unknown. That message has similar words.

    """
    check_text_space(entry)
    if not all(text.strip() for text in texts):
        raise BenchError("a text has no words.")
    plugin = entry.components[0].plugin
    if isinstance(plugin, TextTower):
        return plugin.texts([prompt.replace("{}", text) for text in texts])
    assert isinstance(plugin, WordVectors)
    words, rows = plugin.words()
    return l2(np.stack([_mean(text, words, rows, entry) for text in texts]))


def text_fingerprint(entry: ExtractorEntry) -> str | None:
    """Return the hash on which vectors of texts depend beside the extractor's fingerprint; None: on nothing else."""
    plugin = entry.components[0].plugin
    return plugin.text_fingerprint() if isinstance(plugin, TextTower) else None


def _mean(text: str, words: Sequence[str], rows: NDArray[np.float32], entry: ExtractorEntry) -> NDArray[np.float32]:
    """Return the mean (D,) of the vectors of the words in `text`; the longest known phrases are taken first."""
    place = {word.casefold(): at for at, word in enumerate(words)}
    chosen, asked = list[int](), text.casefold().split()
    while asked:
        phrases = (" ".join(asked[:length]) for length in range(min(LONGEST, len(asked)), 0, -1))
        phrase = next((one for one in phrases if one in place), None)
        if phrase is None:
            near = did_you_mean(asked[0], place)
            some = ", ".join(repr(word) for word in words[:5])
            known = near if near.startswith(" Did") else f" It knows {len(words)} words, such as {some}."
            raise BenchError(f"{entry} does not know the word {asked[0]!r}.{known}")
        chosen.append(place[phrase])
        del asked[: phrase.count(" ") + 1]
    return np.asarray(l2(rows[chosen]).mean(axis=0), np.float32)
