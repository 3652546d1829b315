"""Work measured in a process of its own, on one thread: CPU seconds, wall seconds, peak memory.

A script hands itself to `run` with a hidden option ``--child WHO FILE``, and calls `report` there.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

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
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu, before = used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20
    began = time.perf_counter()
    row = dict(work())
    wall = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    row |= {"cpu": used.ru_utime + used.ru_stime - cpu, "wall": wall, "before": before}
    print(json.dumps(row | {"peak": used.ru_maxrss / 2**20}))
