"""Everything that keeps a record from being published, each with what would make it acceptable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from bench.errors import BenchError
from bench.files.atomic import digest
from bench.metrics.from_ranks import per_user
from bench.records import Record, rows_path
from bench.records.ranks import read_ranks
from bench.records.rows import read_rows
from bench.report.eligible import Found, Reason, reasons

LEAST_COVERAGE = 0.9
"""Least share of the tracks that need a vector."""
LEAST_SEEDS = 3
"""Least number of seeds of a model with random training."""
SAME = 1e-12
"""Tolerance between a mean and the mean of the values beside it, which were summed in another order."""

AGAIN = "Run the cell again with this version of bench, and submit the new files unchanged."


def problems(
    path: Path, record: Record | BenchError, others: Sequence[Found] = (), *, trained_on: str = ""
) -> list[Reason]:
    """Return why a record may not be published.

    Parameters
    ----------
    path, record
        The record, or the error of reading it: a changed field, an unknown version, or a wrong content hash.
    others
        Records that are published with it or are published already: they show its seeds, and the hash of its split.
    trained_on
        What the submitter says about the training data of vectors from a file.

    """
    if isinstance(record, BenchError):
        return [Reason(str(record), AGAIN)]
    if record.kind == "imported":
        return []
    # Records of built-in data may be published: they are shown with a watermark.
    found = [] if record.data.builtin else reasons(record)
    return [*found, *_values(path, record), *_split(record, others), *_declared(record, others, trained_on)]


def _values(path: Path, record: Record) -> Iterator[Reason]:
    """Compare the means of a record with the values beside it, and these with its ranks."""
    if record.kind != "run" or not record.metrics:
        return
    names = sorted({name for means in record.metrics.values() for name in means})
    rows = read_rows(rows_path(path, record.kind), record, ["candidates", "user", *names])
    if isinstance(rows, str):
        yield Reason(f"per-user values: {rows}", f"Keep the Parquet files beside the record. {AGAIN}")
        return
    for where, means in record.metrics.items():
        chosen = rows.filter(pl.col("candidates") == where)
        if chosen.height != record.users[where]:
            yield Reason(f"{chosen.height:,} {where} users in the file, {record.users[where]:,} in the record", AGAIN)
        for name, mean in means.items():
            other = chosen[name].mean() if name in chosen.columns else None
            if not isinstance(other, float) or abs(other - mean) > SAME:
                yield Reason(f"{where} {name} is {mean!r}, the mean of its users {other!r}", AGAIN)
    if record.ranks is None or not path.with_suffix(".ranks.parquet").exists():
        return
    held = read_ranks(path, record)
    if isinstance(held, str):
        yield Reason(f"ranks: {held}", AGAIN)
        return
    for where, ranks in held.items():
        for name in record.metrics[where]:
            metric, _, k = name.rpartition("@")
            mean = float(np.mean(per_user(metric, int(k), ranks)))
            if abs(mean - record.metrics[where][name]) > SAME:
                yield Reason(f"{where} {name} is {record.metrics[where][name]!r}, by its ranks {mean!r}", AGAIN)


def _split(record: Record, others: Sequence[Found]) -> Iterator[Reason]:
    """Compare the hash of a split with those of other records of the same data and settings."""
    key = _split_key(record)
    same = {other.split.fingerprint for _, other in others if _split_key(other) == key}
    if same - {record.split.fingerprint}:
        yield Reason(
            f"its split has hash {record.split.fingerprint[:8]}, that of other records {min(same)[:8]}",
            "Use the same version of bench and the same files for all records of a split.",
        )


def _split_key(record: Record) -> str:
    return digest([record.data.fingerprint, record.split.name, record.split.settings, record.split.version])


def _declared(record: Record, others: Sequence[Found], trained_on: str) -> Iterator[Reason]:
    """Check coverage, seeds, and whether the training data of vectors from a file are known."""
    vectors = record.extractor
    if not record.control and vectors.coverage < LEAST_COVERAGE and vectors.name != "none":
        yield Reason(
            f"{vectors.coverage:.0%} of the tracks have a vector",
            f"Compute vectors of at least {LEAST_COVERAGE:.0%} of the tracks.",
        )
    if record.recommender.deterministic is False and not record.control and not record.data.builtin:
        seeds = {record.seed, *(other.seed for _, other in others if _cell(other) == _cell(record))}
        if len(seeds) < LEAST_SEEDS:
            yield Reason(
                f"{len(seeds)} seed of a model whose training is random",
                f"Run it with --seeds {LEAST_SEEDS}, and submit all of its records.",
            )
    if "precomputed" in vectors.name.split("+") and not record.control and not vectors.trained_on and not trained_on:
        yield Reason(
            "nobody says what the vectors in the file were trained on",
            'Give --trained-on "DATA, DATA", or --trained-on nothing for descriptors without weights.',
        )


def _cell(record: Record) -> Path:
    return record.path.parent
