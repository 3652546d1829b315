"""A script for any interpreter: prints as JSON which RecBole it has, and RecBole's parameters of one model.

It needs the standard library only, and imports nothing of RecBole: it reads RecBole's files as text.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import sys
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
"""What RecBole 1.2.1 imports as long as nobody imports its ``quick_start`` or ray."""
MODEL_KINDS = {"general_recommender": "general", "sequential_recommender": "sequential"}


def inspect_environment(model: str) -> dict[str, Any]:
    """Return missing modules, versions, the kinds of RecBole's models, and the default parameters of `model`."""
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
                found["kinds"][name] = MODEL_KINDS.get(path.parent.name, path.parent.name.removesuffix("_recommender"))
    defaults = root / "properties" / "model" / f"{model}.yaml"
    text = defaults.read_text(encoding="utf-8") if defaults.exists() else ""
    pairs = re.findall(r"^(\w+):[ \t]*([^#\n]*)", text, re.MULTILINE)
    found["parameters"] = {name: value.strip(" \t'\"") for name, value in pairs}
    return found


if __name__ == "__main__":
    print(json.dumps(inspect_environment(sys.argv[1])))
