"""What a record says of a cell before its numbers, and the hash of everything they depend on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bench import __version__
from bench.data.catalogues import same_catalogue
from bench.entries import ExtractorEntry, RecommenderEntry
from bench.files import digest
from bench.protocols import VectorSource
from bench.results import Record
from bench.run.inputs import Inputs
from bench.run.recommend.request import Cell, RecommendRequest


def blank(request: RecommendRequest, inputs: Inputs, k: Sequence[int], cell: Cell) -> Record:
    """Return the record of a cell without numbers."""
    dataset, split = inputs.opened.dataset, inputs.split
    extractor, recommender = about_extractor(cell.extractor), _recommender(request, cell.model)
    warnings = list(inputs.leaks.warnings)
    if known := [name for name in extractor["trained_on"] if same_catalogue(name, inputs.name)]:
        warnings.append(f"{extractor['name']} was trained on {', '.join(known)}: it knows the tracks of {inputs.name}")
    return Record(
        kind="run",
        asked=request.of_cell(cell).as_json(),
        inputs_sha256="",
        data={
            "name": inputs.name,
            "builtin": dataset.builtin,
            "license": dataset.license,
            "fingerprint": dict(inputs.fingerprint),
        },
        split={
            "name": inputs.split_name,
            "settings": asdict(split.settings),
            "fingerprint": split.fingerprint,
            "counts": dict(split.counts),
            "overlap": dict(inputs.leaks.numbers),
            **({"published": inputs.published} if inputs.published else {}),
        },
        extractor=extractor,
        recommender=recommender,
        lane=extractor["lane"] if extractor["lane"] == recommender["lane"] else "mixed",
        seed=cell.seed,
        k=list(k),
        control=cell.control,
        metrics={},
        intervals={},
        chance={},
        users={},
        candidates={},
        warnings=warnings,
    )


def inputs_hash(record: Record, inputs: Inputs, reference: str | None, vectors: Any) -> str:
    """Hash everything the numbers of a cell depend on; equal hash, nothing to recompute.

    `vectors` (plain JSON values) says which rows of the store the items have, and identifies the other
    sources of vectors.
    """
    return digest(
        {
            "bench": __version__,
            "split": record.split["fingerprint"],
            "extractor": [record.extractor[key] for key in ("name", "settings", "fingerprint", "view", "lane")],
            "extractor origin": record.extractor["origin"],
            "recommender": [record.recommender[key] for key in ("name", "settings", "lane", "origin")],
            **({"refit": True} if record.recommender.get("refit") else {}),
            "vectors": vectors,
            "reference": reference,
            "k": record.k,
            "seed": record.seed,
            "meta": {name: digest(list(values)) for name, values in inputs.meta.items()},
        }
    )


def about_extractor(entry: ExtractorEntry) -> dict[str, Any]:
    """Return what a record says of the vectors of an entry."""
    plugins = [one.plugin for one in entry.components]
    return {
        "name": "+".join(entry.names),
        "spec": entry.text,
        "lane": entry.lane,
        "settings": [asdict(plugin.settings) for plugin in plugins],
        "fingerprint": [one.fingerprint for one in entry.components],
        "view": {"layers": [one.layer for one in entry.components], "treat": entry.treat},
        "license": " + ".join(dict.fromkeys(plugin.license for plugin in plugins if plugin.license)),
        "trained_on": entry.trained_on,
        "non_commercial": any(_non_commercial(plugin) for plugin in plugins),
        # Untrained weights make a record for trials and speed; it stays off leaderboards.
        "untrained": any(plugin.untrained for plugin in plugins),
        "origin": [one.origin for one in entry.components],
    }


def _non_commercial(plugin: VectorSource) -> bool:
    """Whether a licence forbids commercial use of the vectors' model."""
    return plugin.non_commercial or any(one.non_commercial for one in plugin.weights)


def _recommender(request: RecommendRequest, entry: RecommenderEntry) -> dict[str, Any]:
    return {
        "name": entry.plugin.name,
        "spec": entry.text,
        "lane": entry.lane,
        "settings": asdict(entry.plugin.settings),
        "deterministic": entry.plugin.deterministic,
        "origin": entry.origin,
        **({"refit": True} if request.refit else {}),
    }
