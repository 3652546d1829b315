"""Printed numbers as records of kind ``imported``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bench.data.published import PRINTED
from bench.files import digest
from bench.published.paper import Paper, Table
from bench.results import Record

LANE = "published"


def imported(paper: Paper) -> list[Record]:
    """Return every printed number of a paper as records, in printed order.

    A record holds the metrics exactly as printed. Its intervals are the printed ones where there are any
    (`Paper.spread` says what of); chance levels were not printed. ``asked`` names paper and table; the
    footnotes that concern it stand in ``warnings``.
    """
    return [record for table in paper.tables for record in _of(paper, table)]


def _of(paper: Paper, table: Table) -> Iterator[Record]:
    if table.kind == "recommenders":
        for model, extractor, *values in table.rows:
            yield _recommended(paper, table, model, extractor, dict(zip(table.metrics, values, strict=True)))
    elif table.kind == "mir":
        for extractor, *values in table.rows:
            for (task, metric, _), value in zip(table.tasks, values, strict=False):
                if value is not None:
                    yield _probed(paper, table, extractor, task, metric, value)


def _recommended(paper: Paper, table: Table, model: str, extractor: str, values: dict[str, Sequence[float]]) -> Record:
    name, ours = paper.models[model], paper.extractors[extractor]
    shuffled = bool(paper.shuffled and model.endswith(paper.shuffled))
    sizes = PRINTED[paper.split].sizes
    where = table.set
    notes = [n.text for n in paper.footnotes if n.concerns(ours, model=name, set=where)]
    # Candidates are every training track on hot tasks, every cold track on cold ones.
    candidates = sizes[("train", "hot") if where == "hot" else ("test", "cold")].items
    return _record(
        paper,
        table,
        extractor={
            "spec": extractor,
            **({"name": "shuffled", "settings": [{"of": ours}]} if shuffled else {"name": ours}),
        },
        recommender={"name": name, "spec": model},
        data={"name": paper.data},
        split={"name": paper.split, "counts": {f"{p} {s}": size._asdict() for (p, s), size in sizes.items()}},
        control=shuffled or ours == "none",
        metrics={where: {metric: float(printed[0]) for metric, printed in values.items()}},
        intervals={where: {m: (v[0] - v[1], v[0] + v[1]) for m, v in values.items() if len(v) > 1}},
        k=_cutoffs(values),
        users={where: sizes["test", "hot" if where == "hot" else "cold"].users},
        candidates={where: candidates},
        warnings=notes,
    )


def _probed(paper: Paper, table: Table, extractor: str, task: str, metric: str, value: float) -> Record:
    ours = paper.extractors[extractor]
    return _record(
        paper,
        table,
        extractor={"name": ours, "spec": extractor},
        recommender={"name": "as-printed", "spec": "as printed"},
        data={"name": task, "task": {"name": task, "spec": task, "primary": metric}},
        split={"name": "as-printed", "counts": {}},
        control=False,
        metrics={"test": {metric: float(value)}},
        intervals={},
        k=_cutoffs(name for t in paper.tables for name in t.metrics),
        users={},
        candidates={},
        warnings=[n.text for n in paper.footnotes if n.concerns(ours, task=task)],
    )


def _cutoffs(metrics: Iterable[str]) -> list[int]:
    return sorted({int(metric.rpartition("@")[2]) for metric in metrics})


def _record(paper: Paper, table: Table, **given: Any) -> Record:
    widths: dict[str, int] = {name: width for t in paper.tables if t.kind == "sizes" for name, width in t.rows}
    extractor = {
        "lane": LANE,
        "settings": [],
        "view": {"layers": [None], "treat": ""},
        "width": widths.get(given["extractor"]["spec"], 0),
        "coverage": 1.0,
        "table_sha256": "",
        **given.pop("extractor"),
    }
    recommender = {"lane": LANE, "settings": {}, **given.pop("recommender")}
    data = {"builtin": False, "fingerprint": {"published": paper.citation}, **given.pop("data")}
    split = {"settings": {}, "fingerprint": digest(["published", paper.name, table.id]), **given.pop("split")}
    return Record(
        kind="imported",
        asked={"published": paper.name, "table": table.id},
        inputs_sha256=digest([paper.citation, table.id, extractor["spec"], recommender["spec"], given["metrics"]]),
        data=data,
        split=split,
        extractor=extractor,
        recommender=recommender,
        lane=LANE,
        seed=0,
        chance={},
        **given,
    )
