"""What a benchmark prints first: the machine and the versions it ran with."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version

from bench import records


def machine(*packages: str) -> str:
    """Return lines that name processor, load, Python, revision and packages (`packages` beside the usual ones)."""
    about = records.environment("cpu")
    found = dict(about.packages)
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    named = ", ".join(f"{name} {number}" for name, number in found.items())
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    revision = about.revision or "unknown"
    changed = " and changes" if revision.endswith("+") else ""
    return (
        f"{about.cpu}, {about.cores} cores, load {load:.1f}; {about.platform}\n"
        f"Python {about.python}, revision {revision[:12]}{changed}; {named}\n"
    )
