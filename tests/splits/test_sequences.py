"""Every training play beside the pairs."""

import numpy as np
import polars as pl

from bench.splits.make import GlobalTemporal, make
from bench.splits.sequences import with_plays
from bench.splits.temporal import seconds

PLAYS = [
    ("a", "x", "2019-12-01"),  # before the window
    ("a", "x", "2020-01-05"),
    ("a", "y", "2020-01-02"),
    ("a", "x", "2020-01-02"),
    ("a", "x", "2020-03-05"),  # a repeat after the cut
    ("b", "x", "2020-02-01"),
    ("b", "q", "2020-02-02"),  # unknown
    ("b", "y", "2020-03-02"),
    ("a", "z", "2020-03-02"),
    ("c", "x", "2020-03-02"),  # does not train
]


def log(plays=PLAYS) -> pl.LazyFrame:
    rows = [(user, item, seconds(time, "time")) for user, item, time in plays]
    frame = pl.DataFrame(rows, schema={"user": pl.String, "item": pl.String, "time": pl.Int64}, orient="row")
    return frame.with_columns(pl.from_epoch("time", time_unit="s").dt.replace_time_zone("UTC")).lazy()


def test_training_plays_in_order():
    settings = GlobalTemporal(start="2020-01-01", cut="2020-03-01", valid_share=0, sequence="all_plays")
    split = make(log(), settings, known_items={"x", "y", "z"})
    assert split.train.plays is None
    rich = with_plays(split, log())
    plays = rich.train.plays
    named = [(rich.users[u], rich.items[i], int(t)) for u, i, t in zip(plays.user, plays.item, plays.time, strict=True)]
    assert named == [
        ("a", "x", seconds("2020-01-02", "")),
        ("a", "y", seconds("2020-01-02", "")),
        ("a", "x", seconds("2020-01-05", "")),
        ("b", "x", seconds("2020-02-01", "")),
    ]
    assert len(plays) == 4 == rich.train.count.sum()
    assert (plays.user.dtype, plays.item.dtype, plays.time.dtype) == (np.int32, np.int32, np.int64)
    assert not plays.time.flags.writeable
    assert rich.fingerprint != split.fingerprint
    assert rich.fingerprint == with_plays(split, log(PLAYS[::-1])).fingerprint
    assert rich.train.item.tolist() == split.train.item.tolist()


def test_the_fingerprint_covers_plays_that_no_pair_shows():
    settings = GlobalTemporal(start="2020-01-01", cut="2020-03-01", valid_share=0, sequence="all_plays")
    more = [("a", "x", "2020-01-03"), ("a", "x", "2020-01-04")]
    one, other = ([*PLAYS, play] for play in more)
    assert make(log(one), settings).fingerprint == make(log(other), settings).fingerprint
    assert len({with_plays(make(log(plays), settings), log(plays)).fingerprint for plays in (one, other)}) == 2


def test_counts_agree_on_a_larger_log():
    rng = np.random.default_rng(0)
    size = 5_000
    day = rng.integers(0, 100, size)
    plays = [
        (f"u{u}", f"i{i}", str(np.datetime64("2020-01-01") + int(d)))
        for u, i, d in zip(rng.integers(0, 30, size), rng.integers(0, 40, size), day, strict=True)
    ]
    split = with_plays(make(log(plays), GlobalTemporal(cut="2020-03-01")), log(plays))
    train, found = split.train, split.train.plays
    key, wanted = found.user.astype(int) * 40 + found.item, train.user.astype(int) * 40 + train.item
    pairs, counts = np.unique(key, return_counts=True)
    order = np.argsort(wanted)
    assert pairs.tolist() == wanted[order].tolist()
    assert counts.tolist() == train.count[order].tolist()
    assert (np.lexsort((found.item, found.time, found.user)) == np.arange(len(found))).all()
