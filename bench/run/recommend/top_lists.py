"""Top-k lists of a part of the split, and their metrics for each listener."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.metrics import Truth, evaluate
from bench.protocols import Interactions, Recommender
from bench.ranking.rank import Candidates, rank
from bench.splits.make import Part, Split, Which
from bench.text import counted

SETS: tuple[Which, ...] = ("hot", "cold", "mixed")


@dataclass(frozen=True)
class Found:
    """Top-k lists of one part."""

    topk: Mapping[str, NDArray[np.int32]]
    truths: Mapping[Which, tuple[NDArray[np.int32], Truth]]
    everybody: NDArray[np.int32]
    constant: Mapping[str, NDArray[np.bool_]]
    """Candidate set -> mask (U,) of the users in `everybody` with equal scores for all its candidates."""
    ranks: Mapping[str, NDArray[np.int32]]
    """Candidate set -> ranks (P,) of its held-out items, if asked for."""

    def equal(self, name: Which) -> NDArray[np.bool_]:
        """Return a mask of the set's users with held-out items who have equal scores for all its candidates."""
        return self.constant[name][np.searchsorted(self.everybody, self.truths[name][0])]

    def unranked(self, name: Which) -> bool:
        """Whether all users have equal scores, so that metrics would only measure a random order."""
        return bool(self.equal(name).all())


@dataclass(frozen=True)
class Evaluated:
    """Users (U,) of one candidate set, with their held-out items, top-k lists and metrics."""

    users: NDArray[np.int32]
    truth: Truth
    topk: NDArray[np.int32]
    candidates: NDArray[np.bool_]
    values: dict[str, NDArray[np.float64]]
    ranks: NDArray[np.int32] | None
    """Ranks (P,) of the held-out items, if asked for."""


def lists(
    model: Recommender,
    split: Split,
    part: Part,
    sets: Sequence[Which],
    present: NDArray[np.bool_] | None,
    k: int,
    seed: int,
    history: Interactions | None = None,
    *,
    ranks: bool = False,
) -> Found:
    """Rank for all users with held-out items in any of the sets, and score each user once.

    `history` has the pairs that users know already; by default the training pairs. `ranks` asks for those of all
    held-out items.
    """
    truths: dict[Which, tuple[NDArray[np.int32], Truth]] = {}
    for name in sets:
        users, indptr, item = split.truth(part, name)
        there = split.candidates(part, name) & (True if present is None else present)
        if len(users) and (name != "cold" or there.any()):
            truths[name] = (users, Truth(indptr, item))
    if "cold" not in truths:
        truths.pop("mixed", None)  # without cold items it would equal hot
    if not truths:
        return Found({}, {}, np.empty(0, np.int32), {}, {})
    everybody = np.unique(np.concatenate([users for users, _ in truths.values()])).astype(np.int32)
    ranked = rank(
        model.score,
        everybody,
        history=split.train if history is None else history,
        candidates=[Candidates(name, split.candidates(part, name)) for name in truths],
        k=k,
        seed=seed,
        present=present,
        held_out={name: _rows(everybody, *truth) for name, truth in truths.items()} if ranks else None,
        who=model.name,
        labels=split.users,
    )
    return Found(ranked.topk, truths, everybody, ranked.constant, ranked.ranks)


def _rows(everybody: NDArray[np.int32], users: NDArray[np.int32], truth: Truth) -> Truth:
    """Return the held-out items of some users as rows of everybody, in the same order."""
    sizes = np.zeros(len(everybody), np.int64)
    sizes[np.searchsorted(everybody, users)] = truth.sizes
    return Truth(np.concatenate([[0], np.cumsum(sizes)]), truth.item)


def evaluated(found: Found, split: Split, part: Part, ks: Sequence[int]) -> dict[Which, Evaluated]:
    """Return the lists and metrics of the users of each candidate set."""
    out: dict[Which, Evaluated] = {}
    for name, (users, truth) in found.truths.items():
        topk = found.topk[name][np.searchsorted(found.everybody, users)]
        values = evaluate(topk, truth, ks)
        out[name] = Evaluated(users, truth, topk, split.candidates(part, name), values, found.ranks.get(name))
    return out


def cutoffs(ks: Sequence[int], candidates: int) -> list[int]:
    """Return the cut-offs below the number of candidates; at larger ones, any order finds everything."""
    return [k for k in ks if k < candidates]


def default_cutoff(usual: int, hot: int) -> int:
    """Return the usual cut-off, or the next smaller of 20, 10 and 5, that is at most a fifth of the hot tracks.

    In a small catalogue, longer lists contain many relevant tracks in any order.
    """
    return next((k for k in (usual, 20, 10, 5) if k <= min(usual, hot // 5)), max(1, min(usual, hot // 5)))


def long_lists(split: Split, ks: Sequence[int]) -> list[str]:
    """Return warnings about test lists that are so long that their order hardly matters."""
    out = []
    hot, cold = (int(split.candidates("test", which).sum()) for which in ("hot", "cold"))
    if 2 * max(ks) > hot:
        out.append(
            f"k = {max(ks)}: a list holds more than half of the {hot} hot tracks, so that hit rate and recall are "
            "near 1 in any order; take a smaller --k"
        )
    if cold and len(kept := cutoffs(ks, cold)) < len(ks):
        which = "cold and mixed are not measured" if not kept else "cold is not measured there"
        named = ", ".join(str(k) for k in ks if k not in kept)
        out.append(f"k = {named}: a list would hold all of {counted(cold, 'cold candidate')}, so {which}")
    return out
