"""Work measured in a process of its own, on one thread: CPU seconds, wall seconds, peak memory.

A script hands itself to `run` with a hidden option ``--child WHO FILE``, and calls `report` there.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from bench import memory

ONE = dict.fromkeys(("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""One thread, whichever library has pools of its own."""


def run(script: str, who: str, what: str, more: Mapping[str, str] = ONE) -> dict[str, Any]:
    """Run ``script --child who what``; return what `report` printed there."""
    command = [sys.executable, script, "--child", who, what]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **more})
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(work: Callable[[], Mapping[str, Any]]) -> None:
    """Do the work and print what it returns with ``cpu`` and ``wall`` (s), ``before`` and ``peak`` (GiB).

    Imports done before the call count in ``cpu`` and ``peak`` of neither half: import in `work` what is
    part of the price.
    """
    cpu, before, began = time.process_time(), peak(), time.perf_counter()
    row = dict(work())
    row |= {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - began, "before": before}
    print(json.dumps(row | {"peak": peak()}))


def peak() -> float:
    """Return the most memory that this process has used, in GiB; NaN on Windows, which does not say."""
    return (memory.peak() or math.nan) / 2**30
