"""What a record says of a probed cell before its numbers, and the hash of everything they depend on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bench import __version__
from bench.files import digest
from bench.probes import settings_of
from bench.registry import lane_of
from bench.results import Record
from bench.run.probe.request import ProbeCell, ProbeRequest, of_cell
from bench.run.probe.tasks import Asked
from bench.run.recommend.record import about_extractor
from bench.specs import parse

COSINE, WMF = "cosine", "wmf"
"""What stands in a probe's place where vectors answer by themselves, and where the truth does."""


def blank(request: ProbeRequest, asked: Asked, cell: ProbeCell, leaks: list[str]) -> Record:
    """Return the record of a cell without numbers; `leaks` are known and allowed."""
    extractor, extractor_lane = about_extractor(cell.extractor, request.plugin, request.treat)
    counts = asked.counts()
    official = asked.data.expected
    lane = lane_of(asked.task)
    return Record(
        kind="probe",
        asked=of_cell(request, cell).as_json(),
        inputs_sha256="",
        data={
            "name": asked.name,
            "collection": asked.collection,
            "builtin": asked.builtin,
            "complete": not asked.incomplete,
            "license": asked.dataset.license if asked.dataset else asked.task.license,
            "fingerprint": {"task": asked.fingerprint},
            "task": asked.about,
        },
        split={
            "name": "official" if official else "folds" if "fold" in asked.data.items.columns else "made",
            "settings": asdict(asked.task.settings) | {"train_fraction": request.train_fraction},
            "fingerprint": digest([asked.fingerprint, request.train_fraction]),
            "counts": counts,
        },
        extractor=extractor,
        recommender={
            "name": parse(cell.probe).name,
            "spec": cell.probe,
            "lane": lane,
            "settings": probe_settings(cell.probe),
        },
        lane=extractor_lane if extractor_lane == lane else "mixed",
        seed=cell.seed,
        k=[],
        control=cell.control,
        metrics={},
        intervals={},
        chance={},
        users={},
        candidates={},
        warnings=[*asked.notes, *leaks],
    )


def probe_settings(spec: str) -> dict[str, Any]:
    """Return the settings of a probe as asked for, its defaults among them.

    Raises
    ------
    BenchError
        For an unknown probe ("did you mean") or setting.

    """
    if spec in (COSINE, WMF):
        return {}
    return asdict(settings_of(spec)[1])


def inputs(record: Record, vectors: Any) -> str:
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
