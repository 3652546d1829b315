"""Every split there is, by the name that ``--split`` takes, and by what it is in the end."""

from __future__ import annotations

from collections.abc import Mapping

from bench.splits.published import Journal2026, RecSys2024
from bench.splits.temporal import GlobalTemporal
from bench.splits.untimed import ColdRandom, LeaveLastOut

SplitSettings = GlobalTemporal | ColdRandom | LeaveLastOut

KINDS: Mapping[str, type[SplitSettings]] = {cls.kind: cls for cls in (GlobalTemporal, ColdRandom, LeaveLastOut)}
"""What a split file holds: published splits are global temporal ones with other defaults."""

SPLITS: Mapping[str, type[SplitSettings]] = {
    **KINDS,
    "recsys2024": RecSys2024,
    "journal2026": Journal2026,
}
"""Settings by name; `bench.splits.make.make` takes any of them."""
