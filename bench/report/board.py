"""The data of a report: boards, blocks, rows and values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from bench.records import Cost, Environment, Record
from bench.report.format import RANKED_BY, SETS
from bench.report.value import AgainstControls, Evidence, Value
from bench.stats.components import FEW_SEEDS
from bench.text import numbered

LANES = ("corrected", "published", "mixed")
"""Lanes, in the order of the blocks."""


@dataclass
class Row:
    """One extractor setting with one recommender setting in one lane, over all folds and seeds."""

    extractor: str
    model: str
    records: list[tuple[Path, Record]]
    """Records sorted by fold and seed, of the same seeds in every fold; empty for the row of chance levels."""
    values: dict[str, dict[str, Value]]
    """Candidate set -> metric (``ndcg@10``) -> value; only metrics that all seeds have."""
    chance: dict[str, dict[str, float]]
    beyond: dict[str, dict[str, float]]
    identity: str = ""
    """Hash of everything that distinguishes this row from others; random seed for resampling its seeds."""
    controls: dict[str, AgainstControls] = field(default_factory=dict)
    """Candidate set -> comparison with the row's controls; absent where it has none."""
    draws: dict[str, dict[str, NDArray[np.float64]]] = field(default_factory=dict)
    """Candidate set -> metric -> bootstrap means (resamples,) over users (and seeds), where known."""
    spanned: bool = False
    """Whether the intervals span those of the seeds, because per-user files are missing or unusable."""
    by_listeners: bool = False
    """Whether intervals on new items are over listeners alone, because ranks of held-out items are missing."""

    @property
    def first(self) -> Record | None:
        """The record of the lowest seed in the first fold."""
        return self.records[0][1] if self.records else None

    @property
    def folds(self) -> tuple[int, ...]:
        """Numbers of the folds, in ascending order; empty for a split without folds."""
        return tuple(dict.fromkeys(r.split.fold for _, r in self.records if r.split.fold is not None))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in ascending order."""
        return tuple(dict.fromkeys(r.seed for _, r in self.records))

    def by_fold(self, candidates: str, metric: str) -> list[float]:
        """Return the mean of a metric over the seeds in each fold; empty where a record lacks it."""
        each: dict[int | None, list[float]] = {}
        for _, record in self.records:
            if (value := record.metrics.get(candidates, {}).get(metric)) is None:
                return []
            each.setdefault(record.split.fold, []).append(value)
        return [fmean(values) for values in each.values()]

    def beats_controls(self, candidates: str) -> bool | None:
        """Whether the row is above its controls; None where it has none, or cannot be compared with them."""
        found = self.controls.get(candidates)
        return None if found is None else found.verdict == "above"

    def times_chance(self, candidates: str, metric: str) -> float | None:
        """Return a mean as a multiple of its chance level; None where either is absent or chance is 0."""
        mean, chance = self.mean(candidates, metric), self.chance.get(candidates, {}).get(metric)
        return None if mean is None or not chance else mean / chance

    @property
    def control(self) -> bool:
        """Whether the row is a control, which does not use the music."""
        return self.first is not None and self.first.control

    @property
    def imported(self) -> bool:
        """Whether the values come from a publication and were not computed here."""
        return self.first is not None and self.first.kind == "imported"

    @property
    def once(self) -> bool:
        """Whether a model with random training was trained with one seed only."""
        first = self.first
        return (
            first is not None
            and len(self.seeds) == 1
            and not self.imported
            and first.recommender.deterministic is False
        )

    @property
    def few(self) -> bool:
        """Whether there are several seeds, but too few for a reliable variance over them."""
        return 1 < len(self.seeds) < FEW_SEEDS

    @property
    def width(self) -> int | None:
        """Dimension of a track's vector."""
        return self.first.extractor.width if self.first else None

    @property
    def coverage(self) -> float | None:
        """Smallest share of tracks with a vector, over the records."""
        return min((r.extractor.coverage for _, r in self.records), default=None)

    @property
    def license(self) -> str:
        """Licence of the extractor's weights."""
        return self.first.extractor.license or "" if self.first else ""

    @property
    def trained_on(self) -> list[str]:
        """Datasets that the extractor declares as its training data."""
        return list(self.first.extractor.trained_on or ()) if self.first else []

    @property
    def heard(self) -> float | None:
        """Largest share of the tested tracks that the extractor was trained on, over the records; None: not known."""
        known = [r.extractor.heard_share for _, r in self.records if r.extractor.heard_share is not None]
        return max(known, default=None)

    def cost(self, of: Callable[[Cost], float | None]) -> float | None:
        """Return the mean of a cost over the records that have it."""
        found = [float(value) for _, r in self.records if (value := of(r.cost)) is not None]
        return sum(found) / len(found) if found else None

    def mean(self, candidates: str, metric: str) -> float | None:
        """Return the mean of a metric, None where it is absent."""
        value = self.values.get(candidates, {}).get(metric)
        return None if value is None else value.mean

    def validation(self, candidates: str, metric: str) -> float | None:
        """Return the mean of a metric over the validation parts of the records; None where one lacks it."""
        found = [record.validation.get(candidates, {}).get(metric) for _, record in self.records]
        known = [value for value in found if value is not None]
        return fmean(known) if known and len(known) == len(found) else None

    def evidence(self, candidates: str, metric: str) -> Evidence | None:
        """Return the evidence on a metric, None where the row was not compared."""
        value = self.values.get(candidates, {}).get(metric)
        return None if value is None else value.evidence

    def about(self, of: Callable[[Environment], str | None]) -> list[str]:
        """Return the distinct values of a field of the environment, in the order of the seeds."""
        found = [of(r.environment) for _, r in self.records if r.environment]
        return list(dict.fromkeys(value for value in found if value))


def best_on_validation(rows: Sequence[Row], candidates: str, metric: str) -> dict[str, Row]:
    """Return for each extractor the row with its best recommender, chosen by a metric on validation, never on test.

    Extractors whose only row has no validation keep that row; if they have several, rows without validation are left
    out.
    """
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row.mean(candidates, metric) is not None:
            found.setdefault(row.extractor, []).append(row)
    chosen = {}
    for extractor, each in found.items():
        validated = [row for row in each if row.validation(candidates, metric) is not None]
        if validated:
            chosen[extractor] = max(validated, key=lambda row: row.validation(candidates, metric) or 0.0)
        elif len(each) == 1:
            chosen[extractor] = each[0]
    return chosen


@dataclass
class Block:
    """The rows of one lane, best first, with the controls separate."""

    lane: str
    rows: list[Row]
    controls: list[Row]
    chance: Row
    undecided: dict[str, str] = field(default_factory=dict)
    """Candidate set -> why no value is bold there."""
    untested: list[Row] = field(default_factory=list)
    """Rows not compared with others on some candidate set, because they have no usable per-user values."""
    elsewhere: list[Row] = field(default_factory=list)
    """Rows not compared with others on some candidate set, because their users differ."""

    @property
    def all(self) -> list[Row]:
        """Rows and controls."""
        return [*self.rows, *self.controls]


@dataclass(frozen=True)
class Note:
    """A sentence below a table; the console shows only the `brief` ones."""

    text: str
    brief: bool = False


@dataclass
class Board:
    """Everything measured on one split, or on several folds of one, with one main k."""

    data: str
    builtin: bool
    split: str
    fingerprint: str
    """Of the split; hash of those of the folds."""
    k: tuple[int, ...]
    blocks: list[Block]
    notes: list[Note] = field(default_factory=list)
    fold_numbers: tuple[int, ...] = ()
    """The folds over which all values are means, in ascending order; empty unless there are several."""

    @property
    def folds(self) -> int:
        """Number of folds over which all values are means; 1 for a single split."""
        return max(1, len(self.fold_numbers))

    @property
    def rows(self) -> list[Row]:
        """Rows of all blocks, controls included."""
        return [row for block in self.blocks for row in block.all]

    @property
    def sets(self) -> list[str]:
        """Candidate sets for which at least one row has values."""
        return [name for name in SETS if any(row.values.get(name) for row in self.rows)]

    @property
    def ranked_by(self) -> tuple[str, str] | None:
        """Candidate set and metric by which rows are sorted: the first set available, at the first k."""
        return (self.sets[0], f"{RANKED_BY}@{self.k[0]}") if self.sets else None

    @property
    def title(self) -> str:
        """Data, split and k."""
        folds = f" {numbered('fold', self.fold_numbers)}" if self.fold_numbers else ""
        return f"{self.data}, split {self.split}{folds} ({self.fingerprint[:8]}), k = {', '.join(map(str, self.k))}"

    def metrics(self, names: Sequence[str], ks: Sequence[int] | None = None) -> list[str]:
        """Return the metrics ``name@k`` that at least one row has, grouped by k."""
        have = {metric for row in self.rows for values in row.values.values() for metric in values}
        asked = [f"{name}@{k}" for k in ks or self.k for name in names]
        return [metric for metric in asked if metric in have]
