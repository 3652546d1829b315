"""Convert published numbers to records of kind ``imported``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

from bench.files.atomic import digest
from bench.published.paper import Paper, Table
from bench.records import PROBED, DataInfo, ExtractorInfo, RecommenderInfo, Record, SplitInfo, TaskInfo, View
from bench.splits.published import REPORTED

LANE: Literal["published"] = "published"


def imported(paper: Paper) -> list[Record]:
    """Return all numbers of a paper as records, in the order of its tables.

    A record has the metrics exactly as printed, and the printed intervals if there are any (`Paper.spread`
    describes them), but no chance levels. ``asked`` names paper and table; ``warnings`` has the footnotes that
    apply to the record.
    """
    return [record for table in paper.tables for record in _of_table(paper, table)]


def _of_table(paper: Paper, table: Table) -> Iterator[Record]:
    if table.kind == "recommenders":
        for model, extractor, *values in table.rows:
            yield _recommended(paper, table, model, extractor, dict(zip(table.metrics, values, strict=True)))
    elif table.kind == "mir":
        for extractor, *values in table.rows:
            for (task, metric, _), value in zip(table.tasks, values, strict=False):
                if value is not None:
                    yield _probed(paper, table, extractor, task, metric, value)


def _recommended(paper: Paper, table: Table, model: str, extractor: str, values: dict[str, Sequence[float]]) -> Record:
    name, extractor_name = paper.models[model], paper.extractors[extractor]
    shuffled = bool(paper.shuffled and model.endswith(paper.shuffled))
    sizes = REPORTED[paper.split].sizes
    where = table.set
    # Candidates are all training tracks for hot items, and all cold tracks of the test for cold items.
    candidates = sizes[("train", "hot") if where == "hot" else ("test", "cold")].items
    record = _record(
        paper,
        table,
        _extractor(
            paper, extractor, "shuffled" if shuffled else extractor_name, [{"of": extractor_name}] if shuffled else []
        ),
        RecommenderInfo(name=name, spec=model, lane=LANE, settings={}),
        {where: {metric: float(printed[0]) for metric, printed in values.items()}},
    )
    return replace(
        record,
        data=_data(paper, paper.data),
        split=replace(
            record.split,
            name=paper.split,
            counts={f"{p} {s}": size._asdict() for (p, s), size in sizes.items()},
        ),
        control=shuffled or extractor_name == "none",
        intervals={where: {m: (v[0] - v[1], v[0] + v[1]) for m, v in values.items() if len(v) > 1}},
        k=_cutoffs(values),
        users={where: sizes["test", "hot" if where == "hot" else "cold"].users},
        candidates={where: candidates},
        warnings=tuple(n.text for n in paper.footnotes if n.concerns(extractor_name, model=name, set=where)),
    )


def _probed(paper: Paper, table: Table, extractor: str, task: str, metric: str, value: float) -> Record:
    extractor_name = paper.extractors[extractor]
    record = _record(
        paper,
        table,
        _extractor(paper, extractor, extractor_name, []),
        RecommenderInfo(name="as-printed", spec="as printed", lane=LANE, settings={}),
        {PROBED: {metric: float(value)}},
    )
    return replace(
        record,
        data=_data(paper, task, TaskInfo(name=task, spec=task, primary=metric)),
        k=_cutoffs(name for t in paper.tables for name in t.metrics),
        warnings=tuple(n.text for n in paper.footnotes if n.concerns(extractor_name, task=task)),
    )


def _cutoffs(metrics: Iterable[str]) -> tuple[int, ...]:
    return tuple(sorted({int(metric.rpartition("@")[2]) for metric in metrics}))


def _data(paper: Paper, name: str, task: TaskInfo | None = None) -> DataInfo:
    return DataInfo(name=name, builtin=False, fingerprint={"published": paper.citation}, task=task)


def _extractor(paper: Paper, printed: str, name: str, settings: Any) -> ExtractorInfo:
    widths: dict[str, int] = {name: width for t in paper.tables if t.kind == "sizes" for name, width in t.rows}
    return ExtractorInfo(
        name=name,
        spec=printed,
        lane=LANE,
        view=View((None,), ""),
        settings=settings,
        width=widths.get(printed, 0),
        coverage=1.0,
        table_sha256="",
    )


def _record(
    paper: Paper,
    table: Table,
    extractor: ExtractorInfo,
    recommender: RecommenderInfo,
    metrics: dict[str, dict[str, float]],
) -> Record:
    """Return what both kinds of record have in common."""
    return Record(
        kind="imported",
        asked={"published": paper.name, "table": table.id},
        inputs_sha256=digest([paper.citation, table.id, extractor.spec, recommender.spec, metrics]),
        data=_data(paper, paper.data),
        split=SplitInfo(
            name="as-printed", settings={}, fingerprint=digest(["published", paper.name, table.id]), counts={}
        ),
        extractor=extractor,
        recommender=recommender,
        lane=LANE,
        seed=0,
        k=(),
        control=False,
        metrics=metrics,
    )
