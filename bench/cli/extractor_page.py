"""Write the page of this project's extractors in Markdown: ``python -m bench.cli.extractor_page > docs/extractors.md``.

Run it in the root of the repository. Everything comes from the registry but the speeds, which
``benchmarks/extract.py --json benchmarks/speed.json`` measures, and links to ``docs/NAME.md``, where it exists.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.cli.extractor_facts import count, described_use, facts, layers, made, settings, window
from bench.cli.ls import OWN
from bench.extract import stored_widths
from bench.protocols import Extractor
from bench.registry import catalog

SPEED = Path("benchmarks", "speed.json")
START = """\
# Extractors

This page is generated: `python -m bench.cli.extractor_page > docs/extractors.md`. `bench ls extractors NAME` prints the
same facts, `bench ls extractors --free` what may be used commercially; `bench weights pull NAME` fetches weights. Each
network also runs with `weights=random`, untrained. All figures are those of the default settings.

"Clips a CPU second" counts clips of 30 s through the model alone, without decoding, on one thread. The share of sgemm
is the model's rate of operations divided by that of a product of 2048 x 2048 matrices (torch's own or oneDNN's,
whichever is faster), measured in turn with it.
"""


def page(root: Path) -> str:
    """Return the page; `root` is the repository's root, which has the speeds and further pages."""
    speed = json.loads((root / SPEED).read_text(encoding="utf-8"))
    found = {
        entry.origin.name: entry.plugin
        for entry in catalog("extractors")
        if entry.origin.package == OWN and entry.plugin is not None and issubclass(entry.plugin, Extractor)
    }
    head = ("extractor", "Hz", "window", "layers", "parameters", "commercial use", "clips a CPU second")
    lines = [START, _row(head), _row(["---"] * len(head))]
    lines += [_row(_summary(name, cls, speed.get(name))) for name, cls in found.items()]
    for name, cls in found.items():
        lines += ["", *_section(name, cls, speed.get(name), root / "docs" / f"{name}.md")]
    return "\n".join(lines) + "\n"


def _summary(name: str, cls: type[Extractor], measured: Mapping[str, Any] | None) -> list[str]:
    plugin, _ = made(cls)
    return [
        f"[{name}](#{name})",
        f"{getattr(plugin or cls, 'sample_rate', '–'):,}",
        window(plugin.window, plugin.sample_rate) if plugin else "–",
        layers(stored_widths(plugin)) if plugin else "–",
        count((plugin or cls).parameters),
        described_use(cls),
        f"{measured['clips_per_cpu_second']:.3g}" if measured else "–",
    ]


def _section(name: str, cls: type[Extractor], measured: Mapping[str, Any] | None, more: Path) -> Iterator[str]:
    yield f"## {name}\n"
    yield inspect.cleandoc(cls.__doc__ or "").replace("``", "`")
    yield ""
    yield from (f"* **{what}**: {text}" for what, text in facts(cls))
    yield f"* **speed**: {_speed(measured)}"
    if more.exists():
        title = more.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        yield f"* **more**: [{title}]({more.name})"
    if cls.traps:
        yield "\nTraps:\n"
        yield from (f"* {trap}" for trap in cls.traps)
    if known := settings(cls):
        yield "\nSettings, with their defaults:\n"
        yield from (f"* `{one.name}={'...' if one.default is None else one.default}`: {one.meaning}" for one in known)


def _speed(measured: Mapping[str, Any] | None) -> str:
    if measured is None:
        return "not measured"
    share = f", {measured['share_of_sgemm']:.2f} of sgemm" if measured["share_of_sgemm"] else ""
    return (
        f"{measured['clips_per_cpu_second']:.3g} clips a CPU second{share} ({measured['cpu']}, load "
        f"{measured['load']:.0f} on {measured['cores']} cores, torch {measured['torch']}, {measured['date']})"
    )


def _row(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(page(Path.cwd()), end="")
