"""What is known of exported vectors, in a JSON file beside them: ``v.npy.about.json`` beside ``v.npy``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.files.atomic import canonical_json, file_sha256, write_text
from bench.files.hash_index import sha256_once
from bench.protocols import Heard


@dataclass(frozen=True)
class Exported:
    """The properties of the extractor that vectors came from, named as in `bench.protocols.VectorSource`."""

    extractor: str = ""
    license: str = ""
    trained_on: Sequence[str] = ()
    heard: Sequence[Heard] = ()
    non_commercial: bool = False
    untrained: bool = False
    synthetic: bool = False


def write_about(vectors: Path, about: Exported) -> Path:
    """Write the file beside the file `vectors`, and the lists of the tracks that were heard; return its path."""
    told: dict[str, Any] = {**vars(about), "trained_on": list(about.trained_on), "heard": []}
    told["sha256"] = file_sha256(vectors)
    for number, one in enumerate(about.heard, start=1):
        path = vectors.with_name(f"{vectors.name}.heard{number}.parquet")
        Heard.write(path, one.ids, data=one.data, cutoff=one.cutoff, signals=one.signals)
        kept = {"data": one.data, "cutoff": one.cutoff, "signals": list(one.signals)}
        told["heard"].append({**kept, "tracks_sha256": one.sha256, "tracks": path.name})
    path = _beside(vectors)
    write_text(path, canonical_json(told) + "\n")
    return path


def read_about(vectors: Path) -> Exported:
    """Return what the file beside the file `vectors` says; of other files, nothing is known.

    Raises
    ------
    BenchError
        When it cannot be read, `write_about` has not written it, or the vectors were replaced since.

    """
    path = _beside(vectors)
    if not path.exists():
        return Exported()
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told.pop("sha256") != sha256_once(vectors):
            raise ValueError("they have another sha256")
        heard = [
            Heard(
                one["data"],
                one["cutoff"],
                tuple(one["signals"]),
                one["tracks_sha256"],
                path.with_name(Path(one["tracks"]).name),
            )
            for one in told.pop("heard")
        ]
        return Exported(**{**told, "trained_on": tuple(told["trained_on"]), "heard": tuple(heard)})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BenchError(f"{path} does not say what is known of the vectors beside it ({error}): remove it.") from error


def _beside(vectors: Path) -> Path:
    return vectors.with_name(f"{vectors.name}.about.json")
