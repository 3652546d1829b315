"""The co-listen graph against counting by hand, its thresholds, and its bound on neighbours."""

from itertools import combinations

import numpy as np
import polars as pl
import pytest

from bench.errors import BenchError
from bench.listening.co_listen import GraphSettings, co_listen


def log(seed=0, users=40, items=30, plays=900):
    rng = np.random.default_rng(seed)
    popular = rng.dirichlet(np.full(items, 0.5))
    return pl.DataFrame(
        {
            "user": [f"u{u}" for u in rng.integers(0, users, plays)],
            "item": [f"t{i:02d}" for i in rng.choice(items, plays, p=popular)],
        }
    )


def by_hand(frame, settings):
    plays = {}
    for user, item in frame.iter_rows():
        plays[user, item] = plays.get((user, item), 0) + 1
    heard = {}
    for (user, item), n in plays.items():
        if n >= settings.plays:
            heard.setdefault(user, set()).add(item)
    common = {}
    for items in heard.values():
        if len(items) >= settings.least:
            for pair in combinations(sorted(items), 2):
                common[pair] = common.get(pair, 0) + 1
    return {pair: n for pair, n in common.items() if n >= settings.listeners}


def edges(graph):
    return {
        (graph.ids[a], graph.ids[b]): n for (a, b), n in zip(graph.edges.tolist(), graph.common.tolist(), strict=True)
    }


@pytest.mark.parametrize(
    "settings",
    [
        GraphSettings(listeners=3, least=1),
        GraphSettings(listeners=2, plays=2, least=3),
        GraphSettings(listeners=1, least=12),
    ],
)
def test_it_is_what_counting_gives(settings):
    frame = log()
    assert edges(co_listen(frame.lazy(), settings)) == by_hand(frame, settings)


def test_tracks_with_few_listeners_are_counted_alike():
    # 4,000 tracks, most of which two or three of 300 listeners know: both ways of counting occur.
    frame, settings = log(users=300, items=4_000, plays=9_000), GraphSettings(listeners=2, least=1)
    assert edges(co_listen(frame.lazy(), settings)) == by_hand(frame, settings)


def test_rows_are_sorted_and_the_order_of_the_log_does_not_matter():
    frame, settings = log(), GraphSettings(listeners=3, least=1)
    graph = co_listen(frame.lazy(), settings)
    other = co_listen(frame.sample(fraction=1, shuffle=True, seed=1).lazy(), settings)
    assert np.array_equal(graph.edges, other.edges)
    assert list(graph.ids) == sorted(graph.ids)
    assert (graph.edges[:, 0] < graph.edges[:, 1]).all()


def test_nobody_has_more_neighbours_than_allowed():
    frame = log()
    every = by_hand(frame, GraphSettings(listeners=1, least=1))
    graph = co_listen(frame.lazy(), GraphSettings(listeners=1, least=1, neighbours=4))
    assert np.bincount(graph.edges.ravel()).max() <= 4
    kept = edges(graph)
    # An edge that is not there is not among the four strongest of one of its ends.
    for (a, b), n in every.items():
        if (a, b) not in kept:
            stronger = [sum(m > n for pair, m in every.items() if end in pair) for end in (a, b)]
            ties = [sum(m >= n for pair, m in every.items() if end in pair) for end in (a, b)]
            assert max(stronger) >= 4 or max(ties) > 4


def test_only_known_tracks():
    frame = log()
    known = sorted(frame["item"].unique())[:10]
    graph = co_listen(frame.lazy(), GraphSettings(listeners=2, least=1), known)
    assert set(graph.ids) <= set(known)


def test_no_edge_is_an_error():
    with pytest.raises(BenchError, match="999"):
        co_listen(log().lazy(), GraphSettings(listeners=999))


def test_thresholds_below_one_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        GraphSettings(listeners=0)
