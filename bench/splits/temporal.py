"""Settings of the global temporal split, and their dates for a given log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, NamedTuple, get_args

from bench.errors import BenchError
from bench.listening.times import iso

DAY = 86_400
"""Seconds."""

Valid = Literal["users", "period"]
Novelty = Literal["window", "all_history"]
Sequences = Literal["first_plays", "all_plays"]
Cold = Literal["keep", "drop"]
ColdUsers = Literal["halved", "test"]

_ADDED = {"cold": "keep", "cold_users": "halved", "sequence": "first_plays"}
"""Settings added after the first version, with the values that reproduce it: they leave its fingerprints unchanged."""


class Bounds(NamedTuple):
    """Seconds since 1970 (UTC): training is [start, trained), held-out plays are in [trained, end)."""

    start: int
    trained: int
    """End of training: `cut`, or the start of the validation period."""
    cut: int
    end: int


@dataclass(frozen=True)
class GlobalTemporal:
    """Train before one date and test after it, the same date for all users.

    Dates are ISO texts (UTC if no zone is given). A date that is None is taken from the log: `start` is its
    first play, `end` (exclusive) the second after its last play, `cut` the midnight (UTC) nearest to 90 % of
    the time between them.

    ``valid="users"`` (Tamm & Aljanaki, RecSys 2024): a share `valid_share` of the users of the test period
    are validation users, the others test users; a share `cold_valid` of the cold items belongs to validation.
    ``valid="period"``: the last `valid_days` days before `cut` are used for validation instead of training. When
    the test is ranked, a user's validation pairs are known: models read them as the end of the history, and they
    are not recommended. They were played before the cut, so a system in use at the cut knows them; and a pair is
    tested only if its first play is after the cut, so each of them would be a certain miss. No model has trained
    on them, except with ``--refit``. With ``valid="users"``, test users have no validation pairs.

    ``novelty="window"``, as published: only plays in [start, end) decide which play of a pair is the first.
    ``"all_history"``: pairs played before `start` are not tested.

    ``cold="drop"``: held-out pairs of items that nobody played in training are left out. ``cold_users="test"``:
    all users with cold pairs are test users; validation users are drawn from the others.

    ``sequence="first_plays"``, as published: a user's history has one row per track, in order of first
    plays. ``"all_plays"``: sequence models also get all training plays (`Interactions.plays`).
    """

    kind: ClassVar[str] = "global_temporal"
    needs_times: ClassVar[bool] = True
    """Whether the split is made by the times of plays."""
    cut: str | None = None
    start: str | None = None
    end: str | None = None
    valid: Valid = "users"
    valid_days: int = 28
    valid_share: float = 0.5
    cold_valid: float = 0.2
    novelty: Novelty = "window"
    seed: int = 42
    cold: Cold = "keep"
    cold_users: ColdUsers = "halved"
    sequence: Sequences = "first_plays"

    @property
    def version(self) -> str:
        """Raised when the pairs of a part, or what is known of them, can change."""
        return "2" if self.valid == "period" else "1"

    @property
    def validation_is_known(self) -> bool:
        """Whether a listener's validation pairs are part of the history when the test is ranked."""
        return self.valid == "period"

    def __post_init__(self) -> None:
        """Raise an error for invalid values."""
        choices = {"valid": Valid, "novelty": Novelty, "cold": Cold, "cold_users": ColdUsers, "sequence": Sequences}
        for name, allowed in choices.items():
            if (value := getattr(self, name)) not in get_args(allowed):
                raise BenchError(f"split: {name}={value!r}; choose {' or '.join(map(repr, get_args(allowed)))}.")
        if self.valid_days < 1:
            raise BenchError(f"split: valid_days={self.valid_days}; at least one day is needed.")
        if not 0 <= self.valid_share < 1:
            raise BenchError(f"split: valid_share={self.valid_share}; expected 0 <= valid_share < 1.")
        if not 0 <= self.cold_valid <= 1:
            raise BenchError(f"split: cold_valid={self.cold_valid}; expected 0 <= cold_valid <= 1.")
        if not 0 <= self.seed < 2**32:
            raise BenchError(f"split: seed={self.seed}; expected 0 <= seed < 2**32.")
        for name in ("start", "cut", "end"):
            if (date := getattr(self, name)) is not None:
                seconds(date, name)

    def resolve(self, first: int, last: int) -> GlobalTemporal:
        """Return the settings with every date filled in for a log with plays from `first` to `last` (s).

        Raises
        ------
        BenchError
            The dates are out of order, or `cut` lies outside the log.

        """
        start = first if self.start is None else seconds(self.start, "start")
        end = last + 1 if self.end is None else seconds(self.end, "end")
        if self.cut is None:
            at = start + (end - start) * 9 // 10
            cut = (at + DAY // 2) // DAY * DAY
            if not start < cut < end:
                cut = at
        else:
            cut = seconds(self.cut, "cut")
        log = f"the log runs from {iso(first)} to {iso(last)}"
        if not start < cut < end:
            raise BenchError(f"split: expected start < cut < end, got {iso(start)}, {iso(cut)}, {iso(end)}; {log}.")
        if not first < cut <= last:
            raise BenchError(f"split: the cut {iso(cut)} lies outside the log: {log}. Choose another cut.")
        resolved = replace(self, start=iso(start), cut=iso(cut), end=iso(end))
        if resolved.bounds().trained <= start:
            raise BenchError(
                f"split: {self.valid_days} days of validation before the cut {iso(cut)} leave no training "
                f"period: start is {iso(start)}. Choose fewer valid_days, or valid='users'."
            )
        return resolved

    def bounds(self) -> Bounds:
        """Return the dates as seconds since 1970; raises ValueError unless the settings are resolved."""
        if self.start is None or self.cut is None or self.end is None:
            raise ValueError("these settings are not resolved; take those of a Split")
        cut = seconds(self.cut, "cut")
        trained = cut - self.valid_days * DAY if self.valid == "period" else cut
        return Bounds(seconds(self.start, "start"), trained, cut, seconds(self.end, "end"))

    def canonical(self) -> dict[str, Any]:
        """Return the settings that affect the split, for fingerprints."""
        unused = {"valid_days"} if self.valid == "users" else {"valid_share", "cold_valid", "seed", "cold_users"}
        unused |= {name for name, first in _ADDED.items() if getattr(self, name) == first}
        return {name: value for name, value in asdict(self).items() if name not in unused}

    def describe(self) -> str:
        """Describe the resolved settings in a few words."""
        return f"at {self.cut}"

    def caveats(self) -> Sequence[str]:
        """Return warnings about results on this kind of split; there are none."""
        return ()


def seconds(date: str, name: str) -> int:
    """Return the seconds since 1970 of an ISO date or time, in UTC if no zone is given.

    Raises
    ------
    BenchError
        `date` is not an ISO date, or has a fraction of a second.

    """
    try:
        moment = datetime.fromisoformat(date)
    except (TypeError, ValueError) as error:
        raise BenchError(f"split: {name}={date!r} is not a date; write 2020-02-20 or 2020-02-20T12:00:00Z.") from error
    if moment.microsecond:
        raise BenchError(f"split: {name}={date!r} has a fraction of a second; round it.")
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
