"""All splits, by the name that ``--split`` takes."""

from __future__ import annotations

from collections.abc import Mapping

from bench.splits.published import Journal2026, RecSys2024
from bench.splits.temporal import GlobalTemporal
from bench.splits.untimed import ColdRandom, LeaveLastOut

SplitSettings = GlobalTemporal | ColdRandom | LeaveLastOut

KINDS: Mapping[str, type[SplitSettings]] = {cls.kind: cls for cls in (GlobalTemporal, ColdRandom, LeaveLastOut)}
"""The kinds of split in a split file; published splits are global temporal splits with other defaults."""

SPLITS: Mapping[str, type[SplitSettings]] = {
    **KINDS,
    "recsys2024": RecSys2024,
    "journal2026": Journal2026,
}
"""Settings classes by name; `bench.splits.make.make` accepts all of them."""
