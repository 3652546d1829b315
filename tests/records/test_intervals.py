"""Intervals of recorded means: over listeners on hot items, over listeners and artists on cold and mixed ones."""

import numpy as np
import polars as pl
import pytest

from bench.metrics.from_ranks import hits_of
from bench.metrics.ranking import values_of
from bench.records.intervals import mean_intervals_of
from bench.records.ranks import HeldOut
from bench.stats import mean_intervals


def world(artists, users=300, items=60, seed=0):
    """Items that are easy or hard for all listeners, by artist; without artists, none is known."""
    rng = np.random.default_rng(seed)
    easy = rng.random(max(artists, 1)) < 0.5
    item = np.concatenate([rng.permutation(items)[:4] for _ in range(users)])
    rank = np.where(easy[item % max(artists, 1)], rng.integers(1, 20, len(item)), rng.integers(20, 200, len(item)))
    names = [f"a{at % artists}" if artists else None for at in range(items)]
    return HeldOut.of(
        pl.Series([f"u{at:03d}" for at in range(users)]),
        np.arange(0, 4 * users + 1, 4),
        item,
        rank.astype(np.int32),
        pl.Series([f"i{at:03d}" for at in range(items)]),
        pl.Series(names, dtype=pl.String),
    )


def measured(held_out, where):
    values = values_of(hits_of(held_out, 10)[0], [10])
    return values, mean_intervals_of(where, values, held_out, 0)


@pytest.mark.parametrize("where", ["cold", "mixed"])
def test_items_of_few_artists_widen_intervals_of_new_items(where):
    held_out = world(artists=6)
    values, found = measured(held_out, where)
    _, hot = measured(held_out, "hot")
    assert hot == {name: tuple(span) for name, span in mean_intervals(values).items()}
    assert found.keys() == hot.keys()
    for name, (low, high) in found.items():
        assert 0 <= low <= values[name].mean() <= high <= 1
        assert high - low > 2 * (hot[name][1] - hot[name][0])


def test_items_of_unknown_artists_are_clusters_of_their_own():
    _, found = measured(world(artists=0), "cold")
    _, alone = measured(world(artists=60, seed=0), "cold")
    assert found.keys() == alone.keys()
    assert all(low < high for low, high in found.values())


def test_a_single_artist_leaves_the_interval_over_listeners():
    held_out = world(artists=1)
    assert measured(held_out, "cold")[1] == measured(held_out, "hot")[1]


def test_a_mean_near_0_keeps_the_upper_bound_of_its_share():
    held_out = world(artists=6)
    held_out.rank[:] = 100
    held_out.rank[::400] = 1
    values, found = measured(held_out, "cold")
    assert values["hitrate@10"].sum() == 3
    low, high = mean_intervals(values)["hitrate@10"]
    assert found["hitrate@10"][0] <= low
    assert found["hitrate@10"][1] >= high
