"""Plays far in time from all others: one broken clock stretches a log by years, and moves its cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.listening.times import iso
from bench.text import counted

LEAST = 20
"""Plays that a log must have for some to be called few."""

SHARE, MOST = 1000, 1000
"""At most one play in so many, and so many in all, can be outlying."""

GAP = 30 * 86_400
"""Seconds: a shorter gap is none, nor is one shorter than half of the span of all other plays."""

YEAR = 365.25 * 86_400
SHOWN = 3

Places = Callable[[int, int], Sequence[str]]
"""Where in their file plays stand, by their first and last second, both included; empty when that is not known."""


@dataclass(frozen=True)
class Outlying:
    """Plays from `first` to `last` (s), which lie before or after all others; the nearest of these is at `next`."""

    plays: int
    first: int
    last: int
    next: int
    shown: tuple[str, ...]
    """Up to three of them, with their lines where these are known."""

    @property
    def early(self) -> bool:
        """Whether they lie before the others."""
        return self.last < self.next

    def __str__(self) -> str:
        """Return a sentence that names them, and what leaves them out."""
        gap = self.next - self.last if self.early else self.first - self.next
        far = f"{gap / YEAR:.0f} years" if gap > 1.5 * YEAR else f"{gap / 86_400:.0f} days"
        side, remedy = "before", f"start={iso(self.next)[:10]}"
        if not self.early:
            side, remedy = "after", f"end={iso(self.next + 86_400)[:10]}"
        more = ", ..." if self.plays > len(self.shown) else ""
        verb = "lies" if self.plays == 1 else "lie"
        return (
            f"{counted(self.plays, 'play')} {verb} {far} {side} all others, whose nearest is of {iso(self.next)} "
            f"({'; '.join(self.shown)}{more}): mend the log, or leave such plays out with --split NAME:{remedy}"
        )


def outlying(log: pl.LazyFrame, plays: int) -> list[Outlying]:
    """Find the outlying plays of a log (user, item; time in s) of so many plays: those before the rest, those after.

    They are few (see `SHARE`), and what separates them is longer than half of the span of all other plays.
    """
    few = min(MOST, max(1, plays // SHARE))
    if plays < LEAST:
        return []
    time = pl.col("time")
    ends = log.select(low=time.bottom_k(few + 1), high=time.top_k(few + 1)).collect(engine="streaming")
    low, high = np.sort(ends["low"].to_numpy()), np.sort(ends["high"].to_numpy())
    gap = max(GAP, int(high[0] - low[-1]) // 2)
    found = []
    if len(at := np.flatnonzero(np.diff(low) > gap)):
        found.append((low[: at[-1] + 1], int(low[at[-1] + 1])))
    if len(at := np.flatnonzero(np.diff(high) > gap)):
        found.append((high[at[0] + 1 :], int(high[at[0]])))
    return [_described(log, times, nearest) for times, nearest in found]


def may_have(firsts: NDArray[np.int64], lasts: NDArray[np.int64], plays: int) -> bool:
    """Whether users' first and last plays (U,) leave room for outlying ones; False spares a look at the whole log."""
    few = min(MOST, max(1, plays // SHARE))
    if len(firsts) <= few:
        return True
    ends = np.sort(firsts)[: few + 1], np.sort(lasts)[-few - 1 :]
    return any(bool((np.diff(times) > GAP).any()) for times in ends)


def placed(found: Outlying, places: Places) -> Outlying:
    """Add where in their file the plays stand."""
    where = places(found.first, found.last)[: len(found.shown)]
    lines = [f"{at}: {text}" for at, text in zip(where, found.shown, strict=False)]
    return replace(found, shown=(*lines, *found.shown[len(lines) :]))


def _described(log: pl.LazyFrame, times: NDArray[np.int64], nearest: int) -> Outlying:
    first, last = int(times[0]), int(times[-1])
    rows = log.filter(pl.col("time").is_between(first, last)).head(SHOWN).collect(engine="streaming").rows()
    shown = tuple(f"user {user!r} item {item!r} {iso(second)}" for user, item, second in rows)
    return Outlying(len(times), first, last, nearest, shown)
