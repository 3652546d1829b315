"""Values for the cells of a paper's tables: ours from records, and the printed ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.published import Paper, imported
from bench.recipes.claims import Estimate, Place, weighted
from bench.recipes.recsys2024 import (
    ABLATIONS,
    AVERAGE,
    CODE,
    CORRELATION,
    EMBEDDINGS,
    LEAST_CORRELATION,
    METRIC,
    MODELS,
    OTHER_METRICS,
    PRINTED_METRICS,
    RANDOM,
    SHALLOW,
    VARIANTS,
    K,
)
from bench.recipes.requests import Backend
from bench.report.board import Block, Board, Row
from bench.report.mir import Probed
from bench.report.paper_match import embedding_of
from bench.report.users import Reader
from bench.stats import correlations

WHERE = "hot"

LEAST_ROWS = 8
"""Minimum number of rows for a correlation between metrics."""


def code_reading(found: Mapping[Place, Estimate]) -> dict[Place, Estimate]:
    """Return the values with those of the code's reading of Shallow Net in the place of the text's; {} without any."""
    code = {Place(place.row, SHALLOW): estimate for place, estimate in found.items() if place.column == CODE}
    return {place: estimate for place, estimate in found.items() if place.column != SHALLOW} | code if code else {}


def drawn(k: int) -> tuple[str, ...]:
    """Return the metrics whose bootstrap means are needed, at cut-off k."""
    return tuple(f"{name}@{k}" for name in (*PRINTED_METRICS, *OTHER_METRICS))


def printed_means(paper: Paper) -> dict[Place, float]:
    """Return the values that the paper prints, by printed names, and their averages over embeddings."""
    found: dict[Place, Estimate] = {}
    for record in imported(paper):
        row = record.extractor.spec
        if record.is_probe:
            found[Place(row, record.data.name)] = Estimate(next(iter(record.metrics["test"].values())))
        else:
            found[Place(row, record.recommender.spec)] = Estimate(record.metrics[WHERE][f"{METRIC}@{K}"])
    return {place: estimate.mean for place, estimate in (found | _averages(found)).items()}


def estimates(
    paper: Paper, backends: Sequence[Backend], boards: Sequence[Board], probed: Sequence[Probed], lane: str, k: int
) -> dict[Place, Estimate]:
    """Return the measured values at cut-off k for the cells of the paper in one lane, by printed names."""
    names = {backend.spec: backend.name for backend in backends} | {"none": RANDOM}
    models = {spec: name for name, spec in {**paper.models, **VARIANTS, **ABLATIONS}.items()}
    found: dict[Place, Estimate] = {}
    for block in (block for board in boards for block in board.blocks if block.lane == lane):
        found |= _block_estimates(block, names, models, k)
    found |= _averages(found)
    tasks = {task: metric for table in paper.tables for task, metric, _ in table.tasks}
    for each in (each for each in probed if each.lane == lane):
        for row in each.rows.values():
            for column, answer in row.answers.items():
                task = column.task.partition(":")[0]
                if row.control or column.treat or row.label not in names or tasks.get(task) != column.metric:
                    continue
                error = None if answer.low is None or answer.high is None else (answer.high - answer.low) / 3.92
                found.setdefault(Place(names[row.label], task), Estimate(answer.mean, error=error))
    return found


def _block_estimates(
    block: Block, names: Mapping[str, str], models: Mapping[str, str], k: int
) -> dict[Place, Estimate]:
    metric = f"{METRIC}@{k}"
    shuffled = {(embedding_of(row), row.model): row.mean(WHERE, metric) for row in block.controls}
    found, rows = {}, []
    for row in block.rows:
        if row.first is None or row.imported or row.first.extractor.view.treat:
            continue
        name, model = names.get(row.first.extractor.spec), models.get(row.first.recommender.spec)
        value = row.mean(WHERE, metric)
        if name is not None and model is not None and value is not None:
            draws = row.draws.get(WHERE, {}).get(metric)
            floor = shuffled.get((f"shuffled:{embedding_of(row)}", row.model))
            gain = None if floor is None else value - floor
            found[Place(name, model)] = Estimate(value, draws=draws, users=_users(row, metric), gain=gain)
            rows.append(row)
    return found | metric_correlations(rows, k)


def _users(row: Row, metric: str) -> NDArray[np.float64] | None:
    """Values of individual users by seed (S, U); None if the file of any seed is not usable."""
    found = Reader().values(row, [WHERE]).get(WHERE)
    return found.table[found.metrics.index(metric)] if found and metric in found.metrics else None


def _averages(found: Mapping[Place, Estimate]) -> dict[Place, Estimate]:
    """Return the averages over embeddings, for models with values for all of them."""
    cells = {model: [found.get(Place(name, model)) for name in EMBEDDINGS] for model in (*MODELS, CODE)}
    return {
        Place(AVERAGE, model): weighted([(1 / len(each), estimate) for estimate in each if estimate])
        for model, each in cells.items()
        if all(each)
    }


def metric_correlations(rows: Sequence[Row], k: int) -> dict[Place, Estimate]:
    """Return the rank correlations of the metrics that are not printed with each printed one, and the lowest of each.

    They are Spearman's, over the rows. There are none for fewer than 8 rows, or if a row has no bootstrap means.
    """
    metrics = drawn(k)
    if len(rows) < LEAST_ROWS or any(metric not in row.draws.get(WHERE, {}) for row in rows for metric in metrics):
        return {}
    # The first line of a table has the means, the others the bootstrap means.
    tables = {
        metric: np.stack([np.r_[row.values[WHERE][metric].mean, row.draws[WHERE][metric]] for row in rows], axis=1)
        for metric in metrics
    }
    found: dict[Place, Estimate] = {}
    for name in OTHER_METRICS:
        each = {
            correlation_with(other): correlations(tables[f"{name}@{k}"], tables[f"{other}@{k}"], "spearman")
            for other in PRINTED_METRICS
        }
        for column, (value, *draws) in (each | {CORRELATION: np.min(list(each.values()), axis=0)}).items():
            if np.isfinite([value, *draws]).all():
                found[Place(name, column)] = Estimate(float(value), draws=np.array(draws))
        if Place(name, CORRELATION) in found:
            least = float(LEAST_CORRELATION.row)
            found[LEAST_CORRELATION] = Estimate(least, draws=np.full(len(draws), least))
    return found


def correlation_with(printed: str) -> str:
    """Return the column of rank correlations with one printed metric."""
    return f"{CORRELATION} with {printed}"
