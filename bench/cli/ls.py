"""List the installed plugins, built-in and third-party.

bench ls                          the names, on one screen
bench ls extractors               a table of one kind
bench ls extractors --free        those whose licences allow commercial use
bench ls extractors NAME          all about one: its traps, settings, layers and weights
"""

from __future__ import annotations

import argparse
from typing import Any

from bench.errors import BenchError
from bench.protocols import Dataset, Plugin, Task
from bench.registry import KINDS, Entry, Kind, catalog, get, install_line, missing_libraries, names, origin
from bench.terminal import console, row, say, table

OWN = "music-embedding-bench"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("kind", nargs="?", choices=KINDS, help="(default: the names of all)")
    parser.add_argument("name", nargs="?", metavar="NAME", help="of one plugin, to see all about it")
    parser.add_argument("--free", action="store_true", help="of extractors: those that may be used commercially")
    parser.add_argument("--cache", metavar="DIR", help="where to look for weights ($BENCH_CACHE)")


def run(args: argparse.Namespace) -> int:
    """Print the names of all plugins, or a table of one kind (two of extractors), or the details of one plugin.

    Raises
    ------
    BenchError
        No plugin has this name, or `free` is asked of other plugins than extractors.

    """
    from bench.cli.extractor_table import COLUMNS, details, free, models, not_free

    if args.name:
        say(details(args.name, get(args.kind, args.name)))
        return 0
    if args.free and args.kind != "extractors":
        raise BenchError("--free is for extractors: bench ls extractors --free")
    out = console(COLUMNS)
    if args.kind is None:
        out.print(_names())
        return 0
    entries = catalog(args.kind)
    out.print(_table(args.kind, free(entries) if args.free else entries))
    if args.kind == "extractors":
        out.print(models(free(entries) if args.free else entries))
    if args.free:
        say(f"\n{not_free(entries)}")
    return 0


def _names() -> Any:
    """Return a table of the names of each kind, those from other packages with the package; it imports no plugin."""
    rows = table("", "kind", "", "names")
    rows.columns[1].justify = "right"
    for kind in KINDS:
        known = names(kind)
        row(rows, kind, len(known), ", ".join(_from(kind, name) for name in known))
    rows.caption = (
        "bench ls KIND: a table. bench ls KIND NAME: settings, weights and traps. bench new: one of your own."
    )
    rows.caption_justify = "left"
    return rows


def _from(kind: Kind, name: str) -> str:
    try:
        package = origin(kind, name).package
    except BenchError:  # two packages claim the name
        return f"{name} (in conflict: bench doctor)"
    return name if package == OWN else f"{name} ({package})"


def _table(kind: Kind, entries: list[Entry]) -> Any:
    lanes = kind in ("extractors", "recommenders")
    rows = table(kind, "name", "what", *(["lanes"] if lanes else []), "package", "ready")
    rows.columns[0].no_wrap = True
    from rich.markup import escape

    for entry in entries:
        where = entry.origin
        package = "built in" if where.package == OWN else f"{where.package} {where.version}"
        if entry.plugin is None:
            cells = [""] * (1 + lanes)
            rows.add_row(where.name, *cells, package, f"[red]broken:[/red] {escape(entry.error or '')}")
            continue
        missing = missing_libraries(entry.plugin)
        ready = f"needs {', '.join(missing)}: {escape(command := install_line(entry.plugin))}" if missing else "yes"
        if missing:  # a command can be copied
            rows.columns[-1].width = max(rows.columns[-1].width or 0, *map(len, command.split()))
        has = ["\n".join(entry.plugin.lanes)] if lanes else []
        rows.add_row(where.name, escape(describe(entry.plugin)), *has, package, ready)
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
