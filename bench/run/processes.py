"""One process for each device: the same command over as many parts of the catalogue."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from bench.errors import BenchError


def run_each(verb: str, words: Sequence[str], devices: Sequence[str], shard: tuple[int, int]) -> None:
    """Run ``bench VERB WORDS`` once a device, each over its own part of the `shard`-th (i, n) of n parts.

    A process that fails loses nothing: what it left undone is done by the caller, or by the next run. When this
    process is interrupted, its workers are, too.

    Raises
    ------
    BenchError
        When a device is named twice, or every worker failed.

    """
    names = [name.strip() for name in devices if name.strip()]
    if not names:
        raise BenchError("--devices names none: give some, such as cuda:0,cuda:1.")
    if len(set(names)) < len(names) and set(names) != {"cpu"}:
        raise BenchError(f"--devices {','.join(names)}: a device is named twice.")
    common = _without(words, ("--devices", "--device", "--shard"))
    part, parts = shard
    running: list[subprocess.Popen[bytes]] = []
    try:
        for at, name in enumerate(names):
            own = f"{part + parts * at}/{parts * len(names)}"
            more = ["--device", name, "--shard", own]
            running.append(subprocess.Popen([sys.executable, "-P", "-m", "bench", verb, *common, *more]))
        codes = [process.wait() for process in running]
    except BaseException:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
        raise
    if failed := [name for name, code in zip(names, codes, strict=True) if code not in (0, 2)]:
        line = f"the worker{'s' if len(failed) > 1 else ''} of {', '.join(failed)} failed; the lines above say why."
        if len(failed) == len(names):
            raise BenchError(line)
        print(f"{line} What is left is done here.", file=sys.stderr)


def _without(words: Sequence[str], options: Sequence[str]) -> list[str]:
    """Leave out options with their values, ``--option value`` and ``--option=value``."""
    kept, skip = [], False
    for word in words:
        if skip or word.partition("=")[0] in options:
            skip = not skip and word in options
            continue
        kept.append(word)
    return kept
