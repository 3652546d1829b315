"""What a record says of a cell before its numbers, and the hash of everything they depend on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from bench import __version__
from bench.data.catalogues import same_catalogue
from bench.files import digest
from bench.registry import create, lane_of, origin
from bench.results import Record
from bench.run.inputs import Material
from bench.run.recommend.request import Cell, Request, of_cell
from bench.specs import Spec, parse, parse_sum


def blank(request: Request, material: Material, k: Sequence[int], cell: Cell) -> Record:
    """Return the record of a cell without numbers."""
    dataset, split = material.opened.dataset, material.split
    extractor, extractor_lane = about_extractor(cell.extractor, request.plugin, treat_of(request, cell))
    recommender = _recommender(request, cell)
    warnings = list(material.leaks.warnings)
    if known := [name for name in extractor["trained_on"] if same_catalogue(name, material.name)]:
        warnings.append(
            f"{extractor['name']} was trained on {', '.join(known)}: it knows the tracks of {material.name}"
        )
    return Record(
        kind="run",
        asked=of_cell(request, cell).as_json(),
        inputs_sha256="",
        data={
            "name": material.name,
            "builtin": dataset.builtin,
            "license": dataset.license,
            "fingerprint": dict(material.fingerprint),
        },
        split={
            "name": material.split_name,
            "settings": asdict(split.settings),
            "fingerprint": split.fingerprint,
            "counts": dict(split.counts),
            "overlap": dict(material.leaks.numbers),
            **({"published": material.published} if material.published else {}),
        },
        extractor=extractor,
        recommender=recommender,
        lane=extractor_lane if extractor_lane == recommender["lane"] else "mixed",
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


def inputs(record: Record, material: Material, reference: str | None, vectors: Any) -> str:
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
            "meta": {name: digest(list(values)) for name, values in material.meta.items()},
        }
    )


def treat_of(request: Request, cell: Cell) -> str:
    """Return the treatment of a cell's table: none where there are no vectors to treat."""
    return "" if cell.extractor == "none" else request.treat


def about_extractor(text: str, make: Callable[[Spec], Any], treat: str) -> tuple[dict[str, Any], str]:
    """Return what a record says of the vectors of a list entry (``A`` or ``A+B``), and its lane."""
    parts = [(spec, make(spec)) for spec in parse_sum(text)]
    plugins = [plugin for _, plugin in parts]
    lanes = {lane_of(plugin) for plugin in plugins}
    lane = lanes.pop() if len(lanes) == 1 else "mixed"
    about = {
        "name": "+".join(spec.name for spec, _ in parts),
        "spec": text,
        "lane": lane,
        "settings": [asdict(plugin.settings) for plugin in plugins],
        "fingerprint": [plugin.fingerprint() for plugin in plugins],
        "view": {"layers": [spec.settings.get("layer") for spec, _ in parts], "treat": treat},
        "license": " + ".join(dict.fromkeys(plugin.license for plugin in plugins if plugin.license)),
        "trained_on": sorted({name for plugin in plugins for name in plugin.trained_on}),
        "non_commercial": any(_non_commercial(plugin) for plugin in plugins),
        # Untrained weights make a record for trials and speed; it stays off leaderboards.
        "untrained": any(getattr(plugin.settings, "weights", None) == "random" for plugin in plugins),
        "origin": [asdict(origin("extractors", spec.name)) for spec, _ in parts],
    }
    return about, lane


def _non_commercial(plugin: Any) -> bool:
    """Whether a licence forbids commercial use of the vectors' model."""
    files = getattr(plugin, "weights", ())
    return bool(getattr(plugin, "non_commercial", False)) or any(one.non_commercial for one in files)


def _recommender(request: Request, cell: Cell) -> dict[str, Any]:
    spec = parse(cell.model)
    model = create("recommenders", spec, lane=request.lane)
    return {
        "name": model.name,
        "spec": cell.model,
        "lane": lane_of(model),
        "settings": asdict(model.settings),
        "deterministic": model.deterministic,
        "origin": asdict(origin("recommenders", spec.name)),
        **({"refit": True} if request.refit else {}),
    }
