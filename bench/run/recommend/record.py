"""Records of recommendation cells, without and with numbers, and the hash of their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any

import numpy as np

from bench import metrics, ranking, treatments
from bench.datasets.contamination import same_catalogue
from bench.entries import ExtractorEntry, RecommenderEntry
from bench.files.atomic import digest
from bench.items.item_table import ItemTable
from bench.protocols import Heard, VectorSource
from bench.records import Cost, DataInfo, Environment, ExtractorInfo, Family, RecommenderInfo, Record, SplitInfo, View
from bench.report.controls import ALPHA
from bench.report.evidence import MARGIN
from bench.report.format import RANKED_BY
from bench.run.heard import heard_share
from bench.run.inputs import Inputs
from bench.run.recommend.evaluate import Measured
from bench.run.recommend.request import Cell, RecommendRequest
from bench.run.recommend.top_lists import long_lists


def blank(request: RecommendRequest, inputs: Inputs, k: Sequence[int], cell: Cell) -> Record:
    """Return the record of a cell without numbers."""
    dataset, split = inputs.opened.dataset, inputs.split
    tested = (split.items[item] for item in np.unique(split.truth("test", "mixed").item).tolist())
    extractor = replace(about_extractor(cell.extractor), heard_share=heard_share(cell.extractor, inputs.name, tested))
    recommender = _recommender(cell.model, refit=request.refit)
    warnings = [*inputs.caveats, *inputs.leaks.warnings, *long_lists(split, k)]
    if known := [name for name in cell.extractor.trained_on if same_catalogue(name, inputs.name)]:
        warnings.append(f"{extractor.name} was trained on {', '.join(known)}: it knows the tracks of {inputs.name}")
    warnings += [*cell.extractor.caveats(builtin=inputs.builtin), *cell.model.plugin.warnings]
    return Record(
        kind="run",
        asked=request.of_cell(cell).as_json(),
        inputs_sha256="",
        data=DataInfo(
            name=inputs.name,
            builtin=inputs.builtin,
            license=dataset.license,
            fingerprint=dict(inputs.fingerprint),
            version=dataset.version,
        ),
        split=SplitInfo(
            name=inputs.split_name,
            settings=asdict(split.settings),
            fingerprint=split.fingerprint,
            counts=dict(split.counts),
            overlap=dict(inputs.leaks.numbers),
            published=inputs.published,
            version=split.settings.version,
        ),
        extractor=extractor,
        recommender=recommender,
        lane=extractor.lane if extractor.lane == recommender.lane else "mixed",
        seed=cell.seed,
        k=tuple(k),
        control=cell.control,
        warnings=tuple(warnings),
    )


def family(cells: Sequence[Cell], k: Sequence[int], *, refit: bool) -> Family:
    """Return the comparison that a command declares: its rows without controls, and how they are tested."""
    rows = dict.fromkeys(
        f"{cell.extractor.text}{f' ({cell.extractor.treat})' if cell.extractor.treat else ''} × {cell.model.text}"
        for cell in cells
        if not cell.control
    )
    if refit:  # its table has the rows without --refit as well
        rows |= {f"{row} (refit)": None for row in rows}
    return Family(tuple(rows), metric=f"{RANKED_BY}@{k[0]}", alpha=ALPHA, margin=MARGIN)


def finished(
    record: Record,
    found: Measured,
    table: ItemTable,
    cost: Cost,
    environment: Environment,
    warnings: Sequence[str] = (),
) -> Record:
    """Return a record with the numbers of its cell; `cost` is the cost of embedding."""
    return replace(
        record,
        extractor=replace(
            record.extractor,
            width=int(table.vectors.shape[1]),
            coverage=table.coverage,
            table_sha256=table.sha256,
        ),
        recommender=replace(record.recommender, training=found.training),
        metrics=found.metrics,
        intervals=found.intervals,
        chance=found.chance,
        users=found.users,
        candidates=found.candidates,
        validation=found.validation,
        beyond=found.beyond,
        unranked=tuple(found.unranked),
        cost=replace(cost, fit_s=found.fit_s, score_s=found.score_s),
        environment=environment,
        # Equal scores are expected of controls such as popularity, but worth a warning for other models.
        warnings=tuple(dict.fromkeys([*record.warnings, *(() if record.control else found.warnings), *warnings])),
    )


def inputs_hash(record: Record, inputs: Inputs, reference: str | None, vectors: Any) -> str:
    """Hash everything on which the numbers of a cell depend; with an equal hash, they need no recomputation.

    `vectors` (plain JSON values) identifies the items' rows in the store and the other sources of vectors.
    """
    model = record.recommender
    return digest(
        {
            "data": record.data.version,
            "split": [record.split.fingerprint, record.split.version],
            "metrics": metrics.versions(metrics.RECOMMENDATION),
            "ranking": ranking.VERSION,
            **extractor_inputs(record.extractor),
            "recommender": [model.name, model.version, model.settings, model.lane, model.origin],
            **({"refit": True} if model.refit else {}),
            "vectors": vectors,
            "reference": reference,
            "k": record.k,
            "seed": record.seed,
            "meta": inputs.meta_sha256,
        }
    )


def extractor_inputs(extractor: ExtractorInfo) -> dict[str, Any]:
    """Return the properties of the vectors on which the numbers depend."""
    return {
        "extractor": [extractor.name, extractor.versions, extractor.settings, extractor.fingerprint, extractor.lane],
        "extractor origin": extractor.origin,
        **({"heard": extractor.heard} if extractor.heard else {}),
        "view": [
            extractor.view.key,
            treatments.VERSION if extractor.view.treat or len(extractor.view.layers) > 1 else "",
        ],
    }


@lru_cache(256)
def about_extractor(entry: ExtractorEntry) -> ExtractorInfo:
    """Return a record's description of an entry's vectors, before they are computed; the cells of an entry share it."""
    plugins = [one.plugin for one in entry.components]
    return ExtractorInfo(
        name="+".join(entry.names),
        spec=entry.text,
        lane=entry.lane,
        settings=[asdict(plugin.settings) for plugin in plugins],
        fingerprint=[one.fingerprint for one in entry.components],
        view=View(tuple(one.layer for one in entry.components), entry.treat, _poolings(entry)),
        width=0,
        coverage=0.0,
        table_sha256="",
        license=" + ".join(dict.fromkeys(plugin.license for plugin in plugins if plugin.license)),
        trained_on=tuple(entry.trained_on),
        heard=[_heard(one) for plugin in plugins for one in plugin.heard] or None,
        non_commercial=any(non_commercial(plugin) for plugin in plugins),
        # Records with untrained weights are for trials and speed tests, and excluded from leaderboards.
        untrained=any(plugin.untrained for plugin in plugins),
        synthetic=any(plugin.synthetic for plugin in plugins),
        origin=[one.origin for one in entry.components],
        versions=tuple(plugin.version for plugin in plugins),
    )


def _poolings(entry: ExtractorEntry) -> tuple[str | None, ...] | None:
    found = tuple(one.pooling for one in entry.components)
    return found if any(found) else None


def _heard(one: Heard) -> dict[str, Any]:
    return {"data": one.data, "cutoff": one.cutoff, "signals": list(one.signals), "tracks_sha256": one.sha256}


def non_commercial(plugin: VectorSource) -> bool:
    """Whether a licence forbids commercial use of the vectors' model."""
    return plugin.non_commercial or any(one.non_commercial for one in plugin.weights)


@lru_cache(256)
def _recommender(entry: RecommenderEntry, *, refit: bool) -> RecommenderInfo:
    return RecommenderInfo(
        name=entry.plugin.name,
        spec=entry.text,
        lane=entry.lane,
        settings=asdict(entry.plugin.settings),
        deterministic=entry.plugin.deterministic,
        origin=entry.origin,
        refit=refit,
        version=entry.plugin.version,
    )
