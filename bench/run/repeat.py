"""``bench run --from RECORD``: repeat a record and compare the numbers."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import records
from bench.errors import BenchError
from bench.records import Record
from bench.run.options import Data, Environment
from bench.run.probe.experiment import ProbeExperiment
from bench.run.probe.request import ProbeRequest
from bench.run.progress import Ui
from bench.run.recommend.experiment import RecommendExperiment
from bench.run.recommend.request import RecommendRequest
from bench.run.trust import named, with_data, without_data


@dataclass(frozen=True)
class Comparison:
    """The old record, the new one, and a line for each number that changed."""

    old: Record
    new: Record
    differences: Sequence[str]
    changed: list[str]
    """Changes of data, split or vectors; with any of them, equal numbers do not confirm the record."""
    reasons: list[str]
    """Other changes that can explain different numbers."""


def repeat(
    path: Path, environment: Environment, ui: Ui, *, data: Data, trust: bool = False, dry_run: bool = False
) -> Comparison | None:
    """Recompute a record in a temporary folder, using stored vectors, and compare every metric exactly.

    The old record is not changed. The data options in `data` replace those of the record. With `dry_run`, print the
    plan and return None.

    Raises
    ------
    BenchError
        When the record names programs or files and `trust` is not given.

    """
    old = records.read(path)
    asked: ProbeRequest | RecommendRequest
    asked = (ProbeRequest if old.kind == "probe" else RecommendRequest).from_json(old.asked)
    theirs = named(without_data(asked, data))
    if theirs and not trust:
        raise BenchError(
            f"{path} names programs or files: {'; '.join(theirs)}. Look at them, then give --trust to use them, or "
            "give your own data (--listens, --audio, --meta, --root)."
        )
    for line in theirs:
        ui.log(f"trusted: {line}")
    request = with_data(asked, data)
    with tempfile.TemporaryDirectory(prefix="bench-again-") as folder:
        scratch = replace(environment, results=Path(folder), again=True)
        experiment: RecommendExperiment | ProbeExperiment
        if isinstance(request, ProbeRequest):
            experiment = ProbeExperiment(request, scratch, ui)
        else:
            experiment = RecommendExperiment(request, scratch, ui)
        experiment.open().plan(temporary=True)
        if dry_run:
            return None
        new = experiment.do().records[0][1]
    return Comparison(old, new, records.differences(old.metrics, new.metrics), _changed(old, new), _reasons(old, new))


def _changed(old: Record, new: Record) -> list[str]:
    pairs = (
        ("the data", _values(old.data.fingerprint), _values(new.data.fingerprint)),
        ("the split", old.split.fingerprint, new.split.fingerprint),
        ("the item table", old.extractor.table_sha256, new.extractor.table_sha256),
    )
    return [f"{what} changed" for what, left, right in pairs if left != right]


def _values(fingerprint: Any) -> list[str]:
    """Return the sorted hashes and settings of a fingerprint, without file names: a copy is the same data."""
    if isinstance(fingerprint, Mapping):
        return sorted(value for each in fingerprint.values() for value in _values(each))
    return [repr(fingerprint)]


def _reasons(old: Record, new: Record) -> list[str]:
    out = []
    for what, left, right in (
        ("the extractor's settings", old.extractor.settings, new.extractor.settings),
        ("the recommender's settings", old.recommender.settings, new.recommender.settings),
    ):
        if left != right:
            out.append(f"{what} changed")
    for what, before, now in (
        ("the extractor", old.extractor.versions, new.extractor.versions),
        ("the recommender", old.recommender.version, new.recommender.version),
        ("the split", old.split.version, new.split.version),
        ("the dataset", old.data.version, new.data.version),
    ):
        if before is not None and before != now:
            out.append(f"the code of {what} has another version")
    if old.cut_short:
        out.append("--max-time ended the training then, and how far it comes in a time differs")
    then, here = old.environment, new.environment
    if then and here:
        out += [
            f"{name} was {was}, is {found}"
            for name, found in here.packages.items()
            if (was := then.packages.get(name)) != found
        ]
        if then.cpu != here.cpu:
            out.append(f"the processor was {then.cpu}, is {here.cpu}")
    return out
