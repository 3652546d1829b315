"""Search spaces of ``bench tune``: ``key=a|b|c`` and ``key=lo..hi``, with ``(log)`` on a logarithmic scale."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from bench.errors import BenchError
from bench.protocols import Lane
from bench.registry import create, get
from bench.specs import Spec

DIGITS = 4
"""Significant digits of a drawn number, few enough to type it."""


@dataclass(frozen=True)
class Choice:
    """One of several values, as typed."""

    key: str
    values: tuple[str, ...]

    @property
    def ends(self) -> tuple[str, ...]:
        """Values that the settings must accept: all choices."""
        return self.values

    def draw(self, random: np.random.Generator) -> str:
        """Return one of the values with equal probability."""
        return self.values[int(random.integers(len(self.values)))]

    def __str__(self) -> str:
        """Return the grammar's spelling."""
        return f"{self.key}={'|'.join(self.values)}"


@dataclass(frozen=True)
class Range:
    """A number from `low` to `high`, both included; an integer if both bounds are typed as integers."""

    key: str
    low: float
    high: float
    log: bool
    whole: bool

    @property
    def ends(self) -> tuple[str, ...]:
        """Return both bounds as typed."""
        return self.typed(self.low), self.typed(self.high)

    def draw(self, random: np.random.Generator) -> str:
        """Draw a value uniformly, on a logarithmic scale with `log`."""
        if self.whole and not self.log:
            return str(int(random.integers(int(self.low), int(self.high) + 1)))
        if self.log:
            return self.typed(math.exp(random.uniform(math.log(self.low), math.log(self.high))))
        return self.typed(random.uniform(self.low, self.high))

    def typed(self, value: float) -> str:
        """Format a number for the trial's spec, clipped to the range."""
        if self.whole:
            return str(round(min(max(value, self.low), self.high)))
        return repr(min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high))

    def __str__(self) -> str:
        """Return the grammar's spelling."""
        ends = (str(int(v)) if self.whole else repr(v) for v in (self.low, self.high))
        return f"{self.key}={'..'.join(ends)}{'(log)' if self.log else ''}"


Parameter = Choice | Range


def parse(text: str) -> tuple[Parameter, ...]:
    """Read ``lr=1e-4..1e-1(log),layers=1|2|3``.

    Raises
    ------
    BenchError
        For an invalid part, which the message names.

    """
    found = [_parameter(part.strip()) for part in text.split(",") if part.strip()]
    keys = [one.key for one in found]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise BenchError(f"space {text!r}: {', '.join(twice)} is given twice.")
    return tuple(found)


def _parameter(part: str) -> Parameter:
    key, equals, value = (piece.strip() for piece in part.partition("="))
    if not re.fullmatch(r"[A-Za-z_]\w*", key) or not equals or not value:
        raise BenchError(f"space: {part!r} is neither key=a|b|c nor key=lo..hi, with (log) behind it if wanted.")
    if ".." not in value:
        values = tuple(one.strip() for one in value.split("|"))
        if not all(values) or len(set(values)) < len(values):
            raise BenchError(f"space: {part!r} has an empty or repeated choice.")
        return Choice(key, values)
    log = value.endswith("(log)")
    low, _, high = value.removesuffix("(log)").partition("..")
    try:
        whole = all(re.fullmatch(r"-?\d+", end.strip()) for end in (low, high))
        found = Range(key, float(low), float(high), log, whole)
    except ValueError as error:
        raise BenchError(f"space: {part!r} does not go from number to number.") from error
    if not (math.isfinite(found.low) and found.low < found.high < math.inf):
        raise BenchError(f"space: {part!r} must go from a smaller number to a larger one.")
    if log and found.low <= 0:
        raise BenchError(f"space: {part!r} cannot be logarithmic: it must begin above 0.")
    return found


def space_of(base: Spec, given: str | None, lane: Lane) -> tuple[Parameter, ...]:
    """Return the search space without settings that the model's spec fixes, and check that settings accept its bounds.

    This needs no data, so that an invalid space is reported before any data is read.

    Raises
    ------
    BenchError
        For an empty or invalid space, one that varies what `base` fixes, or one that the model's settings reject.

    """
    text = given if given is not None else get("recommenders", base.name).SPACE
    space = parse(text)
    if given is None:  # the model's default space, without what spec or lane fixes
        space = tuple(one for one in space if one.key not in base.settings and not _refused(base, one, lane))
    elif both := [one.key for one in space if one.key in base.settings]:
        raise BenchError(f"--space varies {', '.join(both)}, which --model {base} fixes: drop one.")
    elif errors := [error for one in space if (error := _refused(base, one, lane))]:
        raise errors[0]
    if not space:
        raise BenchError(f"nothing to search: {base} offers no space. Give --space key=lo..hi,key=a|b.")
    return space


def _refused(base: Spec, one: Parameter, lane: Lane) -> BenchError | None:
    """Return the error of the model's settings for a bound of a range, or for a choice; None if all are valid."""
    for end in one.ends:
        try:
            create("recommenders", str(Spec(base.name, {**base.settings, one.key: end})), lane=lane)
        except BenchError as error:
            return error
    return None
