"""One broken clock: who is found, where, and what is said of the cut that it moves."""

import bz2

import numpy as np
import polars as pl
import pytest

from bench.errors import BenchError
from bench.listening.log_dataset import FileDataset
from bench.splits.leaks import check
from bench.splits.make import GlobalTemporal, make
from bench.splits.outlying import Outlying, may_have, outlying, placed
from bench.splits.storage import read, write
from bench.splits.untimed import LeaveLastOut

DAY = 86_400
START = 1_546_300_800  # 2019-01-01
YEAR = 365 * DAY


def plays(extra=(), users=30, days=365, n=3000):
    """Plays of a year, a few odd ones first."""
    rng = np.random.default_rng(0)
    rows = [(f"u{u:02d}", f"i{i:02d}", START + int(t)) for u, i, t in zip(
        rng.integers(0, users, n), rng.integers(0, 40, n), np.sort(rng.integers(0, days * DAY, n)), strict=True
    )]  # fmt: skip
    odd = [("u07", f"i{at:02d}", time) for at, time in enumerate(extra)]
    return pl.DataFrame([*odd, *rows], schema=["user", "item", "time"], orient="row")


def log(frame):
    return frame.with_columns(pl.from_epoch("time").dt.replace_time_zone("UTC")).lazy()


def found(extra, **more):
    frame = plays(extra, **more)
    return outlying(frame.lazy(), frame.height)


def test_plays_years_before_and_after_are_found():
    (early,) = found([0])
    assert (early.plays, early.first, early.last, early.early) == (1, 0, 0, True)
    assert 0 <= early.next - START < DAY
    assert early.shown == ("user 'u07' item 'i00' 1970-01-01T00:00:00Z",)
    (late,) = found([START + 2 * YEAR, START + 4 * YEAR])
    assert (late.plays, late.first, late.last, late.early) == (2, START + 2 * YEAR, START + 4 * YEAR, False)
    assert START + 360 * DAY < late.next < START + YEAR
    assert [one.early for one in found([5, START + 9 * YEAR])] == [True, False]
    one = found([0, START - 3 * YEAR])[0]  # of two gaps the inner one ends the outlying plays
    assert (one.plays, one.last) == (2, START - 3 * YEAR)


def test_what_is_not_far_or_not_rare_is_not_outlying():
    assert not found([])
    assert not found([START - 29 * DAY])
    assert not found([START - 150 * DAY])  # less than half of a year
    assert not found([START - 150 * DAY, START - 20 * DAY], n=2000)
    assert found([START - 200 * DAY])
    assert not found([0, 1, 2, 3], n=3000)  # one play in a thousand is few, four in 3,000 are not
    assert not found([0], n=18)
    assert not outlying(plays([0]).filter(pl.col("time") > 0).lazy(), 3000)
    same = pl.DataFrame({"user": ["a"] * 40, "item": ["x"] * 40, "time": [START] * 40})
    assert not outlying(same.lazy(), 40)


@pytest.mark.parametrize("extra", [(), (0,), (START + 9 * YEAR,), (0, START - 3 * YEAR), (START - 29 * DAY,)])
def test_sparing_a_look_hides_nothing(extra):
    for users in (1, 2, 30, 500):
        frame = plays(extra, users=users)
        ends = frame.group_by("user").agg(first=pl.col("time").min(), last=pl.col("time").max())
        if outlying(frame.lazy(), frame.height):
            assert may_have(ends["first"].to_numpy(), ends["last"].to_numpy(), frame.height)
    even = np.arange(5000) * 60 + START
    assert not may_have(even, even + YEAR, 10**6)


def test_the_cut_that_moves_is_named_and_kept_with_the_split(tmp_path):
    plain, moved = (make(log(plays(extra)), GlobalTemporal()) for extra in ((), (0,)))
    assert "outlying" not in plain.counts
    (text,) = moved.counts["outlying"]
    assert f"they move the cut from {plain.settings.cut} to {moved.settings.cut}" in text
    assert text.startswith("1 play lies 49 years before all others")
    again = read(write(moved, tmp_path))
    assert text in check(again).warnings
    assert not any("years" in text for text in check(plain).warnings)
    # A window that leaves it out says nothing more; a cut that is given does not move.
    assert "outlying" not in make(log(plays([0])), GlobalTemporal(start="2019-01-01")).counts
    (given,) = make(log(plays([0])), GlobalTemporal(cut="2019-11-01")).counts["outlying"]
    assert "move the cut" not in given
    (last,) = make(log(plays([START + 30 * YEAR])), LeaveLastOut()).counts["outlying"]
    assert "29 years after all others" in last
    assert "NAME:end=2020-01-0" in last or "NAME:end=2019-12-31" in last


def test_what_the_sentence_says_to_leave_out_is_left_out():
    for extra, name in (([0], "start"), ([START + 9 * YEAR], "end")):
        (one,) = found(extra)
        date = str(one).rpartition(f"{name}=")[2]
        split = make(log(plays(extra)), GlobalTemporal(cut="2019-11-01", **{name: date}))
        assert "outlying" not in split.counts
        out = split.counts["left_out"]["plays"]
        assert out["before_start"] + out["from_end_on"] == 1


def test_an_empty_split_is_blamed_on_the_broken_clock():
    with pytest.raises(BenchError, match=r"no test pairs are left.*1 play lies .* years after all others"):
        make(log(plays([START + 30 * YEAR], users=1).filter(pl.col("item") != "i00").vstack(
            pl.DataFrame([("u99", "i01", START + 30 * YEAR)], schema=["user", "item", "time"], orient="row")
        )), GlobalTemporal())  # fmt: skip


def write_csv(frame, path):
    frame.write_csv(path)


def write_bz2(frame, path):
    path.write_bytes(bz2.compress(frame.write_csv().encode()))


def write_parquet(frame, path):
    frame.write_parquet(path)


@pytest.mark.parametrize(
    ("write", "line"), [(write_csv, "line 1002"), (write_bz2, "line 1002"), (write_parquet, "row 1001")]
)
def test_the_line_is_named(tmp_path, write, line):
    frame = plays()
    odd = pl.DataFrame([("u07", "i01", 155)], schema=["user", "item", "time"], orient="row")
    path = tmp_path / "plays.data"
    write(pl.concat([frame[:1000], odd, frame[1000:]]), path)
    dataset = FileDataset(path)
    root = dataset.prepare(None, tmp_path)
    split = make(dataset.listens(root), places=lambda first, last: dataset.places(root, first, last))
    (text,) = split.counts["outlying"]
    assert f"{path}, {line}: user 'u07' item 'i01' 1970-01-01T00:02:35Z" in text


def test_places_that_are_not_known_are_left_out():
    one = Outlying(2, 0, 5, START, ("a", "b"))
    assert placed(one, lambda first, last: ()).shown == ("a", "b")
    assert placed(one, lambda first, last: [f"from {first} to {last}"]).shown == ("from 0 to 5: a", "b")


@pytest.mark.parametrize(("users", "warned"), [(5, True), (60, False)])
def test_few_listeners_in_test_are_warned_of(users, warned):
    split = make(log(plays(users=users, n=35 * users)), GlobalTemporal(valid_share=0))
    tested = split.pairs.filter(pl.col("part") == "test")["user"].n_unique()
    assert (tested < 20) == warned
    assert any(f"only {tested} listener" in text for text in check(split).warnings) == warned
