"""One cell: fit a model on a frozen table, rank, measure, and prove that the table stayed frozen."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench import stats
from bench.data.split import Part, Split, Which
from bench.errors import BenchError
from bench.items import ItemTable
from bench.metrics import Truth, chance, evaluate, evaluate_beyond
from bench.metrics.beyond import PerUser
from bench.protocols import Recommender, RunContext
from bench.rank import Candidates, rank

SETS: tuple[Which, ...] = ("hot", "cold", "mixed")


@dataclass
class Measured:
    """What a cell gives: every mapping is keyed by candidate set, then by metric name."""

    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    intervals: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    chance: dict[str, dict[str, float]] = field(default_factory=dict)
    beyond: dict[str, dict[str, float]] = field(default_factory=dict)
    users: dict[str, int] = field(default_factory=dict)
    candidates: dict[str, int] = field(default_factory=dict)
    validation: dict[str, dict[str, float]] = field(default_factory=dict)
    per_user: list[pl.DataFrame] = field(default_factory=list)
    cost: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def measure(
    model: Recommender,
    table: ItemTable,
    split: Split,
    *,
    ks: Sequence[int],
    seed: int,
    device: str,
    reference: tuple[str, ItemTable] | None,
    folder: Path | None,
    log: Callable[[str], None],
) -> Measured:
    """Fit `model` and evaluate it on the test part, hot, cold and mixed where the split has them.

    Raises
    ------
    BenchError
        When the model wrote into its item table, or gave NaN.

    """
    out = Measured()
    present = table.present if "items" in model.needs else None
    valid = Validation(split, present, max(ks), ks[0], seed)
    before = table.sha256
    started = time.monotonic()
    model.fit(
        split.train,
        table,
        valid=valid,
        run=RunContext(seed=seed, device=device, log=log, folder=folder),
    )
    out.cost["fit_s"] = time.monotonic() - started
    started = time.monotonic()
    found = _lists(model, split, "test", SETS, present, max(ks), seed)
    out.cost["score_s"] = time.monotonic() - started
    if table.now_sha256() != before:
        raise BenchError(
            f"{model.name} changed its item table (sha256 {before[:12]} before, {table.now_sha256()[:12]} after). "
            "Item tables are frozen: copy what must be trained."
        )
    out.warnings += found.warnings
    profile = split.train
    listeners = np.bincount(split.train.item, minlength=split.train.n_items)
    artists = _codes(table.meta.get("artist"))
    references = {reference[0]: reference[1].vectors} if reference else None
    for name, each in _evaluated(found, split, "test", ks).items():
        users, truth, mask, values = each.users, each.truth, each.candidates, each.values
        out.metrics[name] = {metric: float(value.mean()) for metric, value in values.items()}
        spans = stats.bootstrap(values, seed=seed)
        out.intervals[name] = {metric: (float(span.low), float(span.high)) for metric, span in spans.items()}
        out.chance[name] = chance(_free(split, users, mask), truth.sizes, ks)  # of a ranking that knows all items
        out.users[name], out.candidates[name] = len(users), int(mask.sum())
        more = evaluate_beyond(
            each.topk,
            ks,
            candidates=mask,
            listeners=listeners,
            profile=profile,
            users=users,
            artists=artists,
            references=references,
        )
        out.beyond[name] = {}
        for metric, value in more.items():
            mean = value.mean if isinstance(value, PerUser) else value
            if mean is not None:
                out.beyond[name][metric] = float(mean)
        labels = [split.users[u] for u in users.tolist()]
        columns = {
            "candidates": [name] * len(users),
            "user": labels,
            "relevant": truth.sizes.astype(np.int32),
        }
        out.per_user.append(pl.DataFrame({**columns, **values}))
    out.validation = valid.means(model, ks)
    return out


@dataclass(frozen=True)
class _Found:
    """Top-k lists of one part."""

    topk: Mapping[str, NDArray[np.int32]]
    truths: Mapping[Which, tuple[NDArray[np.int32], Truth]]
    everybody: NDArray[np.int32]
    warnings: list[str]


@dataclass(frozen=True)
class _Evaluated:
    """Users (U,) of one candidate set, what they should find, what they got, and the metrics of each."""

    users: NDArray[np.int32]
    truth: Truth
    topk: NDArray[np.int32]
    candidates: NDArray[np.bool_]
    values: dict[str, NDArray[np.float64]]


def _lists(
    model: Recommender,
    split: Split,
    part: Part,
    sets: Sequence[Which],
    present: NDArray[np.bool_] | None,
    k: int,
    seed: int,
) -> _Found:
    """Rank everybody who has something to find in any of the sets, scoring each listener once."""
    truths: dict[Which, tuple[NDArray[np.int32], Truth]] = {}
    for name in sets:
        users, indptr, item = split.truth(part, name)
        if len(users):
            truths[name] = (users, Truth(indptr, item))
    if "cold" not in truths:
        truths.pop("mixed", None)  # without cold items it would be hot under another name
    if not truths:
        return _Found({}, {}, np.empty(0, np.int32), [])
    everybody = np.unique(np.concatenate([users for users, _ in truths.values()])).astype(np.int32)
    ranked = rank(
        model.score,
        everybody,
        history=split.train,
        candidates=[Candidates(name, split.candidates(part, name)) for name in truths],
        k=k,
        seed=seed,
        present=present,
        who=model.name,
        labels=split.users,
    )
    return _Found(ranked.topk, truths, everybody, ranked.warnings)


def _evaluated(found: _Found, split: Split, part: Part, ks: Sequence[int]) -> dict[str, _Evaluated]:
    """Return candidate set -> what its users got."""
    out = {}
    for name, (users, truth) in found.truths.items():
        topk = found.topk[name][np.searchsorted(found.everybody, users)]
        values = evaluate(topk, truth, ks)
        out[str(name)] = _Evaluated(users, truth, topk, split.candidates(part, name), values)
    return out


def _free(split: Split, users: NDArray[np.int32], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many candidates (U,) each user has left once the history is masked."""
    train = split.train
    taken = np.concatenate([[0], np.cumsum(mask[train.item])])
    indptr = train.indptr
    return np.asarray(int(mask.sum()) - (taken[indptr[users + 1]] - taken[indptr[users]]), dtype=np.int64)


def _codes(names: Sequence[Any] | None) -> NDArray[np.int64] | None:
    """Number the artists; -1 where unknown. None when no artist is known at all."""
    if names is None or all(name is None for name in names):
        return None
    series = pl.Series(names, dtype=pl.String)
    return series.rank("dense").cast(pl.Int64).fill_null(0).to_numpy() - 1


class Validation:
    """The one way in which a model sees validation: NDCG at the run's k, hot unless all of it is cold."""

    def __init__(self, split: Split, present: NDArray[np.bool_] | None, longest: int, k: int, seed: int):
        self._split, self._present, self._longest, self._k, self._seed = split, present, longest, k, seed
        self._which: Which = "hot" if len(split.truth("valid", "hot").users) else "cold"

    def __call__(self, model: Recommender) -> float:
        """Return the mean NDCG@k over validation users, for early stopping."""
        which = self._which
        found = _lists(model, self._split, "valid", (which,), self._present, self._k, self._seed)
        if which not in found.truths:
            raise BenchError("the split has no validation users, so nothing can stop early. Change --split.")
        return float(_evaluated(found, self._split, "valid", (self._k,))[which].values[f"ndcg@{self._k}"].mean())

    def means(self, model: Recommender, ks: Sequence[int]) -> dict[str, dict[str, float]]:
        """Return the means of all metrics on every candidate set of the validation part."""
        found = _lists(model, self._split, "valid", SETS, self._present, self._longest, self._seed)
        return {
            name: {metric: float(value.mean()) for metric, value in each.values.items()}
            for name, each in _evaluated(found, self._split, "valid", ks).items()
        }
