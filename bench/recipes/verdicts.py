"""Report the verdicts on a paper's claims, by our results and by the paper's own tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import get_args

from bench.published import Paper
from bench.recipes.claims import (
    Claim,
    Contrast,
    Estimate,
    Judged,
    Place,
    Verdict,
    judge,
    judge_printed,
    pairs,
)
from bench.recipes.estimates import LEAST_ROWS, code_reading, correlation_with, printed_means
from bench.recipes.recsys2024 import (
    CLAIMS,
    CODE,
    EMBEDDINGS,
    METRIC,
    OTHER_METRICS,
    PRINTED_METRICS,
    RANDOM,
    SHALLOW,
    K,
)
from bench.report.evidence import MARGIN
from bench.report.format import NONE, bounds, heading, number
from bench.report.grid import Cell, Chapter, Grid, Head, Section
from bench.stats import LEAST_USERS, holm, interval, paired_t, sign_flip


def chapter(
    paper: Paper, found: Mapping[Place, Estimate], lane: str, *, k: int = K, why: str = "", builtin: bool = False
) -> Chapter:
    """Return the claims with their verdicts, and comparisons of embeddings with vectors trained from scratch.

    `k` is the cut-off of our results, and `why` the reason if it is not that of the paper.
    """
    metric = f"{heading(METRIC)}@{k}"
    judged = judge(CLAIMS, found)
    code = {each.claim.key: each.verdict for each in judge(CLAIMS, code_reading(found))}
    counts = Counter(each.verdict for each in judged)
    lead = [
        f"Of {len(judged)} claims, " + ", ".join(f"{counts[verdict]} {verdict}" for verdict in get_args(Verdict)) + ".",
        "Ours: a claim held if all its differences are significant in the claimed direction (p ≤ 0.05 after Holm's "
        "correction over all differences of all claims), failed if one is significant in the opposite direction, and "
        "is undecided otherwise or if some of its differences were not measured. Claims of no difference are "
        f"equivalent if all 95 % intervals lie within the margin, {100 * MARGIN:g} % of the gain over shuffled "
        "vectors; otherwise they are not told apart, or failed if a difference is significant.",
        "Paper's table: printed means agree with an order or a ratio, or contradict it; whether a difference is "
        f"significant or absent is not decidable from them. {RANDOM} is the paper's name for vectors trained from "
        "scratch.",
    ]
    if CODE in {place.column for place in found}:
        lead.append(
            "Code reading: the verdict with Shallow Net as the released code trains it, with its freeze flags inverted."
        )
    if k != K:
        lead.append(
            f"The paper's {heading(METRIC)}@{K} is {metric} here, since {why}: our verdicts are about {metric}, and "
            f"those of the paper's table about {heading(METRIC)}@{K}."
        )
    if builtin:
        lead.append(
            "Music and listening are synthetic: these verdicts test the software and say nothing about the paper."
        )
    return Chapter(
        name=f"{paper.name}-claims-{lane}",
        title=f"Claims of the paper at {metric}, lane {lane}",
        lead=lead,
        grids=[_claims(judged, paper, code), *_random(paper, found, metric), *_correlations(found, k)],
        notes=[
            f"Recommendation: differences of {metric} over the same resampled users (and seeds, if there are several). "
            "MIR tasks: differences of the main metric, with the standard errors of both values.",
            f"Whether MRR and precision correlate with the printed metrics is not decidable from the paper's table, "
            f"which has neither. It is measured over rows of ours, if there are at least {LEAST_ROWS}.",
            "The paper's table has no numbers for tracks-trained and shallow-choices. --ablations measures them in the "
            "corrected lane, with three more trainings of Shallow Net for each embedding; the published lane has fixed "
            "settings.",
        ],
    )


def _claims(judged: Sequence[Judged], paper: Paper, code: Mapping[str, Verdict]) -> Grid:
    """Return the table of claims; `code` has the verdicts with the code's reading of Shallow Net."""
    means = printed_means(paper)
    rows, notes = [], []
    for each in judged:
        claim = each.claim
        printed = judge_printed(claim, means, paper.decimals)
        if printed == "contradicted":
            notes.append(_contradiction(claim, means))
        weakest = each.weakest
        told = each.verdict in ("held", "failed", "equivalent")
        rows.append(
            [
                Cell(claim.key),
                Cell(claim.text),
                Cell(claim.section),
                Cell(printed, bold=printed == "contradicted"),
                Cell(each.verdict, bold=told),
                Cell(f"{each.shown} of {len(claim.parts)}"),
                Cell(_pair(claim, weakest) if weakest else NONE),
                *_numbers(weakest),
                Cell(_margin(claim, weakest)),
                Cell(code[claim.key] if _about(claim, SHALLOW) and code[claim.key] != "not measured" else NONE),
            ]
        )
    heads = [Head("Claim", right=False), Head("In our words", right=False, room=36), Head("Section", right=False),
             Head("Paper's table", right=False), Head("Ours", right=False), Head("Shown"),
             Head("Weakest difference", right=False), *_HEADS, Head("Margin"),
             Head("Code reading", right=False)]  # fmt: skip
    return Grid("claims", "Claims and verdicts", heads, [Section("", rows)], notes)


def _pair(claim: Claim, contrast: Contrast) -> str:
    sign = "=" if claim.kind == "no difference" else ">"
    factor = "" if claim.factor == 1 else f"{claim.factor:g} × "
    return f"{contrast.above} {sign} {factor}{contrast.below}"


def _about(claim: Claim, column: str) -> bool:
    return any(place.column == column for part in claim.parts for place in part)


def _margin(claim: Claim, contrast: Contrast | None) -> str:
    return number(contrast.margin) if contrast and claim.kind == "no difference" else NONE


def _contradiction(claim: Claim, means: Mapping[Place, float]) -> str:
    """Return the printed values that contradict a claim most."""
    known = [(means[a] / means[b], a, b) for a, b in claim.parts if means.get(a) and means.get(b)]
    ratio, above, below = min(known)
    told = f", a ratio of {ratio:.1f}" if claim.factor != 1 else ""
    return (
        f"{claim.key}: the paper's own table has {means[above]:g} for {above} and {means[below]:g} for {below}{told}."
    )


_HEADS = (Head("Difference"), Head("95 %"), Head("p (Holm)"))


def _numbers(contrast: Contrast | None) -> list[Cell]:
    if contrast is None:
        return [Cell(NONE)] * 3
    return [
        Cell(f"{contrast.difference:+.4f}", value=contrast.difference),
        Cell(NONE if contrast.low is None or contrast.high is None else f"[{contrast.low:+.4f}, {contrast.high:+.4f}]"),
        _p(contrast.p, bold=contrast.decided != 0),
    ]


def _random(paper: Paper, found: Mapping[Place, Estimate], metric: str) -> list[Grid]:
    """Compare embeddings with vectors trained from scratch: paired tests over users, one family per recommender."""
    sections = []
    for model in (*paper.models, CODE):
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
    title = f"{metric}: each embedding against vectors trained from scratch"
    return [Grid("against-random", title, heads, sections, [note])]


def _correlations(found: Mapping[Place, Estimate], k: int) -> list[Grid]:
    """Return the rank correlations of the metrics that the paper does not print with those that it prints."""
    rows = []
    for name in OTHER_METRICS:
        known = [found.get(Place(name, correlation_with(other))) for other in PRINTED_METRICS]
        if any(known):
            rows.append([Cell(f"{heading(name)}@{k}"), *map(_with_interval, known)])
    if not rows:
        return []
    heads = [Head("Metric", right=False), *(Head(f"{heading(name)}@{k}") for name in PRINTED_METRICS)]
    title = "Metrics that the paper does not print: Spearman's rank correlation with the printed ones, over our rows"
    return [Grid("other-metrics", title, heads, [Section("", rows)])]


def _with_interval(estimate: Estimate | None) -> Cell:
    if estimate is None or estimate.draws is None:
        return Cell(NONE)
    return Cell(bounds(estimate.mean, *interval(estimate.draws)), value=estimate.mean)


def _p(p: float | None, *, bold: bool = False) -> Cell:
    if p is None:
        return Cell(NONE)
    return Cell(f"{p:.3f}" if p >= 0.001 else "<.001", bold=bold, value=p)
