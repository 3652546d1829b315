"""Records of probe cells, without and with numbers, and the hash of their inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.files.atomic import digest
from bench.records import PROBED, Cost, DataInfo, Environment, RecommenderInfo, Record, SplitInfo
from bench.registry import lane_of
from bench.run.heard import heard_share
from bench.run.probe.evaluate import Scored
from bench.run.probe.request import ProbeCell, ProbeRequest
from bench.run.probe.tasks import LoadedTask
from bench.run.recommend.record import about_extractor, extractor_inputs


def blank(request: ProbeRequest, task: LoadedTask, cell: ProbeCell, leaks: Sequence[str]) -> Record:
    """Return the record of a cell without numbers; `leaks` describes known leaks that were allowed."""
    heard = heard_share(cell.extractor, task.collection, task.tested)
    extractor = replace(about_extractor(cell.extractor), heard_share=heard)
    official = task.data.expected
    lane = lane_of(task.task)
    return Record(
        kind="probe",
        asked=request.of_cell(cell).as_json(),
        inputs_sha256="",
        data=DataInfo(
            name=task.name,
            collection=task.collection,
            builtin=task.builtin,
            complete=not task.incomplete,
            license=task.dataset.license if task.dataset else task.task.license,
            fingerprint={"task": task.fingerprint},
            task=task.about,
            version=task.dataset.version if task.dataset else None,
        ),
        split=SplitInfo(
            name="official" if official else "folds" if "fold" in task.data.items.columns else "made",
            settings=asdict(task.task.settings) | {"train_fraction": request.train_fraction},
            fingerprint=digest([task.fingerprint, request.train_fraction]),
            counts=task.counts,
        ),
        extractor=extractor,
        recommender=RecommenderInfo(
            name=cell.probe.name,
            spec=cell.probe.text,
            lane=lane,
            settings=asdict(cell.probe.settings),
            version=cell.probe.version,
        ),
        lane=extractor.lane if extractor.lane == lane else "mixed",
        seed=cell.seed,
        k=(),
        control=cell.control,
        warnings=(*task.notes, *leaks, *cell.extractor.caveats(builtin=task.builtin)),
    )


def finished(
    record: Record,
    found: Scored,
    task: LoadedTask,
    vectors: NDArray[np.float32],
    present: NDArray[np.bool_],
    cost: Cost,
    environment: Environment,
) -> Record:
    """Return a record with the numbers of its cell; `cost` is the cost of embedding."""
    used = {"train": found.trained, "test": found.tested}
    return replace(
        record,
        split=replace(record.split, counts={**record.split.counts, "used": used}),
        extractor=replace(
            record.extractor,
            width=int(vectors[0].size),
            coverage=float(present.mean()),
            table_sha256=digest([task.ids, _sha256(vectors), _sha256(present)]),
        ),
        recommender=replace(record.recommender, chosen=found.chosen, searched=found.searched),
        metrics={PROBED: {_printable(name): value for name, value in found.metrics.items()}},
        intervals={PROBED: found.intervals},
        chance={PROBED: found.chance},
        users={PROBED: found.tested},
        candidates={PROBED: len(task.data.names)},
        validation={"valid": found.validation},
        cost=replace(cost, probe_s=found.seconds),
        environment=environment,
        warnings=(*record.warnings, *found.warnings),
    )


def inputs_hash(record: Record, vectors: Any) -> str:
    """Hash everything on which the numbers of a cell depend; with an equal hash, they need no recomputation.

    `vectors` (plain JSON values) identifies the items' rows in the store and the other sources of vectors.
    """
    assert record.data.task
    return digest(
        {
            "data": record.data.version,
            "split": record.split.fingerprint,
            "task": asdict(record.data.task),
            **extractor_inputs(record.extractor),
            "probe": asdict(record.recommender),
            "vectors": vectors,
            "seed": record.seed,
        }
    )


def _printable(name: str) -> str:
    """Escape control characters in the name of a metric, which may come from a label in a user's file."""
    return "".join(character if character.isprintable() else " " for character in name)


def _sha256(array: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
