"""List the installed plugins, built-in and third-party.

bench ls
bench ls extractors
"""

from __future__ import annotations

import argparse
from typing import Any

from bench.protocols import Dataset, Plugin, Task
from bench.registry import KINDS, Entry, Kind, catalog, install_line, missing_libraries
from bench.terminal import console, table


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("kind", nargs="?", choices=KINDS, help="(default: all)")
    parser.add_argument("--cache", metavar="DIR", help="where to look for weights ($BENCH_CACHE)")


def run(args: argparse.Namespace) -> int:
    """Print one table per kind of plugin, and a table of the extractors' models."""
    from bench.cli.extractor_table import models

    out = console()
    for kind in (args.kind,) if args.kind else KINDS:
        entries = catalog(kind)
        out.print(_table(kind, entries))
        if kind == "extractors":
            out.print(models(entries))
    return 0


def _table(kind: Kind, entries: list[Entry]) -> Any:
    lanes = kind in ("extractors", "recommenders")
    rows = table(kind, "name", "what", "lanes" if lanes else "", "package", "ready")
    from rich.markup import escape

    for entry in entries:
        package = f"{entry.origin.package} {entry.origin.version}"
        if entry.plugin is None:
            rows.add_row(entry.origin.name, "", "", package, f"[red]broken:[/red] {escape(entry.error or '')}")
            continue
        missing = missing_libraries(entry.plugin)
        ready = f"needs {', '.join(missing)}: {escape(install_line(entry.plugin))}" if missing else "yes"
        has = ", ".join(entry.plugin.lanes) if lanes else ""
        rows.add_row(entry.origin.name, escape(describe(entry.plugin)), has, package, ready)
    if not entries:
        rows.add_row("none installed")
    return rows


def describe(plugin: type[Plugin]) -> str:
    """Return the first line of a plugin's docstring, with source, licence and layout for a data set."""
    first = (plugin.__doc__ or "").strip().partition("\n")[0].replace("``", "")
    if not issubclass(plugin, Dataset | Task):
        return first
    known = {"From": plugin.source, "Licence": plugin.license, "Folder": plugin.layout}
    return " ".join([first, *(f"{what}: {text}." for what, text in known.items() if text)])
