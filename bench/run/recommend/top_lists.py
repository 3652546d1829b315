"""Top-k lists of a part of the split, and what each listener's list is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.metrics import Truth, evaluate
from bench.protocols import Interactions, Recommender
from bench.ranking.rank import Candidates, rank
from bench.splits.make import Part, Split, Which

SETS: tuple[Which, ...] = ("hot", "cold", "mixed")


@dataclass(frozen=True)
class Found:
    """Top-k lists of one part."""

    topk: Mapping[str, NDArray[np.int32]]
    truths: Mapping[Which, tuple[NDArray[np.int32], Truth]]
    everybody: NDArray[np.int32]
    warnings: list[str]


@dataclass(frozen=True)
class Evaluated:
    """Users (U,) of one candidate set, what they should find, what they got, and the metrics of each."""

    users: NDArray[np.int32]
    truth: Truth
    topk: NDArray[np.int32]
    candidates: NDArray[np.bool_]
    values: dict[str, NDArray[np.float64]]


def lists(
    model: Recommender,
    split: Split,
    part: Part,
    sets: Sequence[Which],
    present: NDArray[np.bool_] | None,
    k: int,
    seed: int,
    history: Interactions | None = None,
) -> Found:
    """Rank everybody who has something to find in any of the sets, scoring each listener once.

    `history` is what a listener knows already; None: the training pairs.
    """
    truths: dict[Which, tuple[NDArray[np.int32], Truth]] = {}
    for name in sets:
        users, indptr, item = split.truth(part, name)
        if len(users):
            truths[name] = (users, Truth(indptr, item))
    if "cold" not in truths:
        truths.pop("mixed", None)  # without cold items it would be hot under another name
    if not truths:
        return Found({}, {}, np.empty(0, np.int32), [])
    everybody = np.unique(np.concatenate([users for users, _ in truths.values()])).astype(np.int32)
    ranked = rank(
        model.score,
        everybody,
        history=split.train if history is None else history,
        candidates=[Candidates(name, split.candidates(part, name)) for name in truths],
        k=k,
        seed=seed,
        present=present,
        who=model.name,
        labels=split.users,
    )
    return Found(ranked.topk, truths, everybody, ranked.warnings)


def evaluated(found: Found, split: Split, part: Part, ks: Sequence[int]) -> dict[str, Evaluated]:
    """Return candidate set -> what its users got."""
    out = {}
    for name, (users, truth) in found.truths.items():
        topk = found.topk[name][np.searchsorted(found.everybody, users)]
        values = evaluate(topk, truth, ks)
        out[str(name)] = Evaluated(users, truth, topk, split.candidates(part, name), values)
    return out
