"""Compare rows with the best row of their lane, and with their own shuffled rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from bench.records import Family
from bench.report.board import Block, Row
from bench.report.controls import ALPHA, Read, shuffled_row
from bench.report.value import Evidence, Verdict
from bench.report.values import Values, tested
from bench.stats import Components, equivalence, holm, undecided

MARGIN = 0.1
"""Rows are equivalent if they differ by less than this share of the best row's gain over its shuffled rows.

`bench run` declares it, with the rows that it compares, in every record.
"""


def declared(block: Block) -> list[Family]:
    """Return the comparisons that were declared before the rows of a block were computed."""
    return [record.family for row in block.rows for _, record in row.records if record.family]


def compare(
    block: Block,
    where: str,
    rows: Sequence[Row],
    metrics: Mapping[int, Sequence[str]],
    read: Read,
    held: Sequence[int],
    full: Collection[str],
) -> None:
    """Give rows their evidence in every metric, and mark those that are not told apart from the best row.

    Each metric on each candidate set is a family of tests. Its size is the number of rows, or of declared rows if there
    are more.

    Parameters
    ----------
    block
        The lane of the rows.
    where
        The candidate set.
    rows
        Rows that were measured on the same users.
    metrics
        The metrics of each row, by its `id`.
    read
        Returns the values of a row; None if it has no usable file.
    held
        Places in `rows` whose values are in memory, and are compared together.
    full
        Metrics whose differences and gains over shuffled rows the evidence keeps; of others, only p and the verdict.

    """
    having = {
        metric: [row for row in rows if metric in metrics[id(row)]]
        for metric in dict.fromkeys(metric for row in rows for metric in metrics[id(row)])
    }
    best = {
        metric: max(each, key=lambda row: row.values[where][metric].mean)
        for metric, each in having.items()
        if len(each) > 1
    }
    families = declared(block)
    most = max((len(each.rows) for each in families), default=0)
    family = {metric: max(len(having[metric]), most) - 1 for metric in best}
    share = min((each.margin for each in families), default=MARGIN)
    tops = {id(row): values for row in best.values() if (values := read(row))}
    found: dict[str, dict[int, Evidence]] = {metric: {} for metric in best}
    for part in (held, *([at] for at in range(len(rows)) if at not in set(held))):
        jobs: dict[int, list[tuple[str, int, Values, Values]]] = {}
        for at in part:
            values, floor = read(rows[at]), _floor(block, rows[at], read)
            if values is None:
                continue
            for metric in (metric for metric in best if metric in values.metrics):
                top, is_top = tops[id(best[metric])], best[metric] is rows[at]
                one = Evidence("best" if is_top else "undecided", comparisons=family[metric])
                if metric in full:
                    gain = values.less(floor, metric) if floor and metric in floor.metrics else None
                    apart = None if is_top else values.less(top, metric)
                    one = replace(one, gain=gain, difference=apart, two_way=values.is_paired(top))
                found[metric][at] = one
                if not is_top:
                    jobs.setdefault(family[metric], []).append((metric, at, top, values))
        for comparisons, asked in jobs.items():
            tests = tested([(a, b, metric) for metric, _, a, b in asked], comparisons)
            for (metric, at, *_), test in zip(asked, tests, strict=True):
                found[metric][at] = replace(found[metric][at], p=test.p, differ=test.different, users=test.n)
    for metric, each in found.items():
        for at, one in _judged(each, share).items():
            value = rows[at].values[where][metric]
            rows[at].values[where][metric] = replace(value, best=one.verdict != "told apart", evidence=one)


def _floor(block: Block, row: Row, read: Read) -> Values | None:
    control = shuffled_row(block, row)
    return None if control is None else read(control)


def _judged(found: Mapping[int, Evidence], share: float) -> dict[int, Evidence]:
    """Return the evidence of a family with corrected p values, verdicts, and the margin, a share of the best gain."""
    top = next(each for each in found.values() if each.verdict == "best")
    margin = share * top.gain.mean if top.gain and top.gain.mean > 0 else None
    others = {at: each for at, each in found.items() if each is not top}
    p = _corrected({at: 1.0 if each.p is None else each.p for at, each in others.items()}, top.comparisons)
    tost = _corrected({at: _equivalence(each.difference, margin) for at, each in others.items()}, top.comparisons)
    return {
        at: replace(each, margin=margin)
        if each is top
        else replace(each, margin=margin, p=p[at], verdict=_verdict(each, p[at], tost[at], margin))
        for at, each in found.items()
    }


def _verdict(one: Evidence, p: float, tost: float, margin: float | None) -> Verdict:
    if p <= ALPHA:
        return "told apart"
    if not one.differ:  # the same values
        return "not told apart" if margin is None else "equivalent"
    if undecided(one.differ, one.comparisons, ALPHA):
        return "undecided"
    return "equivalent" if tost <= ALPHA else "not told apart"


def _equivalence(difference: Components | None, margin: float | None) -> float:
    return 1.0 if difference is None or margin is None else equivalence(difference, margin).p


def _corrected(p: Mapping[int, float], comparisons: int) -> dict[int, float]:
    """Return p values after Holm's correction; comparisons that were declared but not made count as p = 1."""
    absent = {f"absent {n}": 1.0 for n in range(comparisons - len(p))}
    adjusted = holm({**{str(at): value for at, value in p.items()}, **absent})
    return {at: adjusted[str(at)] for at in p}
