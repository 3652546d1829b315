"""Find the hardware, versions and revision for a record, without importing heavy packages."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench import devices
from bench.machine import cores
from bench.records.parts import Environment

PACKAGES = ("music-embedding-bench", "numpy", "polars", "pyarrow", "soundfile", "soxr", "torch")


def environment(device: str) -> Environment:
    """Return hardware, versions and the code's revision; torch is imported only for a GPU."""
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        cpu=_cpu(),
        cores=cores(),
        device=device,
        packages={name: found for name in PACKAGES if (found := _version(name))},
        revision=_revision(),
        gpu=devices.about(device) if device != "cpu" else None,
        command=" ".join(sys.argv[1:]) if Path(sys.argv[0]).name.startswith(("bench", "__main__")) else None,
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _revision() -> str | None:
    """Return the Git revision of the code, with ``+`` for uncommitted changes; None outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "HEAD")
        return head + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
