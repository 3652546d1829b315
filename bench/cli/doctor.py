"""Describe this machine and installation, for bug reports."""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import shutil
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

from bench import __version__, devices, memory, records
from bench.errors import BenchError
from bench.files.atomic import cache_root
from bench.registry import KINDS, catalog, missing_libraries


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--cache", metavar="DIR", help="the cache folder to check")


def run(args: argparse.Namespace) -> int:
    """Print the report; return 1 if there is a problem."""
    problems: list[str] = []
    about = records.environment("cpu")
    print(f"bench {__version__}, Python {about.python}, {about.platform}")
    print(f"cpu: {about.cpu}, {about.cores} cores; memory: {_memory()}")
    print(f"gpu: {_gpu()}")
    for name in records.PACKAGES[1:]:
        found = about.packages.get(name)
        print(f"{name}: {found or 'MISSING'}")
        if not found:
            problems.append(f"{name} is missing: pip install music-embedding-bench")
    print(f"decoders: {_decoders()}")
    problems += _cache(cache_root(args.cache))
    for kind in KINDS:
        for entry in catalog(kind):
            state = "ok" if entry.plugin else f"BROKEN: {entry.error}"
            if entry.error:
                problems.append(f"the {kind[:-1]} {entry.origin.name} of {entry.origin.package} cannot be used")
            if entry.plugin and (lacks := missing_libraries(entry.plugin)):
                state = f"needs {', '.join(lacks)}"
            print(f"{kind[:-1]} {entry.origin.name}: {entry.origin.package} {entry.origin.version}, {state}")
    problems += _shadows()
    for problem in problems:
        print(f"PROBLEM: {problem}")
    print("no problem found" if not problems else f"{len(problems)} problems")
    return 1 if problems else 0


def _memory() -> str:
    total = memory.total()
    return "unknown" if math.isinf(total) else f"{total / 2**30:.1f} GiB"


def _gpu() -> str:
    """Describe the GPUs with nvidia-smi, because importing torch takes seconds."""
    if not shutil.which("nvidia-smi"):
        return "none (no nvidia-smi); Apple and AMD devices are not detected"
    try:
        return "; ".join(devices.nvidia_smi("name", "memory.total", "driver_version")) or "none"
    except BenchError as error:
        return str(error)


def _decoders() -> str:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        return f"soundfile fails: {error}"
    formats = [f for f in ("WAV", "FLAC", "OGG", "MP3", "AIFF") if f in soundfile.available_formats()]
    extra = "torchcodec (m4a and the rest)" if importlib.util.find_spec("torchcodec") else "no torchcodec (no m4a)"
    return f"{soundfile.__libsndfile_version__}: {', '.join(formats)}; {extra}; ffmpeg {shutil.which('ffmpeg') or 'no'}"


def _cache(folder: Path) -> list[str]:
    """Print the state of the cache folder, and return its problems."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free / 1e9
    print(f"cache: {folder} ({'exists' if folder.exists() else 'does not exist yet'}), {free:.1f} GB free")
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        return [f"{existing} cannot be written: choose another folder with --cache or $BENCH_CACHE"]
    return [f"only {free:.1f} GB free at {existing}"] if free < 1 else []


def _shadows() -> list[str]:
    """Find other packages with the same import names, and a ``bench`` command of another environment."""
    out = []
    owners = packages_distributions()
    for name in ("bench", "bench_extractors", "bench_recommenders"):
        others = sorted({o for o in owners.get(name, []) if o != "music-embedding-bench"})
        if others:
            out.append(f"the import name {name!r} is also claimed by {', '.join(others)}: use a virtual environment")
    script = shutil.which("bench")
    if script and Path(script).resolve().parent != Path(sys.executable).parent.resolve():
        out.append(f"the command `bench` is {script}, of another environment: use python -m bench instead")
    return out
