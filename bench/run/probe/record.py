"""What a record says of a probed cell before its numbers, and the hash of everything they depend on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bench import __version__
from bench.files import digest
from bench.registry import lane_of
from bench.results import Record
from bench.run.probe.request import ProbeCell, ProbeRequest
from bench.run.probe.tasks import LoadedTask
from bench.run.recommend.record import about_extractor


def blank(request: ProbeRequest, task: LoadedTask, cell: ProbeCell, leaks: Sequence[str]) -> Record:
    """Return the record of a cell without numbers; `leaks` are known and allowed."""
    extractor = about_extractor(cell.extractor)
    counts = task.counts()
    official = task.data.expected
    lane = lane_of(task.task)
    return Record(
        kind="probe",
        asked=request.of_cell(cell).as_json(),
        inputs_sha256="",
        data={
            "name": task.name,
            "collection": task.collection,
            "builtin": task.builtin,
            "complete": not task.incomplete,
            "license": task.dataset.license if task.dataset else task.task.license,
            "fingerprint": {"task": task.fingerprint},
            "task": task.about,
        },
        split={
            "name": "official" if official else "folds" if "fold" in task.data.items.columns else "made",
            "settings": asdict(task.task.settings) | {"train_fraction": request.train_fraction},
            "fingerprint": digest([task.fingerprint, request.train_fraction]),
            "counts": counts,
        },
        extractor=extractor,
        recommender={
            "name": cell.probe.name,
            "spec": cell.probe.text,
            "lane": lane,
            "settings": asdict(cell.probe.settings),
        },
        lane=extractor["lane"] if extractor["lane"] == lane else "mixed",
        seed=cell.seed,
        k=[],
        control=cell.control,
        metrics={},
        intervals={},
        chance={},
        users={},
        candidates={},
        warnings=[*task.notes, *leaks],
    )


def inputs_hash(record: Record, vectors: Any) -> str:
    """Hash everything the numbers of a cell depend on; equal hash, nothing to recompute.

    `vectors` (plain JSON values) says which rows of the store the items have, and identifies the other
    sources of vectors.
    """
    return digest(
        {
            "bench": __version__,
            "split": record.split["fingerprint"],
            "task": record.data["task"],
            "extractor": [record.extractor[key] for key in ("name", "settings", "fingerprint", "view", "lane")],
            "extractor origin": record.extractor["origin"],
            "probe": record.recommender,
            "vectors": vectors,
            "seed": record.seed,
        }
    )
