"""Write a record as it is published: without paths of the machine, with the files that may be shared, and a card."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from bench.files.atomic import write_text
from bench.records import Record, layout, ranks_path, rows_path
from bench.records.codec import decode, encode
from bench.records.reading import content_sha256
from bench.report.eligible import Found

_FOLDERS = re.compile(r"(?<![\w:/\\.~])(?:~|[A-Za-z]:)?[/\\](?=[\w.])(?:[^/\\\s,;:'\"()]+[/\\])*")
_FREE = re.compile(r"\b(apache|mit|cc0|cc[ -]by[- ]\d|public domain)", re.IGNORECASE)


def portable(value: Any) -> Any:
    """Return JSON values in which every absolute path is reduced to the name of its file; web addresses stay."""
    if isinstance(value, dict):
        return {portable(key): portable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [portable(each) for each in value]
    if not isinstance(value, str):
        return value
    if "\n" not in value and (PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute()):
        return PureWindowsPath(value).name or "."
    return _FOLDERS.sub("", value)


def shares_ranks(record: Record) -> bool:
    """Whether ranks of held-out items and answers of probes may be published: they hold data, which must be free."""
    return record.data.builtin or bool(_FREE.search(record.data.license or ""))


def published(record: Record) -> Record:
    """Return a record as it is published, with its own hash: without paths, and without ranks of unfree data.

    `Record.inputs_sha256` stays that of the run: a run with other paths computes the cell again.
    """
    content = portable(encode(record))
    if not shares_ranks(record):
        content.pop("ranks", None)
        if record.kind == "probe":  # its rows hold the labels of the data
            content.pop("rows", None)
    content.pop("content_sha256", None)
    return decode(Record, {**content, "content_sha256": content_sha256(content)})


def write(found: Sequence[Found], folder: Path, trained_on: str = "") -> list[Path]:
    """Write records, the files beside them, and a card for each item table; return the paths of records and cards."""
    paths: list[Path] = []
    cards: dict[Path, list[Record]] = {}
    for path, record in found:
        made = published(record)
        target = folder / made.path
        beside = [(rows_path(path, record.kind), rows_path(target, record.kind))] if made.rows else []
        beside += [(ranks_path(path), ranks_path(target))] if made.ranks else []
        for source, copy in beside:
            if source.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, copy)
        write_text(target, layout(made))
        paths.append(target)
        if not made.control and made.kind != "imported":
            cards.setdefault(target.parent.parent / "README.md", []).append(made)
    for target, records in cards.items():
        write_text(target, card(records, trained_on))
    return [*paths, *cards]


def card(records: Sequence[Record], trained_on: str = "") -> str:
    """Return the card (Markdown) of an item table: where it comes from, and its results on one split."""
    first = records[0]
    vectors, task = first.extractor, first.data.task
    metric = task.primary if first.is_probe and task else f"ndcg@{first.k[0]}"
    declared = ", ".join(vectors.trained_on or ()) or trained_on or "not declared"
    lines = [
        f"# {vectors.spec} on {first.data.name}, {first.split.name}",
        "",
        *(["Preview: the listening is simulated.", ""] if first.data.builtin else []),
        f"* vectors: {vectors.width} numbers, {vectors.coverage:.0%} of the tracks, sha256 `{vectors.table_sha256}`",
        f"* licence: {vectors.license or 'unknown'}; training data: {declared}",
        f"* data: {first.data.name}, {first.data.license or 'licence unknown'}",
        f"* lane: {first.lane}; treatment: {vectors.view.treat or 'none'}",
        "",
        f"| model | seed | candidates | {'items' if task else 'listeners'} | {metric} | 95 % | chance |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in records:
        for where, means in one.metrics.items():
            if (value := means.get(metric)) is not None:
                low, high = one.intervals.get(where, {}).get(metric, (float("nan"),) * 2)
                chance = one.chance.get(where, {}).get(metric, float("nan"))
                lines.append(
                    f"| {one.recommender.spec} | {one.seed} | {where} | {one.users.get(where, 0):,} | {value:.4f} "
                    f"| {low:.4f}–{high:.4f} | {chance:.4f} |"
                )
    notes = dict.fromkeys(warning for one in records for warning in one.warnings)
    return "\n".join([*lines, "", *(f"* {note}" for note in notes)]).rstrip() + "\n"
