from contextlib import suppress
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from bench.errors import BenchError
from bench.listening.times import iso
from bench.splits.assign import _ascending
from bench.splits.make import GlobalTemporal, Split, make
from bench.splits.storage import read, write
from bench.splits.temporal import DAY, seconds


def log(plays) -> pl.LazyFrame:
    """A log of (user, item, second or ISO text)."""
    rows = [(user, item, seconds(time, "time") if isinstance(time, str) else time) for user, item, time in plays]
    frame = pl.DataFrame(rows, schema={"user": pl.String, "item": pl.String, "time": pl.Int64}, orient="row")
    return frame.with_columns(pl.from_epoch("time", time_unit="s").dt.replace_time_zone("UTC")).lazy()


def table(split: Split) -> dict:
    return {(row[0], row[1]): row[2:] for row in split.pairs.rows()}


def parts(split: Split) -> dict:
    return {pair: ("cold " if cold else "") + part for pair, (*_, part, cold) in table(split).items()}


def t(text: str) -> int:
    return seconds(text, "time")


SMALL = [
    ("a", "x", "2019-12-31"),  # before the window
    ("a", "x", "2020-01-02"),
    ("a", "x", "2020-01-05"),
    ("a", "x", "2020-03-05"),  # a repeat after the cut: no news, and not counted
    ("a", "y", "2020-03-01"),  # the very second of the cut: held out
    ("a", "z", "2020-03-02"),  # cold
    ("b", "y", "2020-02-29T23:59:59Z"),  # the last second of training
    ("b", "x", "2020-03-03"),
    ("b", "x", "2020-03-04"),
    ("c", "x", "2020-03-03"),  # never trained
    ("b", "w", "2020-04-01"),  # end is exclusive
]
DATES = {"start": "2020-01-01", "cut": "2020-03-01", "end": "2020-04-01"}


def test_small_log_by_hand():
    split = make(log(SMALL), GlobalTemporal(**DATES, valid_share=0))
    assert table(split) == {
        ("a", "x"): (t("2020-01-02"), t("2020-01-05"), 2, "train", False),
        ("b", "y"): (t("2020-02-29T23:59:59"), t("2020-02-29T23:59:59"), 1, "train", False),
        ("a", "y"): (t("2020-03-01"), t("2020-03-01"), 1, "test", False),
        ("b", "x"): (t("2020-03-03"), t("2020-03-04"), 2, "test", False),
    } | ({("a", "z"): (t("2020-03-02"), t("2020-03-02"), 1, "test", True)})
    assert split.settings.cut == "2020-03-01T00:00:00Z"
    assert split.counts["left_out"] == {
        "plays": {"before_start": 1, "from_end_on": 1, "unknown_items": 0},
        "items_unknown": 0,
        "pairs": {"user_does_not_train": 1, "heard_before_start": 0, "cold_item_of_other_half": 0},
    }
    assert split.counts["train"] == {"users": 2, "items": 2, "pairs": 2, "plays": 3}
    assert split.counts["test"]["cold"] == {"users": 1, "items": 1, "pairs": 1, "plays": 1}
    assert split.counts["log"]["plays"] == len(SMALL)


def test_small_log_derived_arrays():
    split = make(log(SMALL), GlobalTemporal(**DATES, valid_share=0))
    assert split.users == ["a", "b"]
    assert split.items == ["x", "y", "z"]
    assert split.hot.tolist() == [True, True, False]
    assert split.train.user.tolist() == [0, 1]
    assert split.train.item.tolist() == [0, 1]
    assert split.train.count.tolist() == [2, 1]
    assert split.train.user.dtype == split.train.item.dtype == split.train.count.dtype == np.int32
    assert (split.train.n_users, split.train.n_items) == (2, 3)
    assert [part.tolist() for part in split.history()] == [[0, 1, 2], [0, 1]]
    assert [part.tolist() for part in split.truth("test", "hot")] == [[0, 1], [0, 1, 2], [1, 0]]
    assert [part.tolist() for part in split.truth("test", "cold")] == [[0], [0, 1], [2]]
    assert [part.tolist() for part in split.truth("test", "mixed")] == [[0, 1], [0, 2, 3], [1, 2, 0]]
    assert [part.tolist() for part in split.truth("valid", "mixed")] == [[], [0], []]
    assert split.candidates("test", "hot").tolist() == [True, True, False]
    assert split.candidates("test", "cold").tolist() == [False, False, True]
    assert split.candidates("test", "mixed").all()
    assert not split.candidates("valid", "cold").any()


def test_all_history_knows_what_was_played_before_the_window():
    plays = [*SMALL, ("a", "y", "2019-06-01"), ("a", "q", "2019-06-01")]
    window = make(log(plays), GlobalTemporal(**DATES, valid_share=0))
    history = make(log(plays), GlobalTemporal(**DATES, valid_share=0, novelty="all_history"))
    assert set(parts(window)) - set(parts(history)) == {("a", "y")}
    assert history.counts["left_out"]["pairs"]["heard_before_start"] == 1
    assert parts(history)["a", "x"] == "train"
    assert table(history)["a", "x"][0] == t("2020-01-02")


def test_known_items_restrict_everything():
    split = make(log(SMALL), GlobalTemporal(**DATES, valid_share=0), known_items={"x", "y", "unheard"})
    assert split.items == ["x", "y"]
    assert split.counts["left_out"]["plays"]["unknown_items"] == 1
    assert split.counts["left_out"]["items_unknown"] == 1
    same = make(log(SMALL), GlobalTemporal(**DATES, valid_share=0), known_items=pl.Series(["y", "x", "x"]))
    assert same.fingerprint == split.fingerprint
    with pytest.raises(BenchError, match="none of the log's 4 items is among the 1 with audio"):
        make(log(SMALL), GlobalTemporal(**DATES), known_items=["X"])


PERIOD = [
    ("a", "x", "2020-01-05"),
    ("a", "x", "2020-02-25"),  # a repeat in the validation period
    ("a", "y", "2020-02-26"),  # validation, hot
    ("a", "v", "2020-02-27"),  # validation, cold
    ("b", "y", "2020-01-06"),
    ("b", "v", "2020-03-05"),  # began in the validation period: leaves
    ("b", "z", "2020-03-05"),  # test, cold
    ("b", "x", "2020-03-06"),  # test, hot
    ("c", "u", "2020-02-28"),  # c starts in the validation period: does not train
    ("c", "x", "2020-03-06"),
    ("a", "u", "2020-03-07"),  # known from c's untrained play: leaves
]


def test_period_by_hand():
    split = make(log(PERIOD), GlobalTemporal(**DATES, valid="period", valid_days=10))
    assert parts(split) == {
        ("a", "x"): "train",
        ("b", "y"): "train",
        ("a", "y"): "valid",
        ("a", "v"): "cold valid",
        ("b", "x"): "test",
        ("b", "z"): "cold test",
    }
    assert table(split)["a", "x"][:3] == (t("2020-01-05"), t("2020-01-05"), 1)
    assert split.counts["left_out"]["pairs"] == {
        "user_does_not_train": 2,
        "heard_before_start": 0,
        "first_played_in_validation": 2,
    }
    assert split.items == ["v", "x", "y", "z"]
    assert split.candidates("test", "mixed").tolist() == [False, True, True, True]
    assert split.candidates("valid", "mixed").tolist() == [True, True, True, False]


def crowd(users: int, items: int, cold: int, seed: int = 0) -> list:
    """Everybody trains on one item and tries two more, and two cold ones, after the cut."""
    rng = np.random.default_rng(seed)
    plays = [(f"{u}", f"h{h}", t("2020-02-01") + u) for u in range(users) for h in [u % items]]
    for u in range(users):
        hot, new = (u + 1 + rng.permutation(items - 1)[:2]) % items, rng.permutation(cold)[:2]
        plays += [(f"{u}", f"h{h}", t("2020-03-02")) for h in hot]
        plays += [(f"{u}", f"c{c}", t("2020-03-03")) for c in new]
    return plays


def test_users_mode_shares_out_users_and_cold_items():
    split = make(log(crowd(100, 20, 10)), GlobalTemporal(cut="2020-03-01"))
    valid, test = (split.truth(part, "mixed") for part in ("valid", "test"))
    assert len(valid.users) == len(test.users) == 50
    assert not set(valid.users) & set(test.users)
    cold = {part: split.candidates(part, "cold") for part in ("valid", "test")}
    assert cold["valid"].sum() == 2
    assert cold["test"].sum() == 8
    assert not (cold["valid"] & cold["test"]).any()
    assert split.counts["left_out"]["pairs"]["cold_item_of_other_half"] > 0
    other = make(log(crowd(100, 20, 10)), GlobalTemporal(cut="2020-03-01", seed=1))
    assert set(other.truth("test", "hot").users) != set(test.users)


def test_cold_items_do_not_change_which_users_validate():
    few = make(log(crowd(60, 20, 2)), GlobalTemporal(cut="2020-03-01"))
    many = make(log(crowd(60, 20, 20)), GlobalTemporal(cut="2020-03-01"))
    assert few.truth("test", "hot").users.tolist() == many.truth("test", "hot").users.tolist()


def test_validation_users_are_those_of_scikit_learn():
    # Its documented example: train_test_split(range(5), test_size=0.33, random_state=42) gives
    # train 2, 0, 3 and test 1, 4. Ids ascend as numbers, so user 10 stands after user 9.
    ids = ["7", "8", "9", "10", "11"]
    plays = [(u, f"h{u}", "2020-02-01") for u in ids] + [(u, "h7", "2020-03-02") for u in ids[1:]]
    plays += [("7", "h8", "2020-03-02")]
    split = make(log(plays), GlobalTemporal(cut="2020-03-01", valid_share=0.67))
    test = [split.users[code] for code in split.truth("test", "hot").users]
    assert sorted(test, key=int) == ["8", "11"]


def test_ids_ascend_as_numbers_only_if_all_are():
    order = lambda ids: [ids[n] for n in np.argsort(_ascending(pl.Series(ids)))]  # noqa: E731
    assert order(["007", "10", "7", "9"]) == ["007", "7", "9", "10"]
    assert order(["007", "10", "7", "9", "x"]) == ["007", "10", "7", "9", "x"]


def test_ids_stay_text():
    plays = [("007", "10", "2020-02-01"), ("7", "9", "2020-02-02"), ("007", "9", "2020-03-02")]
    split = make(log(plays), GlobalTemporal(cut="2020-03-01", valid_share=0))
    assert split.users == ["007", "7"]
    assert split.items == ["10", "9"]
    assert [split.items[i] for i in split.truth("test", "hot").item] == ["9"]


def test_integer_ids_and_naive_times_are_taken():
    frame = pl.DataFrame({"user": [2, 1, 2], "item": [5, 6, 6], "time": [datetime(2020, 1, d) for d in (1, 1, 9)]})
    split = make(frame.lazy(), GlobalTemporal(cut="2020-01-05", valid_share=0))
    assert split.users == ["1", "2"]
    assert split.pairs["first"][0] == datetime(2020, 1, 1, tzinfo=UTC).timestamp()


def test_fractions_of_a_second_belong_to_their_second():
    frame = log([("u", "i", "2020-01-01"), ("v", "j", "2020-01-01"), ("u", "j", "2020-01-09T23:59:59")])
    frame = frame.with_columns(pl.col("time") + pl.duration(milliseconds=999))
    split = make(frame, GlobalTemporal(cut="2020-01-09T23:59:59", valid_share=0))
    assert parts(split)["u", "j"] == "test"
    assert split.settings.end == "2020-01-10T00:00:00Z"


def test_default_dates():
    days = [("u", "i", 0), ("v", "j", 3600), ("u", "j", 100 * DAY - 1)]
    split = make(log(days), GlobalTemporal(valid_share=0))
    assert (split.settings.start, split.settings.cut, split.settings.end) == (
        *("1970-01-01T00:00:00Z", iso(90 * DAY), iso(100 * DAY)),
    )
    hours = [("u", "i", 0), ("v", "j", 3600), ("u", "j", 35_999)]
    assert make(log(hours), GlobalTemporal(valid_share=0)).settings.cut == "1970-01-01T09:00:00Z"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cut": "2020-03-01", "start": "2020-03-01"}, "start < cut < end"),
        ({"cut": "2020-03-01", "end": "2020-02-01"}, "start < cut < end"),
        ({"cut": "2019-01-01", "start": "2018-01-01"}, "outside the log"),
        ({"cut": "2021-01-01", "end": "2022-01-01"}, "outside the log"),
        ({"cut": "2020-02-01", "start": "2020-01-10"}, "2020-01-10T00:00:00Z and 2020-02-01T00:00:00Z"),
        ({"cut": "2020-03-06", "end": "2020-03-31"}, "no test pairs"),
        ({"cut": "2020-03-01", "valid": "period", "valid_days": 90}, "90 days of validation"),
    ],
)
def test_dates_that_do_not_fit(given, message):
    with pytest.raises(BenchError, match=message):
        make(log(SMALL), GlobalTemporal(**given))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cut": "last week"}, "not a date"),
        ({"cut": "2020-01-01T00:00:00.5"}, "cut='2020-01-01T00:00:00.5'"),
        ({"valid": "random"}, "'users' or 'period'"),
        ({"novelty": "none"}, "'window' or 'all_history'"),
        ({"valid_days": 0}, "at least one day"),
        ({"valid_share": 1.0}, "valid_share=1.0"),
        ({"cold_valid": 1.1}, "cold_valid=1.1"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_settings_that_cannot_be(given, message):
    with pytest.raises(BenchError, match=message):
        GlobalTemporal(**given)


def test_logs_that_cannot_be_split():
    frame = log(SMALL)
    with pytest.raises(BenchError, match="1 missing or unreadable"):
        make(frame.with_columns(time=pl.when(pl.col("item") != "w").then("time")))
    with pytest.raises(BenchError, match="no plays"):
        make(frame.head(0))
    with pytest.raises(BenchError, match="needs user"):
        make(frame.drop("user"))
    with pytest.raises(BenchError, match="needs user"):
        make(frame.with_columns(time=pl.lit("2020-01-01")))
    with pytest.raises(BenchError, match="start < cut < end"):
        make(frame.head(1))


def test_fingerprint_is_the_same_everywhere_and_sees_everything():
    split = make(log(SMALL), GlobalTemporal(**DATES, valid_share=0))
    assert split.fingerprint == GOLDEN
    others = [
        make(log(SMALL[:-3]), GlobalTemporal(**DATES, valid_share=0)),
        make(log(SMALL), GlobalTemporal(**{**DATES, "start": "2019-01-01"}, valid_share=0)),
        make(log(SMALL), GlobalTemporal(**{**DATES, "end": "2020-03-31"}, valid_share=0)),
    ]
    assert len({split.fingerprint, *(other.fingerprint for other in others)}) == 4
    # What plays no part in a mode does not count.
    assert make(log(SMALL), GlobalTemporal(**DATES, valid_share=0, valid_days=5)).fingerprint == GOLDEN


def test_written_splits_come_back(tmp_path):
    split = make(log(PERIOD), GlobalTemporal(**DATES, valid="period", valid_days=10))
    path = write(split, tmp_path / "new folder")
    assert path.name.startswith(f"split-{split.fingerprint[:16]}-")
    back = read(path)
    assert back.pairs.equals(split.pairs)
    assert back.pairs.schema == split.pairs.schema
    assert (back.settings, back.counts, back.fingerprint) == (split.settings, split.counts, split.fingerprint)
    assert write(split, tmp_path / "new folder") == path
    assert len(list(path.parent.iterdir())) == 1


class Damaged(Exception):
    pass


def reread(path) -> pl.DataFrame:
    try:
        return read(path).pairs
    except BenchError as error:
        raise (Damaged if "damaged" in str(error) else AssertionError) from error


def test_damaged_splits_are_refused(tmp_path):
    split = make(log(crowd(30, 20, 5)), GlobalTemporal(cut="2020-03-01"))
    path = write(split, tmp_path)
    sound = path.read_bytes()
    for where in range(0, len(sound), max(len(sound) // 97, 1)):
        broken = bytearray(sound)
        broken[where] ^= 0x55
        path.write_bytes(broken)
        # A byte may be no part of the data, such as a statistic: then nothing has changed.
        with suppress(Damaged):
            assert reread(path).equals(split.pairs)
    path.write_bytes(sound[: len(sound) // 2])
    with pytest.raises(BenchError, match="damaged"):
        read(path)
    split.pairs.write_parquet(path)
    with pytest.raises(BenchError, match=path.name):
        read(path)
    forged = Split(split.pairs.with_columns(pl.col("count") + 1), split.settings, {}, split.fingerprint)
    with pytest.raises(BenchError, match="fingerprint"):
        read(write(forged, tmp_path))
    with pytest.raises(BenchError, match="there is no split"):
        read(tmp_path / "absent.parquet")


GOLDEN = "ddb730c97d21207f803d9f7472219e59852a2a8660c606121050b357b0851590"


@pytest.mark.parametrize(("user", "item"), [(pl.Int64, pl.UInt32), (pl.Int16, pl.String), (pl.String, pl.UInt64)])
@pytest.mark.parametrize("look_back", ["window", "all_history"])
def test_integers_split_as_their_text(user, item, look_back):
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 30, 400), rng.integers(5, 120, 400)  # of one to three digits: text sorts otherwise
    times = rng.integers(t("2019-12-01"), t("2020-04-01"), 400)
    text = log([(str(u), str(i), int(at)) for u, i, at in zip(*numbers, times, strict=True)])
    settings = GlobalTemporal(**DATES, novelty=look_back)
    expected = make(text, settings)
    found = make(text.with_columns(pl.col("user").cast(user), pl.col("item").cast(item)), settings)
    assert found.fingerprint == expected.fingerprint
    assert found.counts == expected.counts
    assert found.pairs.equals(expected.pairs)
