"""List what is installed: built-in plugins and anybody's.

bench ls
bench ls extractors
"""

from __future__ import annotations

import argparse
from typing import Any

from bench.registry import KINDS, Entry, Kind, catalog, install_line, missing_libraries


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("kind", nargs="?", choices=KINDS, help="(default: all)")


def run(args: argparse.Namespace) -> int:
    """Print one table a kind."""
    from rich.console import Console

    console = Console(width=None if Console().is_terminal else 140)
    for kind in (args.kind,) if args.kind else KINDS:
        console.print(_table(kind, catalog(kind)))
    return 0


def _table(kind: Kind, entries: list[Entry]) -> Any:
    from rich.table import Table

    table = Table(title=kind, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in ("name", "what", "lanes" if kind in ("extractors", "recommenders") else "", "package", "ready"):
        table.add_column(column, overflow="fold")
    for entry in entries:
        package = f"{entry.origin.package} {entry.origin.version}"
        if entry.plugin is None:
            table.add_row(entry.origin.name, "", "", package, f"[red]broken:[/red] {entry.error}")
            continue
        missing = missing_libraries(entry.plugin) if hasattr(entry.plugin, "requires") else []
        ready = f"needs {', '.join(missing)}: {install_line(entry.plugin)}" if missing else "yes"
        lanes = ", ".join(getattr(entry.plugin, "lanes", ())) if kind in ("extractors", "recommenders") else ""
        table.add_row(entry.origin.name, describe(entry.plugin), lanes, package, ready)
    if not entries:
        table.add_row("none installed")
    return table


def describe(plugin: type[Any]) -> str:
    """Return the first line of a plugin's docstring, and where a dataset comes from."""
    first = (plugin.__doc__ or "").strip().partition("\n")[0].replace("``", "")
    extra = [getattr(plugin, name, "") for name in ("source", "layout")]
    return " ".join([first, *(text for text in extra if text)])
