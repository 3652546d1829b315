"""Splits without a date: items held out at random, and the last track of every user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Literal, Self, get_args

from bench.errors import BenchError
from bench.listening.times import iso
from bench.splits.temporal import Bounds, seconds

Last = Literal["pair", "none"]


@dataclass(frozen=True)
class Untimed:
    """What the two have in common: plays outside [start, end) are left out; None: the whole log.

    Counts and last plays of training pairs cover the whole window: no date separates training from test.
    """

    kind: ClassVar[str]
    version: ClassVar[str]
    """Raised when the pairs of a part, or what is known of them, can change."""

    start: str | None = None
    end: str | None = None

    def __post_init__(self) -> None:
        """Reject dates that are none."""
        for name in ("start", "end"):
            if (date := getattr(self, name)) is not None:
                seconds(date, name)

    def resolve(self, first: int, last: int) -> Self:
        """Return the settings with dates filled in for a log with plays from `first` to `last` (s).

        Raises
        ------
        BenchError
            The window does not meet the log.

        """
        start = first if self.start is None else seconds(self.start, "start")
        end = last + 1 if self.end is None else seconds(self.end, "end")
        if not start < end or start > last or end <= first:
            raise BenchError(
                f"split: no play from {iso(start)} until before {iso(end)}: the log runs from {iso(first)} to "
                f"{iso(last)}."
            )
        return replace(self, start=iso(start), end=iso(end))

    def bounds(self) -> Bounds:
        """Return the window in seconds since 1970; training ends where the window does."""
        if self.start is None or self.end is None:
            raise ValueError("these settings are not resolved; take those of a Split")
        end = seconds(self.end, "end")
        return Bounds(seconds(self.start, "start"), end, end, end)

    def canonical(self) -> dict[str, Any]:
        """Return everything that matters, for fingerprints."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class ColdRandom(Untimed):
    """Hold out items at random: every pair of theirs, by users who train on others, is a cold test pair.

    The items of the window are put in random order (`seed`) and `folds` disjoint sets of `share` of them are
    cut off. Set number `fold` (from 1) is tested, the next one (after the last comes the first) validates,
    all other items train. Users validate and test alike, and a run on each fold tests `folds` x `share` of
    the items once. More power than the few tracks that are new in one month.

    The item hold-out of Magron & Fevotte (NCACF: 20 % of the songs validate, the rest in ten folds of which one
    tests), with smaller shares, so that more is left to train on.

    It does not guard against time (a model sees plays from after those it must predict, and knows what
    became popular), nor against the same artist, album or recording under another id in training: read the
    artist overlap beside it.
    """

    kind: ClassVar[str] = "cold_random"
    version: ClassVar[str] = "1"

    folds: int = 5
    fold: int = 1
    share: float = 0.1
    seed: int = 42

    def __post_init__(self) -> None:
        """Reject values that no split can have."""
        super().__post_init__()
        if self.folds < 2:
            raise BenchError(f"split: folds={self.folds}; at least 2 are needed: one tests, one validates.")
        if not 1 <= self.fold <= self.folds:
            raise BenchError(f"split: fold={self.fold}; expected 1 to {self.folds} (folds={self.folds}).")
        if not 0 < self.share * self.folds <= 1:
            raise BenchError(
                f"split: share={self.share} in {self.folds} folds is {self.share * self.folds:g} of the items; "
                f"expected more than 0 and at most 1 (share={1 / self.folds:g} at most)."
            )
        if not 0 <= self.seed < 2**32:
            raise BenchError(f"split: seed={self.seed}; expected 0 <= seed < 2**32.")

    def describe(self) -> str:
        """Say in a few words what these settings come to."""
        return f"fold {self.fold} of {self.folds}, {self.share:.3g} of the items each, seed {self.seed}"

    def caveats(self) -> Sequence[str]:
        """Return what numbers on such a split do not show."""
        return (
            "cold_random does not respect time: training knows what came after the held-out plays, and other tracks "
            "of the same albums; its numbers do not compare with those of a temporal split",
        )


@dataclass(frozen=True)
class LeaveLastOut(Untimed):
    """Test every user's last track, validate on the one before it, train on the rest.

    Pairs are ordered by first play (ties by item id); users with fewer than three pairs only train.
    ``valid="none"``: the one before the last trains, too, as in the final fit of some published code; then
    nothing can stop early. Ranking masks training tracks, not the validation track.

    It leaks the future: what others played after a user's last track trains the model that must predict it.
    It is here to compare code with published results of sequence models (such as BERT4Rec on MovieLens).
    """

    kind: ClassVar[str] = "leave_last_out"
    version: ClassVar[str] = "1"

    valid: Last = "pair"

    def __post_init__(self) -> None:
        """Reject values that no split can have."""
        super().__post_init__()
        if self.valid not in get_args(Last):
            raise BenchError(f"split: valid={self.valid!r}; choose 'pair' or 'none'.")

    def describe(self) -> str:
        """Say in a few words what these settings come to."""
        return "of every user's last track"

    def caveats(self) -> Sequence[str]:
        """Return what numbers on such a split do not show."""
        return (
            "leave_last_out leaks the future: plays from after a user's last track train the model that must predict "
            "it. Use it to compare code with published sequence results, never to compare models",
        )
