"""A log split: which pairs train, which validate, which test, and which leave."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.listening.times import iso
from bench.splits.assign import TEST, TRAIN, VALID, Halves, assigned
from bench.splits.pairs import Pairs, Survey, collapse, survey
from bench.splits.settings import SPLITS, SplitSettings
from bench.splits.split import PARTS, SCHEMA, Coded, History, Part, Split, Truth, Which, fingerprint
from bench.splits.temporal import Bounds, GlobalTemporal

__all__ = ["SPLITS", "GlobalTemporal", "History", "Part", "Split", "SplitSettings", "Truth", "Which", "make"]

_PART_NAMES = ("train", "valid", "test")

Mask = NDArray[np.bool_]


def make(
    listens: pl.LazyFrame,
    settings: SplitSettings | None = None,
    *,
    known_items: Iterable[str] | None = None,
) -> Split:
    """Split a log (user, item, time); see `GlobalTemporal`, `ColdRandom` and `LeaveLastOut` for the settings.

    By time: plays outside [start, end) are left out. A pair trains when its first play lies before the end of
    training; later first plays are held out, when their user trains. An item that nobody played in training
    is cold. With valid="users", validation users have no test pairs and the cold items are shared out
    between the two; pairs of the other combination leave. With valid="period", test items are cold when
    nobody played them before the cut; those first played during validation leave the test.

    `known_items` (those with audio) restricts the catalogue; everything else leaves the log. Rows may come
    in any order. The log is streamed three times; memory grows with pairs, not plays.

    Raises
    ------
    BenchError
        The log is empty or has nulls, the dates do not fit it, none of its items is known, nobody trains,
        or nothing is left to test.

    """
    settings = GlobalTemporal() if settings is None else settings
    log = survey(listens, settings)
    settings = settings.resolve(log.first, log.last)
    bounds = settings.bounds()
    pairs = collapse(listens, log, bounds, look_back=getattr(settings, "novelty", "") == "all_history")
    unknown = ~_known(log.items, known_items)[pairs.item]
    rest = _take(pairs, ~unknown)
    part, cold, kept, leaving = _assign(rest, log, settings, bounds)
    _refuse_empty(part[kept], settings, bounds, leaving)
    left_out = {
        "plays": {
            "before_start": log.before,
            "from_end_on": log.after,
            "unknown_items": int(pairs.plays[unknown].sum()),
        },
        "items_unknown": len(np.unique(pairs.item[unknown])),
        "pairs": leaving,
    }
    chosen = _chosen(rest, part, cold, kept)
    del pairs, rest, part, cold, kept, unknown  # before their copies are sorted
    counts = _counts(chosen, log) | {"left_out": left_out}
    frame, coded = _frame(chosen, log)
    return Split.of(frame, settings, counts, fingerprint(frame, settings, coded), coded)


def _assign(
    pairs: Pairs, log: Survey, settings: SplitSettings, bounds: Bounds
) -> tuple[NDArray[np.int8], Mask, Mask, dict[str, int]]:
    """Part, cold and kept (P,) of every pair, and how many leave for which reason."""
    part = assigned(pairs, settings, bounds)
    held = part != TRAIN
    trains, hot = np.zeros(len(log.users), dtype=bool), np.zeros(len(log.items), dtype=bool)
    trains[pairs.user[~held]] = True
    hot[pairs.item[~held]] = True
    cold = ~hot[pairs.item]
    kept = np.ones(len(part), dtype=bool)
    leaving: dict[str, int] = {}

    def leave(reason: str, which: Mask) -> None:
        leaving[reason] = int((kept & which).sum())
        kept[which] = False

    leave("user_does_not_train", held & ~trains[pairs.user])
    if not isinstance(settings, GlobalTemporal):
        return part, cold, kept, leaving
    leave("heard_before_start", held & pairs.heard)
    if settings.cold == "drop":
        leave("item_does_not_train", held & cold)
    if settings.valid == "period":
        early = np.zeros(len(log.items), dtype=bool)
        early[pairs.item[cold & (part == VALID)]] = True
        leave("first_played_in_validation", (part == TEST) & early[pairs.item])
    else:
        halves = Halves(settings, pairs, log, kept & held, cold)
        part[held & halves.valid_users[pairs.user]] = VALID
        leave("cold_item_of_other_half", cold & ((part == VALID) != halves.valid_items[pairs.item]))
    return part, cold, kept, leaving


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


def _refuse_empty(parts: NDArray[np.int8], settings: SplitSettings, bounds: Bounds, leaving: dict[str, int]) -> None:
    """Refuse a split without training or without test pairs."""
    dates = f"start {settings.start}, cut {iso(bounds.cut)}, end {settings.end}"
    advice = "Choose an earlier cut or a later end."
    if not isinstance(settings, GlobalTemporal):
        dates, advice = f"{settings.kind} {settings.describe()}", "Choose other settings, or a longer log."
    if not (parts == TRAIN).any():
        raise BenchError(
            f"split: nobody trains: no play between {settings.start} and {iso(bounds.trained)} ({dates}). "
            "Choose other dates, or look at the known items."
        )
    if not (parts == TEST).any():
        reasons = ", ".join(f"{reason}: {number}" for reason, number in leaving.items() if number) or "none"
        raise BenchError(
            f"split: no test pairs are left ({dates}). Held-out pairs that had to leave: {reasons}. {advice}"
        )


def _chosen(pairs: Pairs, part: NDArray[np.int8], cold: Mask, kept: Mask) -> pl.DataFrame:
    """Return the columns of `Split.pairs` for the pairs that are kept, ids as numbers, unsorted."""
    small = {"user": np.int32, "item": np.int32, "count": np.int32}
    columns = {
        name: getattr(pairs, name)[kept].astype(small.get(name, np.int64), copy=False)
        for name in ("user", "item", "first", "last", "count")
    }
    return pl.DataFrame({**columns, "part": part[kept].astype(np.uint8), "cold": cold[kept]})


def _frame(coded: pl.DataFrame, log: Survey) -> tuple[pl.DataFrame, dict[str, Coded]]:
    """Return `Split.pairs` (text ids, sorted by user, first play, item), and its ids as numbers."""
    coded = coded.sort("user", "first", "item")
    names = pl.Series("part", _PART_NAMES, dtype=PARTS)
    ids = {"user": log.users, "item": log.items, "part": names}
    named = coded.with_columns(**{name: values.gather(coded[name]) for name, values in ids.items()})
    numbers = {name: Coded.among(ids[name], coded[name].to_numpy()) for name in ("user", "item")}
    return named.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items()), numbers


def _counts(coded: pl.DataFrame, log: Survey) -> dict[str, Any]:
    """Users, items and pairs per part, hot and cold apart, for plans and records."""
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
    there = np.zeros(number, dtype=np.bool_)
    there[codes] = True
    return int(there.sum())
