"""Compare records with the cells of a paper's tables, and report the verdicts on its claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from bench.published import Paper
from bench.recipes.claims import Claim, Contrast, Estimate, Judged, Place, Verdict, judge, pairs
from bench.recipes.recsys2024 import CLAIMS, EMBEDDINGS, METRIC, RANDOM
from bench.recipes.requests import Backend
from bench.report.board import Block, Board, Row
from bench.report.format import NONE
from bench.report.grid import Cell, Chapter, Grid, Head, Section
from bench.report.mir import Probed
from bench.report.users import Reader
from bench.stats import LEAST_USERS, holm, paired_t, sign_flip

WHERE = "hot"


def estimates(
    paper: Paper, backends: Sequence[Backend], boards: Sequence[Board], probed: Sequence[Probed], lane: str
) -> dict[Place, Estimate]:
    """Return the measured values for the cells of the paper in one lane, by printed names."""
    names = {backend.spec: backend.name for backend in backends} | {"none": RANDOM}
    models = {spec: name for name, spec in paper.models.items()}
    found: dict[Place, Estimate] = {}
    for block in (block for board in boards for block in board.blocks if block.lane == lane):
        found |= _block_estimates(block, names, models)
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


def _block_estimates(block: Block, names: Mapping[str, str], models: Mapping[str, str]) -> dict[Place, Estimate]:
    found = {}
    for row in block.rows:
        if row.first is None or row.imported or row.first.extractor.view.treat:
            continue
        name, model = names.get(row.first.extractor.spec), models.get(row.first.recommender.spec)
        value = row.mean(WHERE, METRIC)
        if name is not None and model is not None and value is not None:
            draws = row.draws.get(WHERE, {}).get(METRIC)
            found[Place(name, model)] = Estimate(value, draws=draws, users=_users(row))
    return found


def _users(row: Row) -> NDArray[np.float64] | None:
    """Values of individual users by seed (S, U); None if the file of any seed is not usable."""
    found = Reader().values(row, [WHERE]).get(WHERE)
    return found.table[found.metrics.index(METRIC)] if found and METRIC in found.metrics else None


def chapter(paper: Paper, found: Mapping[Place, Estimate], lane: str, builtin: bool) -> Chapter:
    """Return the claims with their verdicts, and comparisons of embeddings with vectors trained from scratch."""
    judged = judge(CLAIMS, found)
    counts = Counter(each.verdict for each in judged)
    lead = [
        f"Of {len(judged)} claims, " + ", ".join(f"{counts[verdict]} {verdict}" for verdict in get_args(Verdict)) + ".",
        "A claim held if all its differences are significant in the claimed direction (p ≤ 0.05 after Holm's "
        "correction over all differences of all claims), failed if one is significant in the opposite direction, and "
        "is undecided otherwise or if some of its differences were not measured.",
    ]
    if builtin:
        lead.append(
            "Music and listening are synthetic: these verdicts test the software and say nothing about the paper."
        )
    return Chapter(
        name=f"{paper.name}-claims-{lane}",
        title=f"Claims of the paper, lane {lane}",
        lead=lead,
        grids=[_claims(judged), *_random(paper, found)],
        notes=[
            f"Recommendation: differences of {METRIC} over the same resampled users (and seeds, if there are several). "
            "MIR tasks: differences of the main metric, with the standard errors of both values."
        ],
    )


def _claims(judged: Sequence[Judged]) -> Grid:
    rows = []
    for each in judged:
        weakest = min(each.contrasts, key=lambda c: (c.decided, c.difference), default=None)
        rows.append(
            [
                Cell(each.claim.text),
                Cell(each.claim.section),
                Cell(each.verdict, bold=each.verdict in ("held", "failed")),
                Cell(f"{sum(c.decided == 1 for c in each.contrasts)} of {len(each.claim.above)}"),
                Cell(f"{weakest.above} > {weakest.below}" if weakest else NONE),
                *_numbers(weakest),
            ]
        )
    heads = [Head("Claim", right=False), Head("Section", right=False), Head("Verdict", right=False), Head("Shown"),
             Head("Weakest difference", right=False), *_HEADS]  # fmt: skip
    return Grid("claims", "Claims and verdicts", heads, [Section("", rows)])


_HEADS = (Head("Difference"), Head("95 %"), Head("p (Holm)"))


def _numbers(contrast: Contrast | None) -> list[Cell]:
    if contrast is None:
        return [Cell(NONE)] * 3
    return [
        Cell(f"{contrast.difference:+.4f}", value=contrast.difference),
        Cell(NONE if contrast.low is None or contrast.high is None else f"[{contrast.low:+.4f}, {contrast.high:+.4f}]"),
        _p(contrast.p, bold=contrast.decided != 0),
    ]


def _random(paper: Paper, found: Mapping[Place, Estimate]) -> list[Grid]:
    """Compare embeddings with vectors trained from scratch: paired tests over users, one family per recommender."""
    sections = []
    for model in paper.models:
        (judged,) = judge([Claim(model, "", "", pairs(EMBEDDINGS, RANDOM, model))], found)
        tests = {c.above.row: (found[c.above].users, found[c.below].users) for c in judged.contrasts}
        alike = {
            name: (a.mean(axis=0), b.mean(axis=0))
            for name, (a, b) in tests.items()
            if a is not None and b is not None and a.shape[1] == b.shape[1] >= LEAST_USERS
        }
        t = holm({name: paired_t(a, b).p for name, (a, b) in alike.items()})
        flip = holm({name: sign_flip(a, b).p for name, (a, b) in alike.items()})
        rows = [
            [
                Cell(c.above.row),
                *_numbers(c),
                *(_p(p.get(c.above.row)) for p in (t, flip)),
            ]
            for c in judged.contrasts
        ]
        sections.append(Section(model, rows))
    if not any(section.rows for section in sections):
        return []
    heads = [Head("Embedding", right=False), *_HEADS, Head("p, paired t"), Head("p, sign flips")]
    note = (
        "p (Holm) is that of the table of claims. Beside it: Student's paired t and random sign flips (both with means "
        "over seeds); p after Holm's correction within each recommender."
    )
    title = f"{METRIC}: each embedding against vectors trained from scratch"
    return [Grid("against-random", title, heads, sections, [note])]


def _p(p: float | None, *, bold: bool = False) -> Cell:
    if p is None:
        return Cell(NONE)
    return Cell(f"{p:.3f}" if p >= 0.001 else "<.001", bold=bold, value=p)
