"""Split a listening log into training, validation and test pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.listening.times import iso
from bench.splits.assign import TEST, TRAIN, VALID, Mask, assign_parts, draw_validation
from bench.splits.outlying import Places, placed
from bench.splits.pairs import LogSummary, Pairs, collapse, summarize
from bench.splits.settings import SPLITS, SplitSettings
from bench.splits.split import PARTS, SCHEMA, Coded, History, Part, Split, Truth, Which, fingerprint
from bench.splits.temporal import Bounds, GlobalTemporal
from bench.splits.untimed import ColdRandom

__all__ = ["SPLITS", "GlobalTemporal", "History", "Part", "Split", "SplitSettings", "Truth", "Which", "make"]

_PART_NAMES = ("train", "valid", "test")

Kept = dict[SplitSettings, tuple[LogSummary, Sequence[str], Pairs]]
"""What `make` has read of a log, by settings."""


def make(
    listens: pl.LazyFrame,
    settings: SplitSettings | None = None,
    *,
    known_items: Iterable[str] | None = None,
    places: Places | None = None,
    kept: Kept | None = None,
) -> Split:
    """Split a log (user, item, time) as `settings` describe: `GlobalTemporal`, `ColdRandom` or `LeaveLastOut`.

    A temporal split leaves out plays outside [start, end). Pairs first played before the end of training are
    training pairs; later pairs of users with training pairs are held out. An item that nobody played in
    training is cold. With valid="users", a user has validation pairs or test pairs, a cold item belongs to
    validation or test, and cold pairs whose user and item disagree are left out. With valid="period", test
    items are cold if nobody played them before the cut; items first played during validation are not tested.

    `known_items` (those with audio) restricts the catalogue; plays of other items are left out. Rows may be in
    any order. The log is streamed three times, or once more if there are weeks between users' first or last
    plays; memory grows with the number of pairs, not of plays.

    Plays that are years away from all others change the span of a log, and a cut that is not given. They are
    kept, and ``counts["outlying"]`` describes them; `places` tells where in their file they are.

    The folds of a split need the same pairs: with `kept`, which then holds them, the log is read for the first only.

    Raises
    ------
    BenchError
        The log is empty or contains nulls, the dates do not fit it, none of its items is known, or no
        training pairs or no test pairs are left.

    """
    settings = GlobalTemporal() if settings is None else settings
    key = replace(settings, fold=1) if isinstance(settings, ColdRandom) else settings
    log, far, pairs = kept[key] if kept and key in kept else _read(listens, settings, places)
    if kept is not None:
        kept[key] = log, far, pairs
    settings = settings.resolve(log.first, log.last)
    bounds = settings.bounds()
    unknown = ~_known(log.items, known_items)[pairs.item]
    rest = _take(pairs, ~unknown)
    part, cold, used, removed = _assign(rest, log, settings, bounds)
    _check_not_empty(part[used], settings, bounds, removed, far)
    left_out = {
        "plays": {
            "before_start": log.before,
            "from_end_on": log.after,
            "unknown_items": int(pairs.plays[unknown].sum()),
        },
        "items_unknown": len(np.unique(pairs.item[unknown])),
        "pairs": removed,
    }
    selected = _select(rest, part, cold, used)
    del pairs, rest, part, cold, used, unknown  # free memory before sorting
    counts = _counts(selected, log) | {"left_out": left_out} | ({"outlying": far} if far else {})
    frame, coded = _frame(selected, log)
    return Split.of(frame, settings, counts, fingerprint(frame, settings, coded), coded)


def _read(
    listens: pl.LazyFrame, settings: SplitSettings, places: Places | None
) -> tuple[LogSummary, Sequence[str], Pairs]:
    """Return the summary of a log, a sentence for each end with outlying plays, and the pairs of the window."""
    log = summarize(listens, settings)
    if places is not None:
        log = replace(log, outlying=tuple(placed(one, places) for one in log.outlying))
    far = _outlying(log, settings)
    try:
        bounds = settings.resolve(log.first, log.last).bounds()
    except BenchError as error:
        raise BenchError(" ".join([str(error), *(f"{text}." for text in far)])) from None
    return log, far, collapse(listens, log, bounds, look_back=getattr(settings, "novelty", "") == "all_history")


def _assign(
    pairs: Pairs, log: LogSummary, settings: SplitSettings, bounds: Bounds
) -> tuple[NDArray[np.int8], Mask, Mask, dict[str, int]]:
    """Return arrays (P,) of parts, cold pairs and used pairs, and the number of removed pairs by reason."""
    part = assign_parts(pairs, settings, bounds)
    held = part != TRAIN
    trains, hot = np.zeros(len(log.users), dtype=bool), np.zeros(len(log.items), dtype=bool)
    trains[pairs.user[~held]] = True
    hot[pairs.item[~held]] = True
    cold = ~hot[pairs.item]
    used = np.ones(len(part), dtype=bool)
    removed: dict[str, int] = {}

    def remove(reason: str, which: Mask) -> None:
        removed[reason] = int((used & which).sum())
        used[which] = False

    remove("user_does_not_train", held & ~trains[pairs.user])
    if not isinstance(settings, GlobalTemporal):
        return part, cold, used, removed
    remove("heard_before_start", held & pairs.played_before)
    if settings.cold == "drop":
        remove("item_does_not_train", held & cold)
    if settings.valid == "period":
        early = np.zeros(len(log.items), dtype=bool)
        early[pairs.item[cold & (part == VALID)]] = True
        remove("first_played_in_validation", (part == TEST) & early[pairs.item])
    else:
        valid_users, valid_items = draw_validation(settings, pairs, log, used & held, cold)
        part[held & valid_users[pairs.user]] = VALID
        remove("cold_item_of_other_half", cold & ((part == VALID) != valid_items[pairs.item]))
    return part, cold, used, removed


def _known(items: pl.Series, known_items: Iterable[str] | None) -> Mask:
    """Which items (N,) are known."""
    if known_items is None:
        return np.ones(len(items), dtype=bool)
    known = pl.Series("known", list(known_items), dtype=pl.String)
    codes = known.cast(pl.Enum(items), strict=False).to_physical().drop_nulls()
    mask = np.zeros(len(items), dtype=bool)
    mask[codes.to_numpy()] = True
    if not mask.any():
        examples = f"{items[0]!r} in the log" + (f", {known.min()!r} among those with audio" if len(known) else "")
        raise BenchError(
            f"split: none of the log's {len(items)} items is among the {len(known)} with audio; "
            f"compare their ids ({examples})."
        )
    return mask


def _take(pairs: Pairs, rows: Mask) -> Pairs:
    return pairs if rows.all() else Pairs(*(getattr(pairs, name)[rows] for name in Pairs.__annotations__))


def _outlying(log: LogSummary, settings: SplitSettings) -> list[str]:
    """Return a sentence for each end of the log with outlying plays, and how they change a cut that is not given."""
    found = [str(one) for one in log.outlying]
    if not found or not isinstance(settings, GlobalTemporal) or settings.cut is not None:
        return found
    first = next((one.next for one in log.outlying if one.early), log.first)
    last = next((one.next for one in log.outlying if not one.early), log.last)
    try:
        cuts = [settings.resolve(*span).cut for span in ((log.first, log.last), (first, last))]
    except BenchError:
        return found
    moved = "" if cuts[0] == cuts[1] else f"; they move the cut from {cuts[1]} to {cuts[0]}"
    return [*found[:-1], found[-1] + moved]


def _check_not_empty(
    parts: NDArray[np.int8], settings: SplitSettings, bounds: Bounds, removed: dict[str, int], far: Sequence[str]
) -> None:
    """Raise an error if there are no training pairs or no test pairs."""
    dates = f"start {settings.start}, cut {iso(bounds.cut)}, end {settings.end}"
    advice = "Choose an earlier cut or a later end."
    if not isinstance(settings, GlobalTemporal):
        dates, advice = f"{settings.kind} {settings.describe()}", "Choose other settings, or a longer log."
    blamed = "".join(f" {text}." for text in far)
    if not (parts == TRAIN).any():
        raise BenchError(
            f"split: no training pairs: no play between {settings.start} and {iso(bounds.trained)} ({dates}). "
            f"Choose other dates, or check the known items.{blamed}"
        )
    if not (parts == TEST).any():
        reasons = ", ".join(f"{reason}: {number}" for reason, number in removed.items() if number) or "none"
        raise BenchError(
            f"split: no test pairs are left ({dates}). Held-out pairs left out: {reasons}. {advice}{blamed}"
        )


def _select(pairs: Pairs, part: NDArray[np.int8], cold: Mask, used: Mask) -> pl.DataFrame:
    """Return the columns of `Split.pairs` for the used pairs, with ids as codes, unsorted."""
    small = {"user": np.int32, "item": np.int32, "count": np.int32}
    columns = {
        name: getattr(pairs, name)[used].astype(small.get(name, np.int64), copy=False)
        for name in ("user", "item", "first", "last", "count")
    }
    return pl.DataFrame({**columns, "part": part[used].astype(np.uint8), "cold": cold[used]})


def _frame(coded: pl.DataFrame, log: LogSummary) -> tuple[pl.DataFrame, dict[str, Coded]]:
    """Return `Split.pairs` (ids as text, sorted by user, first play, item), and its ids as codes."""
    coded = coded.sort("user", "first", "item")
    names = pl.Series("part", _PART_NAMES, dtype=PARTS)
    ids = {"user": log.users, "item": log.items, "part": names}
    named = coded.with_columns(**{name: values.gather(coded[name]) for name, values in ids.items()})
    numbers = {name: Coded.among(ids[name], coded[name].to_numpy()) for name in ("user", "item")}
    return named.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items()), numbers


def _counts(coded: pl.DataFrame, log: LogSummary) -> dict[str, Any]:
    """Return numbers of users, items, pairs and plays for each part, hot and cold separately."""
    parts, cold = coded["part"].to_numpy(), coded["cold"].to_numpy()
    user, item, count = (coded[name].to_numpy() for name in ("user", "item", "count"))

    def numbers(part: str, is_cold: bool) -> dict[str, int]:
        rows = np.flatnonzero((parts == _PART_NAMES.index(part)) & (cold == is_cold))
        return {
            "users": _distinct(user[rows], len(log.users)),
            "items": _distinct(item[rows], len(log.items)),
            "pairs": len(rows),
            "plays": int(count[rows].sum(dtype=np.int64)),
        }

    size = {"plays": log.plays, "users": len(log.users), "items": len(log.items)}
    held = {part: {"hot": numbers(part, False), "cold": numbers(part, True)} for part in ("valid", "test")}
    span = {"first": iso(log.first), "last": iso(log.last)}
    return {"log": size | span, "train": numbers("train", False), **held}


def _distinct(codes: NDArray[np.int32], number: int) -> int:
    occurs = np.zeros(number, dtype=np.bool_)
    occurs[codes] = True
    return int(occurs.sum())
