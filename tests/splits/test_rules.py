"""Splits of random logs against the rules once more, in plain loops written apart from the product."""

import math
from collections import defaultdict
from unittest import mock

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.listening.times import iso
from bench.splits import pairs
from bench.splits.leaks import assert_sound
from bench.splits.make import GlobalTemporal, make

DAY = 86_400


def plain_split(plays, start, cut, end, *, valid, known=None, look_back=False, **settings):
    """Return {(user, item): (first, last, count, part, cold)} of plays (user, item, second)."""
    days, share, cold_share, seed = (settings[n] for n in ("valid_days", "valid_share", "cold_valid", "seed"))
    trained = cut - days * DAY if valid == "period" else cut
    if known is not None:
        plays = [play for play in plays if play[1] in known]
    old = {(user, item) for user, item, time in plays if time < start}
    times = defaultdict(list)
    for user, item, time in sorted(plays, key=lambda play: play[2]):
        if start <= time < end:
            times[user, item].append(time)
    trainers = {user for (user, _), when in times.items() if when[0] < trained}
    hot = {item for (_, item), when in times.items() if when[0] < trained}
    seen_before_cut = {item for (_, item), when in times.items() if when[0] < cut}
    held = {}
    for (user, item), when in times.items():
        if when[0] >= trained and user in trainers and not (look_back and (user, item) in old):
            held[user, item] = "valid" if when[0] < cut else "test"
    if valid == "period":
        for user, item in [pair for pair, part in held.items() if part == "test" and pair[1] not in hot]:
            if item in seen_before_cut:
                del held[user, item]
    else:
        draw = np.random.RandomState(seed)
        numeric = all(user.isdigit() for user, _, _ in plays)
        ascending = lambda ids: sorted(ids, key=lambda i: (int(i), i) if numeric else i)  # noqa: E731
        warm = ascending({user for user, item in held if item in hot})
        rest = ascending({user for user, item in held} - set(warm))
        validators = set()
        for users in (warm, rest):
            order = draw.permutation(len(users))
            tests = math.ceil(round((1 - share) * len(users), 6))
            validators |= {users[n] for n in order[tests:]}
        cold = sorted({item for _, item in held if item not in hot})
        order = draw.permutation(len(cold))
        cold_valid = {cold[n] for n in order[: math.floor(cold_share * len(cold) + 0.5)]}
        for user, item in list(held):
            held[user, item] = "valid" if user in validators else "test"
            if item not in hot and (item in cold_valid) != (user in validators):
                del held[user, item]
    result = {}
    for pair, when in times.items():
        part = "train" if when[0] < trained else held.get(pair)
        until = {"train": trained, "valid": cut if valid == "period" else end, "test": end, None: 0}[part]
        own = [time for time in when if time < until]
        if part:
            result[pair] = (own[0], own[-1], len(own), part, pair[1] not in hot)
    return result


def log(plays) -> pl.LazyFrame:
    frame = pl.DataFrame(plays, schema={"user": pl.String, "item": pl.String, "time": pl.Int64}, orient="row")
    return frame.with_columns(pl.from_epoch("time")).lazy()


PLAYS = st.lists(
    st.tuples(
        st.sampled_from(["1", "2", "10", "9", "007", "7"]),
        st.sampled_from(["a", "b", "c", "d", "e", "f", "g"]),
        st.integers(0, 100 * DAY - 1),
    ),
    min_size=25,
    max_size=120,
)
SETTINGS = st.fixed_dictionaries(
    {
        "valid": st.sampled_from(["users", "period"]),
        "valid_days": st.sampled_from([1, 10, 25]),
        "valid_share": st.sampled_from([0.0, 0.3, 0.5, 0.9]),
        "cold_valid": st.sampled_from([0.0, 0.2, 0.5, 1.0]),
        "seed": st.integers(0, 2**32 - 1),
    }
)


@settings(max_examples=100, deadline=None)
@given(
    PLAYS,
    SETTINGS,
    st.sampled_from([0, 10, 30]),
    st.sampled_from([50, 60, 70]),
    st.sampled_from([80, 100]),
    st.booleans(),
    st.sampled_from([None, {"a", "b", "c", "d", "z"}, {"a", "d", "e", "f", "g"}]),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_equals_the_plain_rules_in_any_order(plays, chosen, start, cut, end, look_back, known, shuffler, grouped):
    # Some items only begin late, so that there are cold ones.
    late = {"e": 55, "f": 65, "g": 75}
    plays = [(u, i, s) for u, i, s in plays if s >= late.get(i, 0) * DAY]
    start, cut, end = start * DAY, cut * DAY, end * DAY
    given_ = GlobalTemporal(
        **chosen,
        start=iso(start),
        cut=iso(cut),
        end=iso(end),
        novelty="all_history" if look_back else "window",
    )
    expected = plain_split(plays, start, cut, end, known=known, look_back=look_back, **chosen)
    if not {"train", "test"} <= {part for *_, part, _ in expected.values()}:
        with pytest.raises(BenchError):
            make(log(plays), given_, known_items=known)
        return
    with mock.patch.object(pairs, "SORTED", 0 if grouped else pairs.SORTED):
        split = make(log(plays), given_, known_items=known)
    assert {row[:2]: row[2:] for row in split.pairs.rows()} == expected
    assert_sound(split)
    shuffled = list(plays)
    shuffler.shuffle(shuffled)
    again = make(log(shuffled), given_, known_items=known)
    assert again.fingerprint == split.fingerprint
    assert again.pairs.equals(split.pairs)
