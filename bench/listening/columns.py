"""Which column of a listening log is which: the command line's ``--columns`` and sensible guesses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.errors import BenchError, did_you_mean

ROLES = ("user", "item", "time")

CANDIDATES: Mapping[str, tuple[str, ...]] = {
    "user": (
        *("user", "user_id", "userid", "uid", "user_name", "username", "user_hash"),
        *("listener", "listener_id"),
    ),
    "item": (
        *("item", "item_id", "itemid", "track", "track_id", "trackid", "traid", "song", "song_id", "songid"),
        *("recording", "recording_id", "recording_mbid", "track_mbid"),
    ),
    "time": (
        *("time", "timestamp", "time_stamp", "ts", "listened_at", "played_at", "date", "datetime"),
        *("unixtime", "unix_time"),
    ),
}
"""Names under which a role is found when nobody says; compared in lower case, without blanks and ``#``."""


def parse_columns(text: str) -> dict[str, str]:
    """Parse ``user=U,item=I,time=T``; a role that is absent or empty is left to be guessed.

    Raises
    ------
    BenchError
        An entry without ``=``, an unknown role, a role given twice, or one column for two roles.

    """
    chosen: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        role, equals, name = (part.strip() for part in entry.partition("="))
        if not equals:
            raise BenchError(f"--columns {text!r}: {entry!r} is not ROLE=COLUMN. Write user=U,item=I,time=T.")
        if role not in ROLES:
            raise BenchError(f"--columns {text!r}: unknown role {role!r}.{did_you_mean(role, ROLES)}")
        if role in chosen:
            raise BenchError(f"--columns {text!r}: the role {role!r} is given twice.")
        if name:
            chosen[role] = name
    _refuse_shared(chosen, f"--columns {text!r}")
    return chosen


def choose(path: Path, header: Sequence[str], given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Map each role to a column of `header`: as `given`, else the one column with an obvious name.

    Raises
    ------
    BenchError
        A given column that is not there, or a role with no candidate or more than one. It names the
        file, the header found and the flag to give.

    """
    given = given or {}
    if unknown := set(given) - set(ROLES):
        raise BenchError(f"columns for unknown roles {sorted(unknown)}; known: {', '.join(ROLES)}")
    chosen = {role: _one(path, header, role, given.get(role)) for role in ROLES}
    _refuse_shared(chosen, str(path))
    return chosen


def simple(name: str) -> str:
    """Return `name` as it is compared: lower case, no surrounding blanks or ``#``, underscores for blanks."""
    return name.strip().lstrip("#").strip().lower().replace(" ", "_").replace("-", "_")


def listed(names: Iterable[str]) -> str:
    """Spell a header for a message, the first 20 names at most."""
    quoted = [repr(name) for name in names]
    return ", ".join(quoted[:20]) + (f", ... ({len(quoted)} columns)" if len(quoted) > 20 else "")


def _one(path: Path, header: Sequence[str], role: str, given: str | None) -> str:
    """Find the column of one role."""
    if given:
        if given in header:
            return given
        raise BenchError(
            f"{path}: no column {given!r} for {role}; the header is {listed(header)}.{did_you_mean(given, header)}"
        )
    found = [name for name in header if simple(name) in CANDIDATES[role]]
    if len(found) == 1:
        return found[0]
    trouble = "no column looks like" if not found else f"{listed(found)} all look like"
    raise BenchError(
        f"{path}: {trouble} the {role}; the header is {listed(header)}. "
        f"Say which one with --columns {role}=COLUMN (the first line must name the columns)."
    )


def _refuse_shared(chosen: Mapping[str, str], place: str) -> None:
    """Refuse one column for two roles."""
    for role in chosen:
        twins = [other for other in chosen if chosen[other] == chosen[role]]
        if len(twins) > 1:
            raise BenchError(f"{place}: the column {chosen[role]!r} cannot be {' and '.join(twins)} at once.")
