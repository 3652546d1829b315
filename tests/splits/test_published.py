"""recsys2024 and journal2026 against programs that follow the published description line by line."""

from collections import defaultdict

import numpy as np
import polars as pl
import pytest

from bench.errors import BenchError
from bench.splits.leaks import check
from bench.splits.make import GlobalTemporal, make
from bench.splits.published import REPORTED, Journal2026, RecSys2024, checked, deviations
from bench.splits.settings import KINDS, SPLITS
from bench.splits.storage import read, write
from bench.splits.temporal import DAY, seconds


def t(text: str) -> int:
    return seconds(text, "time")


def generated(
    seed: int, since: str, cut: str, until: str, users: int = 90, tracks: int = 60, plays: int = 9_000
) -> list:
    """Plays (user number, track, second): numbers of 1 to 6 digits, plays at midnight and a second before it."""
    rng = np.random.default_rng(seed)
    ids = np.unique(np.concatenate([[7, 42, 1003, 9, 10, 99, 100], (10 ** rng.uniform(0, 6, users)).astype(int)]))
    user, track = rng.integers(0, len(ids), plays), (tracks * rng.random(plays) ** 2).astype(int)
    low, middle, high = t(since), t(cut), t(until)
    time = rng.integers(low, high, plays)
    late = (track % 13 == 5) | (user % 17 == 3)  # tracks nobody trains on, users who come late
    time[late] = rng.integers(middle, high, int(late.sum()))
    time[:200] = rng.choice([low, low - 1, middle, middle - 1, high - 1, middle - 366 * DAY], 200)
    return list(zip(ids[user].tolist(), [f"T{track:03d}" for track in track.tolist()], time.tolist(), strict=True))


def lazy(plays: list) -> pl.LazyFrame:
    """Newest first within a user, as the file is."""
    frame = pl.DataFrame(plays, schema=["user", "item", "time"], orient="row")
    frame = frame.sort("user", "time", descending=[False, True])
    stamp = pl.from_epoch("time", time_unit="s").dt.replace_time_zone("UTC")
    return frame.select(pl.col("user").cast(pl.String), "item", stamp).lazy()


def collapsed(plays) -> dict:
    """(user, item) -> [first play, number of plays]."""
    found: dict = {}
    for user, item, time in plays:
        row = found.setdefault((user, item), [time, 0])
        row[0], row[1] = min(row[0], time), row[1] + 1
    return found


def first_part(users, tests: float) -> set:
    """scikit-learn's train_test_split(users, test_size=tests, random_state=42)[0]."""
    order = np.random.RandomState(42).permutation(len(users))
    return {users[at] for at in order[int(np.ceil(tests * len(users))) :]}


def published(plays, start: int, cut: int, end: int | None) -> tuple[dict, dict]:
    """Training pairs, and held-out pairs of users who train."""
    window = [play for play in plays if play[2] >= start and (end is None or play[2] < end)]
    train = collapsed(play for play in window if play[2] < cut)
    trains = {user for user, _ in train}
    held = {pair: row for pair, row in collapsed(window).items() if row[0] >= cut and pair[0] in trains}
    return train, held


def recsys2024(plays) -> dict:
    train, held = published(plays, t("2019-02-20"), t("2020-02-20"), None)
    hot = {item for _, item in train}
    held = {pair: row for pair, row in held.items() if pair[1] in hot}
    valid = first_part(sorted({user for user, _ in held}), 0.5)
    rows = {("train", pair): row for pair, row in train.items()}
    return rows | {("valid" if pair[0] in valid else "test", pair): row for pair, row in held.items()}


def journal2026(plays) -> dict:
    train, held = published(plays, t("2018-02-01"), t("2019-02-01"), t("2019-03-01"))
    hot = {item for _, item in train}
    news = {user for user, item in held if item not in hot}
    valid = first_part(sorted({user for user, item in held if item in hot} - news), 0.7)
    rows = {("train", pair): row for pair, row in train.items()}
    for pair, row in held.items():
        part = "valid" if pair[0] in valid else "test"
        rows[part if pair[1] in hot else "cold test", pair] = row
    return rows


def ours(plays, settings, **more) -> dict:
    split = make(lazy(plays), settings, **more)
    assert not check(split).errors
    rows = {}
    for user, item, first, _, count, part, cold in split.pairs.rows():
        rows[("cold " if cold else "") + part, (int(user), item)] = [first, count]
    return rows


@pytest.mark.parametrize("seed", range(4))
def test_recsys2024_to_the_letter(seed):
    plays = generated(seed, "2018-12-01", "2020-02-20", "2020-03-20", users=90 + seed)
    assert ours(plays, RecSys2024()) == recsys2024(plays)


@pytest.mark.parametrize("seed", range(4))
def test_journal2026_to_the_letter(seed):
    # Few plays: most users must go without a cold track, or nobody validates.
    plays = generated(seed, "2017-12-01", "2019-02-01", "2019-03-20", users=90 + seed, plays=2_000)
    expected = journal2026(plays)
    assert ours(plays, Journal2026()) == expected
    parts = {part for part, _ in expected}
    assert parts == {"train", "valid", "test", "cold test"}


@pytest.mark.parametrize(("settings", "oracle"), [(RecSys2024, recsys2024), (Journal2026, journal2026)])
def test_tracks_without_vectors_leave_first(settings, oracle):
    cut = settings().cut
    plays = generated(9, "2017-12-01", cut, "2020-03-20" if settings is RecSys2024 else "2019-03-20")
    known = {f"T{track:03d}" for track in range(60) if track % 4}
    assert ours(plays, settings(), known_items=known) == oracle([play for play in plays if play[1] in known])


def test_the_halves_are_those_of_scikit_learn():
    model_selection = pytest.importorskip("sklearn.model_selection")
    for size in (4, 5, 10, 97, 1000, 6_092 * 2 + 1):
        for tests in (0.5, 0.7):
            users = np.arange(size)
            halves = model_selection.train_test_split(users, test_size=tests, random_state=42)
            assert set(halves[0].tolist()) == first_part(users.tolist(), tests)


def test_shares_are_rounded_as_scikit_learn_rounds_them():
    for share, tests in ((0.5, 0.5), (0.3, 0.7)):
        sizes = np.arange(1, 200_001)
        assert (np.ceil(np.round((1 - share) * sizes, 6)) == np.ceil(tests * sizes)).all()


def test_users_are_ordered_by_number_only_if_all_are_numbers():
    plays = generated(3, "2018-12-01", "2020-02-20", "2020-03-20")
    renamed = [(f"{user}x", item, time) for user, item, time in plays]
    split = make(lazy(renamed), RecSys2024())
    rows = {user for user, part in split.pairs.select("user", "part").unique().rows() if part == "valid"}
    everybody = {user for user, part in split.pairs.select("user", "part").unique().rows() if part != "train"}
    assert rows == first_part(sorted(everybody), 0.5)
    assert rows != {f"{user}x" for part, (user, _) in ours(plays, RecSys2024()) if part == "valid"}


def test_cold_tracks_can_be_kept_without_changing_anything_else():
    plays = generated(1, "2018-12-01", "2020-02-20", "2020-03-20")
    letter, kept = ours(plays, RecSys2024()), ours(plays, RecSys2024(cold="keep"))
    assert {key: row for key, row in kept.items() if not key[0].startswith("cold")} == letter
    assert len(kept) > len(letter)


def test_a_preset_is_a_global_temporal_split_on_disk(tmp_path):
    plays = lazy(generated(1, "2018-12-01", "2020-02-20", "2020-03-20"))
    split = make(plays, RecSys2024())
    same = make(plays, GlobalTemporal(start="2019-02-20", cut="2020-02-20", cold="drop"))
    assert split.fingerprint == same.fingerprint
    again = read(write(split, tmp_path))
    assert again.fingerprint == split.fingerprint
    assert again.pairs.equals(split.pairs)
    assert type(again.settings) is GlobalTemporal
    assert again.settings.canonical() == split.settings.canonical()


def test_settings_that_came_later_leave_older_fingerprints_alone():
    canonical = GlobalTemporal(cut="2020-02-20").canonical()
    assert set(canonical) == {"cut", "start", "end", "valid", "valid_share", "cold_valid", "novelty", "seed"}
    assert GlobalTemporal(cut="2020-02-20", cold="drop").canonical() == canonical | {"cold": "drop"}
    assert "cold_users" not in GlobalTemporal(valid="period", cold_users="test").canonical()
    for wrong in ({"cold": "away"}, {"cold_users": "valid"}, {"sequence": "plays"}):
        with pytest.raises(BenchError, match="choose "):
            GlobalTemporal(**wrong)


def counts_of(sizes) -> dict:
    counts: dict = defaultdict(dict)
    for (part, kind), size in sizes.items():
        if part == "train":
            counts["train"] = dict(size._asdict())
        else:
            counts[part][kind] = dict(size._asdict())
    return counts


@pytest.mark.parametrize("name", ["recsys2024", "journal2026"])
def test_printed_sizes(name):
    printed, settings = REPORTED[name], SPLITS[name]()
    counts = counts_of(printed.sizes)
    assert checked(name, settings, printed.data, counts) == f"matches {printed.source}"
    counts["valid"]["hot"]["pairs"] += 1
    pairs = printed.sizes["valid", "hot"].pairs
    differs = checked(name, settings, printed.data, counts)
    assert differs == f"differs from {printed.source}: valid pairs {pairs + 1:,} ({pairs:,} printed)"
    assert checked(name, settings, "demo", counts) == f"not checked: {printed.source} is of music4all-onion"
    changed = type(settings)(novelty="all_history", seed=1)
    assert deviations(changed) == ["novelty=all_history", "seed=1"]
    told = checked(name, changed, printed.data, counts)
    assert told == "not checked: not the published split (novelty=all_history, seed=1)"


def test_other_splits_have_nothing_printed():
    assert checked("global_temporal", GlobalTemporal(), "music4all-onion", {}) is None
    assert deviations(GlobalTemporal(seed=3)) == []
    assert set(KINDS) < set(SPLITS)
