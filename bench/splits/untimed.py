"""Settings of splits without a date: random items held out, or the last track of every user."""

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
    """Base class: plays outside [start, end) are left out; None stands for the first or last play of the log.

    Counts and last plays of training pairs cover the complete window, since no date separates training and test.
    """

    kind: ClassVar[str]
    version: ClassVar[str]
    """Raised when the pairs of a part, or what is known of them, can change."""
    validation_is_known: ClassVar[bool] = False
    """Whether a listener's validation pairs are part of the history when the test is ranked."""

    start: str | None = None
    end: str | None = None

    @property
    def needs_times(self) -> bool:
        """Whether the split is made by the times of plays."""
        return self.start is not None or self.end is not None

    def __post_init__(self) -> None:
        """Raise an error for invalid dates."""
        for name in ("start", "end"):
            if (date := getattr(self, name)) is not None:
                seconds(date, name)

    def resolve(self, first: int, last: int) -> Self:
        """Return the settings with dates filled in for a log with plays from `first` to `last` (s).

        Raises
        ------
        BenchError
            The log has no play in the window.

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
        """Return the window in seconds since 1970; raises ValueError unless the settings are resolved.

        Training covers the complete window.
        """
        if self.start is None or self.end is None:
            raise ValueError("these settings are not resolved; take those of a Split")
        end = seconds(self.end, "end")
        return Bounds(seconds(self.start, "start"), end, end, end)

    def canonical(self) -> dict[str, Any]:
        """Return the settings that affect the split, for fingerprints."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class ColdRandom(Untimed):
    """Hold out random items: all pairs with these items, by users with training pairs, are cold pairs.

    The items of the window are put in random order (`seed`), and `folds` disjoint sets, each with a share
    `share` of the items, are taken from it. Set number `fold` (from 1) is used for test, the next set (the first
    one after the last) for validation, and all other items for training. A user can have validation pairs and
    test pairs. Running all folds tests `folds` x `share` of the items once, which gives more statistical power
    than the few tracks that are new in one month.

    Source: the item hold-out of Magron & Fevotte (NCACF: 20 % of the songs for validation, the others in ten
    folds of which one is tested), here with smaller shares, so that more items are left for training.

    The split does not respect time: a model sees plays from after those it must predict, and knows what became
    popular. Training can contain the same artist, album or recording under another id: see the artist overlap.
    """

    kind: ClassVar[str] = "cold_random"
    version: ClassVar[str] = "1"

    folds: int = 5
    fold: int = 1
    share: float = 0.1
    seed: int = 42

    def __post_init__(self) -> None:
        """Raise an error for invalid values."""
        super().__post_init__()
        if self.folds < 2:
            raise BenchError(f"split: folds={self.folds}; at least 2 are needed, one for test and one for validation.")
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
        """Describe the settings in a few words."""
        return f"fold {self.fold} of {self.folds}, {self.share:.3g} of the items each, seed {self.seed}"

    def caveats(self) -> Sequence[str]:
        """Return warnings about results on this kind of split."""
        return (
            "cold_random does not respect time: training knows what came after the held-out plays, and other tracks "
            "of the same albums; its numbers do not compare with those of a temporal split",
        )


@dataclass(frozen=True)
class LeaveLastOut(Untimed):
    """Test on every user's last track, validate on the one before it, train on the others.

    Pairs are ordered by first play, then item id; users with fewer than three pairs have training pairs only.
    ``valid="none"``: the track before the last is a training pair, too, as in the final fit of some published
    code; early stopping is then impossible.

    When the test is ranked, the validation track is known, as in SASRec (Kang & McAuley, ICDM 2018), BERT4Rec
    (Sun et al., CIKM 2019) and RecBole: models read it as the last track of the history, and it is not
    recommended. No model has trained on it, except with ``--refit``.

    The split leaks the future: what others played after a user's last track is used to train the model that
    must predict it. Use it only to compare code with published results of sequence models (such as BERT4Rec
    on MovieLens).
    """

    kind: ClassVar[str] = "leave_last_out"
    version: ClassVar[str] = "2"
    validation_is_known: ClassVar[bool] = True

    valid: Last = "pair"

    @property
    def needs_times(self) -> bool:
        """The last track of a listener is known by its time."""
        return True

    def __post_init__(self) -> None:
        """Raise an error for invalid values."""
        super().__post_init__()
        if self.valid not in get_args(Last):
            raise BenchError(f"split: valid={self.valid!r}; choose 'pair' or 'none'.")

    def describe(self) -> str:
        """Describe the settings in a few words."""
        return "of every user's last track"

    def caveats(self) -> Sequence[str]:
        """Return warnings about results on this kind of split."""
        return (
            "leave_last_out leaks the future: plays from after a user's last track train the model that must predict "
            "it. Use it to compare code with published sequence results, never to compare models",
        )
