"""Write the page of the metrics in Markdown: ``python -m bench.metrics > docs/metrics.md``."""

from __future__ import annotations

from collections.abc import Mapping

from bench.metrics import BEYOND, METRICS, MIR, Metric

START = """\
# Metrics

This page is generated: `python -m bench.metrics > docs/metrics.md`.

"""


def markdown() -> str:
    """Return the page with both tables: metrics of top-k lists, then of MIR tasks."""
    lists = _table("metric of top-k lists", {f"{name}@k": each for name, each in {**METRICS, **BEYOND}.items()})
    return f"{START}{lists}\n{_table('metric of MIR tasks', MIR)}"


def _table(title: str, metrics: Mapping[str, Metric]) -> str:
    rows = [f"| {title} | in records | meaning | values |", "|---|---|---|---|"]
    rows += [f"| {each.heading} | `{name}` | {each.glossary} | {each.values} |" for name, each in metrics.items()]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
