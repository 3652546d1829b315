"""Split the tracks of a collection without an official split, so that no artist is in two parts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.protocols import PARTS


def by_artist(
    ids: Sequence[str],
    artists: Sequence[str | None] | None,
    *,
    valid: float,
    test: float,
    strata: Sequence[str] | None = None,
) -> tuple[list[str], list[str]]:
    """Return the part and the group of each track.

    The groups are the artists; a track whose artist is unknown is a group by itself. The groups, in the order of
    the sha256 of their names, fill the test part, then validation, then training. So the split needs no seed, and
    does not depend on the order of the tracks. With `strata` (the class of each track) each class is split
    separately; an artist belongs to its most frequent class.

    Raises
    ------
    BenchError
        If a part would be empty.

    """
    known = artists if artists is not None else [None] * len(ids)
    names = [artist.strip() or track if artist else track for artist, track in zip(known, ids, strict=True)]
    share = _places(names, strata)
    part = np.select([share < test, share < test + valid], ["test", "valid"], "train").tolist()
    _check_all(part, names)
    return part, names


def around_held_out(
    held: Sequence[bool], groups: Sequence[str], *, valid: float, strata: Sequence[str] | None = None
) -> list[str]:
    """Return the part of each track: test if it is held out, validation for a share `valid` of the other tracks.

    The groups of the other tracks, in the order of the sha256 of their names, fill validation, then training; with
    `strata`, as in `by_artist`.

    Raises
    ------
    BenchError
        If a part would be empty.

    """
    part = np.where(held, "test", "train").astype("<U5")
    rest = np.flatnonzero(part == "train").tolist()
    share = _places([groups[at] for at in rest], None if strata is None else [strata[at] for at in rest])
    part[np.asarray(rest, np.int64)[share < valid]] = "valid"
    found: list[str] = part.tolist()
    _check_all(found, groups)
    return found


def _places(groups: Sequence[str], strata: Sequence[str] | None) -> NDArray[np.float64]:
    """Return the share of the tracks (of a stratum) that come before the middle of each track's group (n,)."""
    frame = pl.DataFrame(
        {"group": groups, "stratum": strata if strata is not None else [""] * len(groups)},
        schema={"group": pl.String, "stratum": pl.String},
    )
    sizes = frame.group_by("group").agg(pl.len(), pl.col("stratum").sort().mode(maintain_order=True).first())
    order = [hashlib.sha256(name.encode()).hexdigest() for name in sizes["group"].to_list()]
    sizes = sizes.with_columns(order=pl.Series(order, dtype=pl.String)).sort("order")
    # The middle of a group decides, so that a large group goes to the part with most of its tracks.
    middle = pl.col("len").cum_sum() - pl.col("len") / 2
    sizes = sizes.with_columns(place=(middle / pl.col("len").sum()).over("stratum"))
    return frame.join(sizes, on="group", how="left", maintain_order="left")["place"].to_numpy()


def _check_all(parts: Sequence[str], groups: Sequence[str]) -> None:
    if lacking := [name for name in PARTS if name not in parts]:
        raise BenchError(
            f"{len(parts)} tracks of {len(set(groups))} artists leave no {' and no '.join(lacking)} part. "
            "More labelled tracks by more artists are needed."
        )


def frequent(parts: Sequence[str] | NDArray[np.str_], columns: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    """Return which labels (L,) have `least` training, one validation and one test item in `columns` (n, L)."""
    part = np.asarray(parts)
    counts = {name: columns[part == name].sum(axis=0) for name in PARTS}
    return np.asarray((counts["train"] >= least) & (counts["valid"] > 0) & (counts["test"] > 0))
