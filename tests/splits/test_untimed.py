"""Items held out at random, and the last track of every user."""

import itertools

import numpy as np
import polars as pl
import pytest

from bench.errors import BenchError
from bench.splits.assign import TEST, TRAIN, VALID, assign_parts
from bench.splits.leaks import assert_sound, check
from bench.splits.make import make
from bench.splits.pairs import Pairs
from bench.splits.split import Split, fingerprint
from bench.splits.storage import read, write
from bench.splits.untimed import ColdRandom, LeaveLastOut


def log(plays) -> pl.LazyFrame:
    frame = pl.DataFrame(plays, schema={"user": pl.String, "item": pl.String, "time": pl.Int64}, orient="row")
    return frame.with_columns(pl.from_epoch("time", time_unit="s").dt.replace_time_zone("UTC")).lazy()


def crowd(users: int = 60, items: int = 40, plays: int = 3_000, seed: int = 0) -> pl.LazyFrame:
    rng = np.random.default_rng(seed)
    rows = zip(rng.integers(0, users, plays), rng.integers(0, items, plays), rng.integers(0, 10**7, plays), strict=True)
    return log([(f"u{user}", f"i{item:02d}", int(time)) for user, item, time in rows])


def items_of(split: Split, part: str) -> set:
    return set(split.pairs.filter(pl.col("part") == part)["item"])


# -- cold_random ---------------------------------------------------------------------------------------------


def test_every_item_is_tested_once_over_the_folds():
    plays = crowd()
    splits = [make(plays, ColdRandom(folds=5, fold=fold, share=0.2, seed=3)) for fold in range(1, 6)]
    tested = [items_of(split, "test") for split in splits]
    assert sorted(item for items in tested for item in items) == [f"i{item:02d}" for item in range(40)]
    for at, split in enumerate(splits):
        assert_sound(split)
        assert items_of(split, "valid") == tested[(at + 1) % 5]
        assert not items_of(split, "train") & (items_of(split, "test") | items_of(split, "valid"))
        assert split.pairs.filter(pl.col("part") != "train")["cold"].all()
        assert len(split.truth("test", "hot").users) == 0
        assert split.candidates("test", "cold").sum() == 8
    assert len({split.fingerprint for split in splits}) == 5


def test_all_pairs_of_a_held_out_item_are_tested():
    plays = crowd()
    split = make(plays, ColdRandom())
    pairs = set(plays.select("user", "item").unique().collect().rows())
    for part in ("valid", "test"):
        assert len(items_of(split, part)) == 4  # a tenth of 40
        expected = {pair for pair in pairs if pair[1] in items_of(split, part)}
        assert set(split.pairs.filter(pl.col("part") == part).select("user", "item").rows()) == expected
    assert split.counts["train"]["items"] == 32
    assert split.counts["left_out"]["pairs"] == {"user_does_not_train": 0}


def test_the_draw_depends_on_the_seed_alone():
    frame = crowd().collect()
    one = make(frame.lazy(), ColdRandom(seed=1))
    assert make(frame.reverse().lazy(), ColdRandom(seed=1)).fingerprint == one.fingerprint
    for seed in (1, 2):  # the first tenth of a seeded order of the sorted ids
        first = np.random.RandomState(seed).permutation(40)[:4]
        assert items_of(make(frame.lazy(), ColdRandom(seed=seed)), "test") == {f"i{item:02d}" for item in first}


def test_users_without_other_items_leave():
    plays = [("a", f"i{item}", item) for item in range(20)] + [("b", "i3", 5)]
    for fold in range(1, 11):
        split = make(log(plays), ColdRandom(folds=10, fold=fold, share=0.1))
        if "i3" in items_of(split, "test"):
            assert split.counts["left_out"]["pairs"] == {"user_does_not_train": 1}
            assert "b" not in split.users
            return
    raise AssertionError("no fold tested i3")


def test_a_window_and_known_items():
    plays = [("a", item, time) for time, item in enumerate("abcdefghij")]
    dates = {"start": "1970-01-01T00:00:02", "end": "1970-01-01T00:00:08"}
    split = make(log(plays), ColdRandom(folds=2, share=0.25, **dates), known_items=set("cdefg"))
    assert set(split.items) <= set("cdefg")
    assert split.counts["left_out"]["plays"] == {"before_start": 2, "from_end_on": 2, "unknown_items": 1}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"folds": 1}, "at least 2"),
        ({"fold": 0}, "expected 1 to 5"),
        ({"fold": 6}, "expected 1 to 5"),
        ({"share": 0.3}, r"at most 1 \(share=0.2 at most"),
        ({"share": 0.0}, "more than 0"),
        ({"seed": -1}, "seed=-1"),
        ({"start": "soon"}, "is not a date"),
    ],
)
def test_impossible_settings(wrong, message):
    with pytest.raises(BenchError, match=message):
        ColdRandom(**wrong)


def test_a_window_beside_the_log_is_refused():
    with pytest.raises(BenchError, match="no play from 1980"):
        make(crowd(), ColdRandom(start="1980-01-01"))


def test_further_folds_do_not_read_the_log_again_and_are_the_same():
    plays = log([(f"u{n % 7}", f"i{n % 30}", n) for n in range(400)])
    kept = {}
    alone = [make(plays, ColdRandom(fold=fold)) for fold in (1, 2, 3)]
    broken = pl.LazyFrame({"user": [None], "item": [None], "time": [None]})
    shared = [make(plays if fold == 1 else broken, ColdRandom(fold=fold), kept=kept) for fold in (1, 2, 3)]
    assert [split.fingerprint for split in shared] == [split.fingerprint for split in alone]
    assert [split.counts for split in shared] == [split.counts for split in alone]
    with pytest.raises(BenchError):
        make(broken, ColdRandom(fold=2, end="1970-01-01T00:05:00"), kept=kept)


# -- leave_last_out ------------------------------------------------------------------------------------------

HISTORY = [
    ("a", "x", 10),
    ("a", "y", 20),
    ("a", "z", 30),
    ("a", "x", 99),  # a repeat: not a new last track
    ("b", "y", 5),
    ("b", "x", 6),
    ("b", "w", 7),  # w is nobody's training track
    ("b", "v", 7),  # at the same second: by id, v comes before w
    ("c", "x", 1),
    ("c", "y", 2),  # two tracks only: c trains
]


def test_last_tracks_by_hand():
    split = make(log(HISTORY), LeaveLastOut())
    parts = {(user, item): ("cold " if cold else "") + part for user, item, _, _, _, part, cold in split.pairs.rows()}
    assert parts == {
        ("a", "x"): "train",
        ("a", "y"): "valid",
        ("a", "z"): "cold test",
        ("b", "y"): "train",
        ("b", "x"): "train",
        ("b", "v"): "cold valid",
        ("b", "w"): "cold test",
        ("c", "x"): "train",
        ("c", "y"): "train",
    }
    (warning,) = (text for text in check(split).warnings if "leaks the future" in text)
    assert "never to compare models" in warning
    assert not check(split).errors
    assert split.pairs.filter((pl.col("user") == "a") & (pl.col("item") == "x")).select("last", "count").row(0) == (
        99,
        2,
    )


@pytest.mark.parametrize("order", itertools.permutations(range(4)))
def test_the_order_of_pairs_does_not_decide_what_is_last(order):
    """Pairs arrive in no order: time decides, and at one second the id."""
    user, item, first = np.array([[0, 2, 9], [0, 1, 9], [0, 3, 5], [1, 0, 1]], np.int32)[list(order)].T
    pairs = Pairs(user, item, first.astype(np.int64), first, user + 1, user + 1, user > 1)
    parts = assign_parts(pairs, LeaveLastOut(), bounds=None)
    assert parts[np.argsort(order)].tolist() == [TEST, VALID, TRAIN, TRAIN]


def test_without_validation_everything_but_the_last_trains():
    split = make(log(HISTORY), LeaveLastOut(valid="none"))
    assert split.pairs.filter(pl.col("part") == "valid").is_empty()
    assert split.pairs.filter(pl.col("part") == "test").select("user", "item").rows() == [("a", "z"), ("b", "w")]
    with pytest.raises(BenchError, match="'pair' or 'none'"):
        LeaveLastOut(valid="some")


def test_everybody_with_three_tracks_has_one_of_each():
    plays = crowd()
    split = make(plays, LeaveLastOut())
    assert_sound(split)
    pairs = split.pairs.group_by("user").agg(
        pairs=pl.len(), valid=(pl.col("part") == "valid").sum(), test=(pl.col("part") == "test").sum()
    )
    assert pairs.filter(pl.col("pairs") >= 3).select("valid", "test").unique().rows() == [(1, 1)]
    last = split.pairs.group_by("user", maintain_order=True).last()
    assert last["part"].unique().to_list() == ["test"]


def test_the_validation_track_is_known_when_the_last_one_is_ranked():
    split = make(log(HISTORY), LeaveLastOut())
    known, train = split.known_at_test, split.train
    pairs = [(split.users[u], split.items[i]) for u, i in zip(known.user, known.item, strict=True)]
    assert pairs == [("a", "x"), ("a", "y"), ("b", "y"), ("b", "x"), ("b", "v"), ("c", "x"), ("c", "y")]
    assert len(train) == 5
    bare = make(log(HISTORY), LeaveLastOut(valid="none"))
    assert len(bare.known_at_test) == len(bare.train)
    other = make(crowd(), ColdRandom())
    assert other.known_at_test is other.train


def test_too_short_a_log_is_refused():
    with pytest.raises(BenchError, match=r"no test pairs are left \(leave_last_out"):
        make(log(HISTORY[-2:]), LeaveLastOut())


# -- both ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [ColdRandom(fold=2), LeaveLastOut(end="1970-03-01")])
def test_on_disk(tmp_path, settings):
    split = make(crowd(), settings)
    again = read(write(split, tmp_path))
    assert again.settings == split.settings
    assert again.pairs.equals(split.pairs)
    assert again.fingerprint == split.fingerprint


def broken(split: Split, **columns) -> list[str]:
    """Errors that `check` finds after some columns were replaced."""
    pairs = split.pairs.with_columns(**columns)
    made = Split(pairs, split.settings, split.counts, fingerprint(pairs, split.settings))
    return [error.partition(":")[0] for error in check(made).errors]


def test_a_held_out_item_that_trains_is_found():
    split = make(crowd(), ColdRandom())
    at = split.pairs["part"].to_list().index("test")
    part = split.pairs["part"].cast(pl.String).scatter(at, "train").cast(split.pairs["part"].dtype)
    assert broken(split, part=part) == ["a cold item in training", "a held-out item that trains"]


def test_a_held_out_pair_in_mid_history_is_found():
    split = make(crowd(), LeaveLastOut())
    user = split.pairs["user"]
    at = next(row for row in range(len(user)) if user[row] == user[row + 1] == user[row + 2] == user[row + 3])
    part = split.pairs["part"].cast(pl.String).scatter(at, "test").cast(split.pairs["part"].dtype)
    assert broken(split, part=part) == ["a held-out pair before a training pair of its user"]
