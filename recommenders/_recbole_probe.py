"""Run by path in any interpreter: says, as JSON, what RecBole it has and what it knows of one model.

Only the standard library, and nothing of RecBole is imported: its files are read as text.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # This folder holds modules called random and recbole: they must hide nobody else's.
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != os.path.dirname(os.path.abspath(__file__))]

import importlib.metadata
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

MODULES = (
    "numpy",
    "scipy",
    "pandas",
    "torch",
    "recbole",
    "colorlog",
    "colorama",
    "sklearn",
    "tabulate",
    "tensorboard",
    "texttable",
    "tqdm",
    "yaml",
)
"""What RecBole 1.2.1 imports when neither ``quick_start`` nor ray is."""
KINDS = {"general_recommender": "general", "sequential_recommender": "sequential"}


def probe(model: str) -> dict[str, Any]:
    """Return modules that are missing, versions, RecBole's models by name, and defaults of `model`'s own parameters."""
    missing = [name for name in MODULES if importlib.util.find_spec(name) is None]
    versions = {name: importlib.metadata.version(name) for name in ("recbole", "pandas") if name not in missing}
    found: dict[str, Any] = {"missing": missing, "versions": versions, "kinds": {}, "parameters": {}}
    spec = importlib.util.find_spec("recbole")
    if spec is None or not spec.submodule_search_locations:
        return found
    root = Path(spec.submodule_search_locations[0])
    for path in sorted(root.glob("model/*/*.py")):
        for name in re.findall(r"^class (\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            if name.lower() == path.stem:
                found["kinds"][name] = KINDS.get(path.parent.name, path.parent.name.removesuffix("_recommender"))
    defaults = root / "properties" / "model" / f"{model}.yaml"
    text = defaults.read_text(encoding="utf-8") if defaults.exists() else ""
    pairs = re.findall(r"^(\w+):[ \t]*([^#\n]*)", text, re.MULTILINE)
    found["parameters"] = {name: value.strip(" \t'\"") for name, value in pairs}
    return found


if __name__ == "__main__":
    print(json.dumps(probe(sys.argv[1])))
