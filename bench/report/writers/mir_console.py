"""The tables that ``bench probe`` prints: one per task, with controls and the majority baseline at the end."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from bench.protocols import PARTS
from bench.records import PROBED, Record, TaskInfo
from bench.report.format import heard, short, without_folders
from bench.report.recorded import span
from bench.terminal import console, row, table, text


def show(records: Sequence[Record]) -> None:
    """Print the macro metrics of every cell: means over seeds, with an interval for the main metric."""
    out = console()
    tasks: dict[str, list[Record]] = {}
    for record in records:
        tasks.setdefault(_about(record).spec, []).append(record)
    for spec, found in tasks.items():
        about, counts = _about(found[0]), found[0].split.counted("used")
        parts = sorted(counts, key=lambda part: (PARTS.index(part) if part in PARTS else len(PARTS), part))
        sizes = ", ".join(f"{counts[part]:,} {part}" for part in parts if counts[part])
        out.print(_task(f"{spec} ({sizes})", found), highlight=False)
        spans = "; intervals: bootstrap over test tracks" if found[0].intervals[PROBED] else ""
        out.print(text(f"{about.convention}{spans}", "dim"), "\n", sep="")


def _task(title: str, records: Sequence[Record]) -> Any:
    primary = _about(records[0]).primary
    others = sorted({name for record in records for name in record.metrics[PROBED] if _macro(name)} - {primary})
    known = any(record.extractor.heard_share is not None for record in records)
    out = table(title, "Extractor", "Probe", primary, "±", *others, *(["Heard"] if known else []), "Seeds")
    for column in out.columns[2:]:
        column.justify = "right"
    rows: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        rows.setdefault((without_folders(record.extractor.spec), record.recommender.spec), []).append(record)
    ordered = sorted(rows.items(), key=lambda row: (row[1][0].control, -_mean(row[1], primary)))
    in_controls = False
    for (extractor, probe), found in ordered:
        if found[0].control and not in_controls:
            out.add_section()
            out.add_row()
            in_controls = True
        values = [short(_mean(found, name)) for name in others]
        values += [heard(found[0].extractor.heard_share)] if known else []
        row(out, extractor, probe, short(_mean(found, primary)), _margin(found, primary), *values, str(len(found)))
    out.add_row()
    chance = records[0].chance[PROBED]
    row(
        out,
        "without hearing",
        "–",
        short(chance.get(primary)),
        "",
        *(short(chance.get(n)) for n in others),
        *([""] if known else []),
        "",
    )
    return out


def _about(record: Record) -> TaskInfo:
    assert record.data.task  # every record of a probe has one
    return record.data.task


def _macro(name: str) -> bool:
    return ":" not in name and name != "undefined"


def _mean(records: Sequence[Record], name: str) -> float:
    values = [record.metrics[PROBED][name] for record in records if name in record.metrics[PROBED]]
    return fmean(values) if values else float("-inf")


def _margin(records: Sequence[Record], name: str) -> str:
    """Return half the width of the interval, or the standard deviation over seeds if that is larger."""
    spans = [found for record in records if (found := span(record, PROBED, name))]
    if not spans:
        return ""
    margin = fmean((high - low) / 2 for low, high in spans)
    return short(max(margin, stdev(r.metrics[PROBED][name] for r in records)) if len(records) > 1 else margin)
