"""The contents of a record: request, inputs, results and cost.

Every type is a frozen dataclass; `dataclasses.replace` returns a changed copy. ``record.schema.json`` is
generated from the types.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from bench.files.atomic import digest
from bench.records.limits import Count, EmptyObject, Json, Label, Lane, Length, Prose, Range, Sha256, Text
from bench.records.parts import (
    Cost,
    DataInfo,
    Environment,
    ExtractorInfo,
    Family,
    RecommenderInfo,
    RowsFile,
    SplitInfo,
)

SCHEMA_VERSION = 3
Kind = Literal["run", "probe", "imported"]

SETS = ("hot", "cold", "mixed")
"""Candidate sets of a run, in table order."""

PROBED = "test"
"""Key of the results of an MIR task, in place of a candidate set."""

Place = Annotated[str, Text(5, "hot|cold|mixed|test", ())]
ValidationPlace = Annotated[str, Text(5, "hot|cold|mixed|valid", ())]
SINCE = {"rows": 2, "content_sha256": 2, "ranks": 3, "family": 3}
"""The first schema version of later fields."""

Means = dict[Place, dict[Label, float]]
"""Candidate set -> metric -> value."""


@dataclass(frozen=True)
class Record:
    """One cell: an item table, a recommender (or probe) and a seed on one split.

    `metrics`, `intervals` (95 %), `chance` and `beyond` are keyed by candidate set (hot, cold, mixed), then by
    metric name such as ``hitrate@10``; those of a probe by ``test``, then by names such as ``roc_auc`` and
    ``roc_auc:guitar``. Undefined values are omitted, never NaN. For a probe, `recommender` describes the
    probe and `data` the task, `users` counts test items and `candidates` labels, and `k` is empty.

    asked : the request that repeats this cell: ``bench run --from RECORD``
    inputs_sha256 : hash of everything on which the numbers depend; with an equal hash, they need no recomputation
    k : cut-offs, the main one first
    unranked : candidate sets on which the model scored all candidates equally for every user, so that metrics would
        measure a random order: they have users and chance levels, but no metrics
    rows : the file of per-user values, or of a probe's predictions; None without a file (or in version 1)
    ranks : the file of ranks of all held-out items; None before version 3, for a probe and for published numbers
    family : the comparison to which it belongs, declared before the run; None before version 3 or without one
    content_sha256 : hash of all other fields; None in version 1
    """

    kind: Kind
    asked: Json
    inputs_sha256: Sha256
    data: DataInfo
    split: SplitInfo
    extractor: ExtractorInfo
    recommender: RecommenderInfo
    lane: Lane
    seed: Count
    k: Annotated[tuple[Annotated[int, Range(1, 10**7)], ...], Length(most=1_000)]
    control: bool
    metrics: Means = field(default_factory=dict)
    intervals: dict[Place, dict[Label, tuple[float, float]]] = field(default_factory=dict)
    chance: Means = field(default_factory=dict)
    users: dict[Place, Count] = field(default_factory=dict)
    candidates: dict[Place, Count] = field(default_factory=dict)
    validation: dict[ValidationPlace, dict[Label, float]] = field(default_factory=dict)
    beyond: Means = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)
    environment: Annotated[Environment | None, EmptyObject()] = field(default_factory=lambda: None)
    warnings: Annotated[tuple[Prose, ...], Length(most=10_000)] = field(default_factory=tuple)
    schema_version: Annotated[int, Range(1, SCHEMA_VERSION)] = field(default_factory=lambda: SCHEMA_VERSION)
    rows: RowsFile | None = None
    unranked: Annotated[tuple[Place, ...], Length(most=3)] = ()
    ranks: RowsFile | None = None
    family: Family | None = None
    content_sha256: Sha256 | None = None

    @property
    def path(self) -> Path:
        """Path of the record below the results folder."""
        view: dict[str, Any] = {
            "settings": self.extractor.settings,
            "lane": self.extractor.lane,
            "view": self.extractor.view.key,
        }
        model: dict[str, Any] = {"settings": self.recommender.settings, "lane": self.recommender.lane}
        if self.kind == "probe":
            folder = Path("mir") / slug(self.data.name)
            model |= {"split": self.split.fingerprint}
        else:
            folder = Path(slug(self.data.name)) / f"{slug(self.split.name)}-{self.split.fingerprint[:8]}"
            model |= {"k": self.k}
        if self.recommender.refit:  # a separate row from the model without refit
            model["refit"] = True
        return (
            folder
            / f"{slug(self.extractor.name)}-{digest(view)[:8]}"
            / f"{slug(self.recommender.name)}-{digest(model)[:8]}"
            / f"seed{self.seed}.json"
        )

    @property
    def is_probe(self) -> bool:
        """Whether it has results of an MIR task, computed here or published."""
        return self.kind == "probe" or PROBED in self.metrics

    @property
    def cut_short(self) -> bool:
        """Whether --max-time ended a training early."""
        return self.recommender.training is not None and self.recommender.training.cut_short


def differences(old: Mapping[str, Mapping[str, float]], new: Mapping[str, Mapping[str, float]]) -> Sequence[str]:
    """Return a line for each metric that differs or is missing on one side."""
    lines = []
    for where in sorted(set(old) | set(new)):
        left, right = old.get(where, {}), new.get(where, {})
        lines += [
            f"{where} {name}: {left.get(name)} then, {right.get(name)} now"
            for name in sorted(set(left) | set(right))
            if left.get(name) != right.get(name)
        ]
    return lines


def slug(text: str) -> str:
    """Return `text` as one safe folder name."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("-.") or "unnamed"
