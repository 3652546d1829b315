"""Compare recommendation with MIR: how similarly do both rank the embeddings?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from bench.published import Paper, imported
from bench.records import PROBED, Record, slug
from bench.report.board import Block, Board, Row
from bench.report.format import RANKED_BY, heading, without_folders
from bench.report.mir import Probed, embedding
from bench.stats import RankCorrelation, holm, rank_correlations

NOTHING = "none"
"""Name of the extractor of models that use no vectors."""

LEAST = 3
"""Minimum number of models for a correlation."""


@dataclass
class Axis:
    """One column: a recommendation result or an MIR result."""

    heading: str
    group: str
    values: dict[str, float] = field(default_factory=dict)
    """Key of a row -> value."""
    draws: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """Key of a row -> its bootstrap means over users (resamples,)."""
    chance: float | None = None

    @property
    def name(self) -> str:
        """Heading and group in one text."""
        return f"{self.group} {self.heading}".strip()


@dataclass(frozen=True)
class Model:
    """A row: an embedding, or a control."""

    key: str
    label: str
    name: str
    """Name of the extractor; rank comparisons average its layers and settings."""
    control: bool = False


@dataclass(frozen=True)
class Pair:
    """A recommendation column, an MIR column, and their rank correlation."""

    mrs: Axis
    mir: Axis
    points: Sequence[tuple[str, float, float]]
    """(name, MRS, MIR) of each model."""
    spearman: RankCorrelation
    kendall: RankCorrelation
    p_holm: float = 1.0
    """p value of Spearman's coefficient after Holm's correction over all pairs of the table."""

    @property
    def rho(self) -> float:
        """Spearman's coefficient, which every pair has."""
        assert self.spearman.value is not None
        return self.spearman.value

    @property
    def p(self) -> float:
        """Two-sided p value of the coefficient, from a permutation test."""
        assert self.spearman.p is not None
        return self.spearman.p


@dataclass
class Versus:
    """The comparison for one lane and one split."""

    name: str
    title: str
    lane: str
    models: list[Model]
    mrs: list[Axis]
    mir: list[Axis]
    notes: list[str] = field(default_factory=list)
    decimals: int = 4

    @cached_property
    def pairs(self) -> list[Pair]:
        """All pairs of a recommendation and an MIR column that share at least three models and are not constant."""
        alike: dict[tuple[str, ...], list[tuple[Axis, Axis]]] = {}
        for mrs in self.mrs:
            for mir in self.mir:
                keys = (m.key for m in self.models if not m.control and m.key in mrs.values and m.key in mir.values)
                alike.setdefault(tuple(keys), []).append((mrs, mir))
        related = {}
        for shared, axes in alike.items():
            related.update(self._related(set(shared), axes))
        found = [related[id(mrs), id(mir)] for mrs in self.mrs for mir in self.mir if (id(mrs), id(mir)) in related]
        corrected = holm({str(i): pair.p for i, pair in enumerate(found)})
        return [replace(pair, p_holm=p) for pair, p in zip(found, corrected.values(), strict=True)]

    def _related(self, keys: set[str], axes: Sequence[tuple[Axis, Axis]]) -> dict[tuple[int, int], Pair]:
        """Return the pairs of some axes that share these models; settings of one model are averaged."""
        groups: dict[str, list[Model]] = {}
        for model in self.models:
            if model.key in keys:
                groups.setdefault(model.name, []).append(model)
        names = [same[0].label if len(same) == 1 else name for name, same in groups.items()]

        def columns(of: Iterable[Axis]) -> dict[int, tuple[Axis, NDArray[np.float64]]]:
            values = {
                id(axis): (axis, np.array([fmean(axis.values[m.key] for m in same) for same in groups.values()]))
                for axis in of
            }
            return {at: (axis, column) for at, (axis, column) in values.items() if np.ptp(column)}

        if len(names) < LEAST:
            return {}
        mrs, mir = columns(a for a, _ in axes), columns(b for _, b in axes)
        if not mrs or not mir:
            return {}
        xs, ys = (np.stack([column for _, column in side.values()]) for side in (mrs, mir))
        draws = [_draws(axis, list(groups.values())) for axis, _ in mrs.values()]
        rho = rank_correlations(xs, ys, "spearman", draws=draws)
        tau = rank_correlations(xs, ys, "kendall")
        wanted = {(id(a), id(b)) for a, b in axes}
        return {
            (id(a), id(b)): Pair(a, b, list(zip(names, x.tolist(), y.tolist(), strict=True)), rho[i][j], tau[i][j])
            for i, (a, x) in enumerate(mrs.values())
            for j, (b, y) in enumerate(mir.values())
            if (id(a), id(b)) in wanted
        }

    @property
    def varied(self) -> list[str]:
        """Names of models that have several settings or layers."""
        names = [model.name for model in self.models if not model.control]
        return sorted({name for name in names if names.count(name) > 1})


def _draws(axis: Axis, groups: Sequence[Sequence[Model]]) -> NDArray[np.float64] | None:
    """Return the bootstrap means (resamples, n) of groups of settings; None where one has none."""
    if any(m.key not in axis.draws for same in groups for m in same):
        return None
    return np.stack([np.mean([axis.draws[m.key] for m in same], axis=0) for same in groups], axis=1)


def versus(boards: Iterable[Board], probed: Sequence[Probed], metric: str = RANKED_BY) -> list[Versus]:
    """Return one comparison per board and lane that has probes in the same lane.

    Parameters
    ----------
    boards
        Their `metric` at the first k gives a column per recommender, treatment and candidate set.
    probed
        Results on MIR tasks.
    metric
        Name of a metric in `bench.metrics`, without its k.

    """
    by_lane = {each.lane: each for each in probed}
    found = []
    for board in boards:
        for block in board.blocks:
            if block.lane in by_lane:
                made = _of_block(board, block, by_lane[block.lane], f"{metric}@{board.k[0]}")
                if made.mrs and made.mir:
                    found.append(made)
    return found


def _of_block(board: Board, block: Block, probed: Probed, metric: str) -> Versus:
    models: dict[str, Model] = {}
    mrs: dict[tuple[str, str], Axis] = {}
    for row in sorted(block.all, key=lambda row: row.control):
        if row.first is None or row.imported:
            continue
        key = embedding(row.first.extractor)
        name = row.first.extractor.name
        # A model that learns its own vectors does not measure an embedding.
        models.setdefault(
            key, Model(key, without_folders(row.first.extractor.spec), name, row.control or name == NOTHING)
        )
        for where in board.sets:
            _place(row, key, where, metric, mrs)
    for key, asked in probed.rows.items():
        models.setdefault(key, Model(key, asked.label, asked.name, asked.control))
    axes = [axis for axis in mrs.values() if any(not models[key].control for key in axis.values)]
    for axis in axes:
        axis.chance = block.chance.mean(axis.heading.partition(" ")[0], metric)
    mir = [
        Axis(
            heading=heading(asked.metric),
            group=asked.title,
            values={key: row.answers[asked].mean for key, row in probed.rows.items() if asked in row.answers},
            chance=probed.chance.get(asked),
        )
        for asked in probed.columns
        if asked.collection in ("", board.data)
    ]
    # Embeddings that were only probed (mostly layers) are in the MIR table; all controls are here.
    having = [
        model
        for model in models.values()
        if any(model.key in axis.values for axis in (*axes, *(mir if model.control else ())))
    ]
    return Versus(
        name=f"{slug(f'{board.data}-{board.split}')[:120]}-{board.fingerprint[:8]}-{block.lane}",
        title=f"{board.title}, lane {block.lane}",
        lane=block.lane,
        models=having,
        mrs=axes,
        mir=mir,
        notes=[f"Warning, {text}" for text in probed.warnings],
    )


def _place(row: Row, key: str, where: str, metric: str, axes: dict[tuple[str, str], Axis]) -> None:
    """Add a row's value to the axis of its recommender, treatment and candidate set."""
    value = row.values.get(where, {}).get(metric)
    if value is None or row.first is None:
        return
    treat = row.first.extractor.view.treat
    model = f"{row.model} ({treat})" if treat else row.model
    axis = axes.setdefault((model, where), Axis(f"{where} {heading(metric)}", model))
    if key in axis.values:
        return
    axis.values[key] = value.mean
    if (drawn := row.draws.get(where, {}).get(metric)) is not None:
        axis.draws[key] = drawn


def of_paper(paper: Paper) -> list[Versus]:
    """Compare a paper's MIR table with each of its recommenders; empty if the paper has no MIR table."""
    records = imported(paper)
    probes = [record for record in records if PROBED in record.metrics]
    if not probes:
        return []
    (table,) = [t for t in paper.tables if t.kind == "mir"]
    assert table.recommender
    metric = table.recommender[1]
    names = {record.extractor.spec for record in probes}
    models = [Model(row[0], row[0], row[0]) for row in table.rows if row[0] in names]
    mrs: dict[str, Axis] = {}
    for record in records:
        if metric in (found := record.metrics.get(table.set, {})) and record.extractor.spec in names:
            axis = mrs.setdefault(record.recommender.spec, Axis(heading(metric), record.recommender.spec))
            axis.values[record.extractor.spec] = found[metric]
    mir = [
        Axis(f"{heading(which)}, {title.lower()}", "", _values(probes, task, which))
        for task, which, title in table.tasks
    ]
    return [
        Versus(
            name=f"{paper.name}-published",
            title=f"published, {paper.where}",
            lane="published",
            models=models,
            mrs=list(mrs.values()),
            mir=mir,
            decimals=paper.decimals,
        )
    ]


def _values(records: Sequence[Record], task: str, metric: str) -> dict[str, float]:
    found = [r for r in records if r.data.name == task and metric in r.metrics.get(PROBED, {})]
    return {r.extractor.spec: r.metrics[PROBED][metric] for r in found}
