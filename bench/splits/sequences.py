"""All training plays in order of time, for sequence models that use repeated plays."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import polars as pl

from bench.protocols import Plays
from bench.splits.pairs import whole_seconds
from bench.splits.split import Split


def with_plays(split: Split, listens: pl.LazyFrame) -> Split:
    """Return the split with `Split.plays` read from `listens`, the log it was made from.

    These are the plays of training pairs in [start, end of training). The fingerprint covers them. Peak memory
    is about 50 bytes per training play.
    """
    bounds, time = split.settings.bounds(), pl.col("time")
    code = {
        name: pl.col(name).cast(pl.Enum(pl.Series(ids)), strict=False).to_physical().cast(pl.Int32)
        for name, ids in (("user", split.users), ("item", split.items))
    }
    within = whole_seconds(listens).filter((time >= bounds.start) & (time < bounds.trained))
    rows = within.select("time", **code).drop_nulls().collect(engine="streaming")
    user, item = (rows[name].to_numpy().astype(np.int64) for name in ("user", "item"))
    width, train = len(split.items), split.train
    known = np.sort(train.user.astype(np.int64) * width + train.item)
    key = user * width + item
    at = np.searchsorted(known, key)
    trains = known[np.minimum(at, len(known) - 1)] == key
    ordered = rows.filter(pl.Series(trains)).sort("user", "time", "item")
    plays = Plays(*(ordered[name].to_numpy().copy() for name in ("user", "item", "time")))
    sha = hashlib.sha256(split.fingerprint.encode())
    for array, kind in ((plays.user, "<i4"), (plays.item, "<i4"), (plays.time, "<i8")):
        sha.update(np.ascontiguousarray(array, dtype=kind).data)
    return replace(split, plays=plays, fingerprint=sha.hexdigest())
