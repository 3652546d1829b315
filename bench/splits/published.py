"""Published splits, reproduced exactly, and the sizes that their authors report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

from bench.splits.temporal import Cold, ColdUsers, GlobalTemporal


@dataclass(frozen=True)
class RecSys2024(GlobalTemporal):
    """Tamm & Aljanaki, RecSys 2024: train from 2019-02-20, test from 2020-02-20 to the end of the log.

    Pairs first played in the last month are held out if user and track occur in training. Half of their users
    are validation users: the first part of scikit-learn's ``train_test_split(ids, test_size=0.5,
    random_state=42)`` on the ascending ids (as numbers if all are numbers); the others are test users. There
    are no cold tracks; ``cold=keep`` adds them without changing anything else.
    """

    start: str | None = "2019-02-20"
    cut: str | None = "2020-02-20"
    cold: Cold = "drop"


@dataclass(frozen=True)
class Journal2026(GlobalTemporal):
    """Tamm & Aljanaki, arXiv 2604.23077: train from 2018-02-01, test the month from 2019-02-01, with cold tracks.

    Tracks that nobody played in training are cold. 30 % of the users with hot pairs and without cold pairs are
    validation users (the first part of ``train_test_split(ids, test_size=0.7, random_state=42)``); all other
    users and all cold pairs belong to test.
    """

    start: str | None = "2018-02-01"
    cut: str | None = "2019-02-01"
    end: str | None = "2019-03-01"
    valid_share: float = 0.3
    cold_valid: float = 0.0
    cold_users: ColdUsers = "test"


class Size(NamedTuple):
    """Numbers of users, items and pairs in a part."""

    users: int
    items: int
    pairs: int


class Reported(NamedTuple):
    """Published sizes by part and kind, their data set, and their source."""

    data: str
    source: str
    sizes: Mapping[tuple[str, Literal["hot", "cold"]], Size]


REPORTED: Mapping[str, Reported] = {
    "recsys2024": Reported(
        "music4all-onion",
        "Table 2 of Tamm & Aljanaki (RecSys 2024)",
        {
            ("train", "hot"): Size(17_053, 56_193, 5_122_221),
            ("valid", "hot"): Size(6_092, 36_942, 132_425),
            ("test", "hot"): Size(6_092, 37_797, 138_299),
        },
    ),
    "journal2026": Reported(
        "music4all-onion",
        "stats.csv of Tamm & Aljanaki (arXiv 2604.23077)",
        {
            ("train", "hot"): Size(21_018, 55_262, 5_371_381),
            ("valid", "hot"): Size(2_459, 23_625, 48_787),
            ("test", "hot"): Size(10_238, 45_002, 280_745),
            ("test", "cold"): Size(4_553, 589, 23_269),
        },
    ),
}


def deviations(settings: Any) -> list[str]:
    """Return the `settings` (not resolved) that differ from the published split, as ``name=value``."""
    if type(settings) not in (RecSys2024, Journal2026):
        return []
    published = type(settings)()
    names = [field.name for field in fields(settings)]
    return [f"{n}={getattr(settings, n)}" for n in names if getattr(settings, n) != getattr(published, n)]


def checked(name: str, settings: Any, data: str, counts: Mapping[str, Any]) -> str | None:
    """Compare a split with its published sizes: "matches ...", "differs from ...", or "not checked: ...".

    Returns None for splits without published sizes. `settings` are not resolved; `counts` are `Split.counts`.
    """
    reported = REPORTED.get(name)
    if reported is None:
        return None
    if changed := deviations(settings):
        return f"not checked: not the published split ({', '.join(changed)})"
    if data != reported.data:
        return f"not checked: {reported.source} is of {reported.data}"
    wrong = []
    for (part, kind), size in reported.sizes.items():
        found = counts["train"] if part == "train" else counts[part][kind]
        for what, expected in size._asdict().items():
            if found[what] != expected:
                label = part if kind == "hot" else f"{kind} {part}"
                wrong.append(f"{label} {what} {found[what]:,} ({expected:,} printed)")
    return f"differs from {reported.source}: {', '.join(wrong)}" if wrong else f"matches {reported.source}"
