from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from bench.errors import BenchError
from bench.splits import near_duplicates as duplicates
from bench.splits.leaks import assert_sound, check, near_duplicates
from bench.splits.make import GlobalTemporal, Split, make
from bench.splits.temporal import seconds

DAY = 86_400
CUT = seconds("2020-03-01", "cut")


def log() -> pl.LazyFrame:
    """Users u0..u9: three items each before the cut, two hot and one cold item after it."""
    rows = []
    for u in range(10):
        rows += [(f"u{u}", f"h{(u + n) % 10}", CUT - (20 - n) * DAY) for n in range(3)]
        rows += [(f"u{u}", f"h{(u + n) % 10}", CUT + n * DAY) for n in (4, 5)]
        rows += [(f"u{u}", f"c{u % 4}", CUT + 7 * DAY)]
    rows += [("u0", "v", CUT - DAY)]
    frame = pl.DataFrame(rows, schema={"user": pl.String, "item": pl.String, "time": pl.Int64}, orient="row")
    return frame.with_columns(pl.from_epoch("time")).lazy()


@pytest.fixture(scope="module", params=["users", "period"])
def split(request) -> Split:
    chosen = {"valid": "period", "valid_days": 18} if request.param == "period" else {}
    return make(log(), GlobalTemporal(cut="2020-03-01", cold_valid=0.5, **chosen))


def broken(split: Split, row: int, **values) -> Split:
    """The split with one row of its pairs changed."""
    here = pl.int_range(pl.len()) == row
    changes = [
        pl.when(here).then(pl.lit(value)).otherwise(name).cast(split.pairs.schema[name]).alias(name)
        for name, value in values.items()
    ]
    return replace(split, pairs=split.pairs.with_columns(changes))


def row(split: Split, part: str, cold: bool = False) -> int:
    return int(np.flatnonzero((split.pairs["part"] == part) & (split.pairs["cold"] == cold))[0])


def test_a_sound_split_passes(split):
    assert check(split).errors == ()
    assert_sound(split)


BREAKS = {
    "a training play at or after the end of training": ("train", False, {"last": CUT + 1}),
    "a held-out first play within training": ("test", False, {"first": CUT - 30 * DAY}),
    "a test pair first played before the cut": ("test", False, {"first": CUT - 1}),
    "a held-out user who does not train": ("test", False, {"user": "stranger"}),
    "a cold item in training": ("test", True, {"item": "h1"}),
    "a hot held-out item that does not occur in training": ("test", True, {"cold": False}),
    "a play outside the window": ("test", False, {"last": CUT + 99 * DAY}),
    "a last play before the first": ("test", False, {"last": CUT - 50 * DAY}),
    "a count below one": ("train", False, {"count": 0}),
    "rows out of order": ("train", False, {"user": "zzz"}),
}


@pytest.mark.parametrize("rule", BREAKS)
def test_each_rule_speaks_up(split, rule):
    part, cold, values = BREAKS[rule]
    bad = broken(split, row(split, part, cold), **values)
    errors = [error for error in check(bad).errors if error.startswith(rule)]
    assert len(errors) == 1
    assert ": 1 pair (user 'u" in errors[0] or ": 1 pair (user '" in errors[0]
    assert "item '" in errors[0]
    with pytest.raises(BenchError, match=rule):
        assert_sound(bad)


def test_a_pair_twice(split):
    training = split.pairs.row(row(split, "train"), named=True)
    place = next(
        n
        for n, pair in enumerate(split.pairs.iter_rows(named=True))
        if pair["part"] == "test" and pair["user"] != training["user"]
    )
    bad = broken(split, place, user=training["user"], item=training["item"])
    message = next(error for error in check(bad).errors if error.startswith("a pair twice"))
    assert message.count(repr(training["item"])) == 2


def test_users_and_cold_items_of_both_parts(split):
    valid, test = row(split, "valid", True), row(split, "test", True)
    same_item = broken(split, test, item=split.pairs["item"][valid])
    assert any("a cold item in both" in error for error in check(same_item).errors) == (valid != test)
    same_user = broken(split, test, part="valid")
    found = any("a user in both" in error for error in check(same_user).errors)
    assert found == (split.settings.valid == "users")


def test_validation_after_the_cut():
    split = make(log(), GlobalTemporal(cut="2020-03-08", valid="period", valid_days=10))
    bad = broken(split, row(split, "valid"), last=seconds("2020-03-08", "cut"))
    assert any("a validation play at or after the cut" in error for error in check(bad).errors)


def test_at_most_five_rows_are_shown(split):
    bad = replace(split, pairs=split.pairs.with_columns(count=pl.lit(0, pl.Int32)))
    message = next(error for error in check(bad).errors if error.startswith("a count"))
    assert message.count("user '") == 5
    assert f"{split.pairs.height} pairs" in message
    assert message.endswith(", ...)")


def test_warnings():
    split = make(log(), GlobalTemporal(cut="2020-03-01", valid_share=0, cold_valid=0))
    warnings = " ".join(check(split).warnings)
    assert "no validation pairs" in warnings
    assert "only 10 cold test pairs of 4 items" in warnings
    bad = replace(split, pairs=split.pairs.with_columns(pl.col("item").replace("h3", "h2 ")))
    assert "2 item ids differ only by blanks" in " ".join(check(bad).warnings)


def test_artist_overlap():
    split = make(log(), GlobalTemporal(cut="2020-03-01", valid_share=0, cold_valid=0))
    artists = {f"h{n}": "one" if n < 5 else "two" for n in range(10)}
    artists |= {"c0": "one", "c1": "two", "c2": None, "c3": "", "v": "one"}
    titles = dict.fromkeys(artists, "same")
    meta = pl.DataFrame({"track_id": list(artists), "artist": list(artists.values()), "title": list(titles.values())})
    history, hits, known = {}, {False: 0, True: 0}, {False: 0, True: 0}
    for pair in split.pairs.iter_rows(named=True):
        if pair["part"] == "train":
            history.setdefault(pair["user"], set()).add(artists[pair["item"]])
    for pair in split.pairs.iter_rows(named=True):
        if pair["part"] == "test" and artists[pair["item"]]:
            known[pair["cold"]] += 1
            hits[pair["cold"]] += artists[pair["item"]] in history[pair["user"]]
    numbers = check(split, meta).numbers
    assert numbers["artist_overlap_hot"] == hits[False] / known[False]
    assert numbers["artist_overlap_cold"] == hits[True] / known[True]
    assert (numbers["artist_known_hot"], numbers["artist_known_cold"]) == (20, known[True])
    assert numbers["title_overlap_hot"] == numbers["artist_overlap_hot"]
    assert 0 < numbers["artist_overlap_hot"] < 1
    nobody = check(split, meta.with_columns(artist=pl.lit(None, pl.String))).numbers
    assert nobody["artist_overlap_hot"] is None
    assert check(split, meta.select("track_id")).numbers == {}
    (hot,) = (text for text in check(split, meta).warnings if "hot test pairs" in text)
    assert hot.endswith(
        "of 20 hot test pairs are of an artist and title their listener trains on under another id: free hits"
    )
    alone = meta.with_columns(artist=pl.lit("one"), title=pl.col("track_id"))
    assert "100.0% of 20 hot test pairs are by artists their listener trains on" in " ".join(
        check(split, alone).warnings
    )


@pytest.mark.parametrize("block", [1, 7, 4096])
def test_near_duplicates(monkeypatch, block):
    monkeypatch.setattr(duplicates, "BLOCK", block)
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(40, 16)).astype(np.float32)
    vectors[20] = 3 * vectors[4]
    vectors[30] = vectors[4] + 1e-4
    vectors[11] = 1e-30 * vectors[8]
    vectors[5], vectors[6], vectors[7], vectors[9] = 0, 0, 2, 2
    ids = [f"t{n}" for n in range(40)]
    expected = [("t4", "t20"), ("t4", "t30"), ("t8", "t11"), ("t20", "t30")]
    assert near_duplicates(vectors, ids) == (expected, 4)
    assert near_duplicates(vectors, ids, limit=2) == (expected[:2], 4)
    assert near_duplicates(vectors, ids, limit=0) == ([], 4)
    assert near_duplicates(vectors[:4], ids[:4]) == ([], 0)
    assert near_duplicates(vectors, ids, threshold=-1.01).total == 36 * 35 // 2


def test_near_duplicates_refuse_what_they_cannot_compare():
    vectors = np.ones((3, 2), dtype=np.float32)
    with pytest.raises(BenchError, match="do not fit 2 ids"):
        near_duplicates(vectors, ["a", "b"])
    vectors[1, 0] = np.nan
    with pytest.raises(BenchError, match="'b' is not finite"):
        near_duplicates(vectors, ["a", "b", "c"])
    assert near_duplicates(np.empty((0, 4), dtype=np.float32), []) == ([], 0)
    assert near_duplicates(np.empty((3, 0), dtype=np.float32), ["a", "b", "c"]) == ([], 0)
