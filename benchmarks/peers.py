"""Every row in which bench is compared with a peer: CPU seconds of equal work on one thread, and their ratio.

Each row runs in a process of its own, limited to one thread; its sides take turns, and the median of several rounds
counts. Results are compared: a row whose sides disagree fails. A row whose peer is missing names what to install.

    pip install 'music-embedding-bench[peers]'          # RecBole has an environment of its own: `bench doctor`
    python benchmarks/peers.py                          # the rows that together take 15 minutes on two cores
    python benchmarks/peers.py --rows itemknn,bpr       # some of them
    python benchmarks/peers.py --rows all --rounds 5
    python benchmarks/peers.py --list
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import machine
from measured_process import ONE
from rows import files, lists, probes, recommenders
from rows.row import Row, measure

ROWS: dict[str, Row] = {row.name: row for room in (probes, recommenders, lists, files) for row in room.ROWS}
PACKAGES = ("scikit-learn", "scipy", "implicit", "lenskit", "librosa", "numba", "pandas", "safetensors")
THREADS = {**ONE, "NUMBA_NUM_THREADS": "1", "LK_NUM_THREADS": "1", "LK_NUM_BACKEND_THREADS": "1"}
HEAD = ("row", "bench", "best peer", "", "ratio", "goal", "met", "results")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", help="names with commas between them, or all")
    parser.add_argument("--rounds", type=int, help="turns of each side (default: by row)")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes: a trial whose figures mean nothing")
    parser.add_argument("--folder", type=Path, help="measure in this folder (default: that of temporary files)")
    parser.add_argument("--list", action="store_true", help="name the rows and end")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
            row = ROWS[arguments.child]
            print(json.dumps(measure(row, Path(scratch), tiny=arguments.tiny, rounds=arguments.rounds)))
        return
    if arguments.list:
        for row in ROWS.values():
            print(f"{row.name:18}{row.seconds:5} s   {row.absent() or row.equal}")
        return
    print(machine(*PACKAGES))
    table(chosen(arguments.rows), arguments)


def chosen(names: str | None) -> list[Row]:
    if names is None:
        return [row for row in ROWS.values() if row.default]
    wanted = list(ROWS) if names == "all" else names.split(",")
    if unknown := [name for name in wanted if name not in ROWS]:
        sys.exit(f"there is no row {', '.join(unknown)}; the rows are {', '.join(ROWS)}")
    return [ROWS[name] for name in wanted]


def table(rows: list[Row], arguments: argparse.Namespace) -> None:
    """Print the table in Markdown, a line as soon as its row is measured, and what equal work means below it."""
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    notes, failed = [], []
    for row in rows:
        if absent := row.absent():
            notes.append(f"{row.name}: left out. {absent}")
            continue
        found = child(row, arguments)
        if found is None:
            failed.append(row.name)
            continue
        print(line(row, found), flush=True)
        sizes = ", ".join(f"{name} {value:,}" for name, value in (row.tiny if arguments.tiny else row.sizes).items())
        others = "".join(f"; {name} {value:.3g} {row.unit}" for name, value in found["spent"].items())
        notes.append(f"{row.name}: {row.equal} ({sizes}){others}.")
    print("\nOne thread, median of the rounds; ratio: bench / best peer.\n", *(f"* {note}" for note in notes), sep="\n")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def child(row: Row, arguments: argparse.Namespace) -> dict[str, Any] | None:
    """Measure a row in a process of its own."""
    words = [sys.executable, __file__, "--child", row.name]
    words += ["--tiny"] if arguments.tiny else []
    words += ["--rounds", str(arguments.rounds)] if arguments.rounds else []
    words += ["--folder", str(arguments.folder)] if arguments.folder else []
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, env={**os.environ, **THREADS})
    if done.returncode:
        return None
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def line(row: Row, found: dict[str, Any]) -> str:
    spent = dict(found["spent"])
    bench = spent.pop("bench")
    best = min(spent, key=lambda name: spent[name]) if spent else None
    ratio = bench / max(spent[best], 1e-9) if best else None
    met = (bench if row.limit else ratio or 0.0) <= row.goal and "worse" not in found["check"]
    cells = [
        row.name,
        f"{bench:.3g} {row.unit}",
        f"{spent[best]:.3g} {row.unit}" if best else "",
        best or "",
        f"{ratio:.2f}" if ratio else "",
        f"{row.goal:.2g} {row.unit}" if row.limit else f"{row.goal:.2f}",
        "yes" if met else "**no**",
        found["check"],
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
