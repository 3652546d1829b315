"""Find the user, item and time columns of a listening log, from ``--columns`` or from common names."""

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
"""Column names that are recognised for each role; see `normalize` for how names are compared."""


def parse_columns(text: str) -> dict[str, str]:
    """Parse ``user=U,item=I,time=T``; roles that are absent or empty are found by name later.

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
    _check_distinct(chosen, f"--columns {text!r}")
    return chosen


def choose(path: Path, header: Sequence[str], given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Map each role to a column of `header`: the `given` one, or the only column with a recognised name.

    Raises
    ------
    BenchError
        A given column does not exist, or a role matches no column or several. The message names the file,
        its header and the flag to use.

    """
    given = given or {}
    if unknown := set(given) - set(ROLES):
        raise BenchError(f"columns for unknown roles {sorted(unknown)}; known: {', '.join(ROLES)}")
    chosen = {role: _one(path, header, role, given.get(role)) for role in ROLES}
    _check_distinct(chosen, str(path))
    return chosen


def normalize(name: str) -> str:
    """Return `name` in lower case, without surrounding blanks or ``#``, with underscores for blanks and hyphens."""
    return name.strip().lstrip("#").strip().lower().replace(" ", "_").replace("-", "_")


def listed(names: Iterable[str]) -> str:
    """Format column names for a message: at most the first 20."""
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
    found = [name for name in header if normalize(name) in CANDIDATES[role]]
    if len(found) == 1:
        return found[0]
    trouble = "no column looks like" if not found else f"{listed(found)} all look like"
    raise BenchError(
        f"{path}: {trouble} the {role}; the header is {listed(header)}. "
        f"Say which one with --columns {role}=COLUMN (the first line must name the columns)."
    )


def _check_distinct(chosen: Mapping[str, str], place: str) -> None:
    """Raise an error if two roles use the same column."""
    for role in chosen:
        shared = [other for other in chosen if chosen[other] == chosen[role]]
        if len(shared) > 1:
            raise BenchError(f"{place}: the column {chosen[role]!r} cannot be {' and '.join(shared)} at once.")
