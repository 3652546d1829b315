"""Scores of held-out pairs that are remembered between comparisons."""

import numpy as np
import polars as pl
import pytest

from bench.metrics.from_ranks import pair_values
from bench.records.ranks import HeldOut
from bench.report.pairs import Layouts, Ordered
from bench.stats import PairScores, item_clusters, pair_weights, two_way

METRICS = [("ndcg", 10), ("mrr", 10), ("recall", 50), ("ndcg", 50)]


def held_out(seed, users, size, split=0):
    """Ranks of `size` items of each user; the items depend on the split, the ranks on the seed."""
    rng, items = np.random.default_rng(seed), np.random.default_rng(split)
    item = np.concatenate([items.permutation(40)[:size] for _ in range(users)]).astype(np.int32)
    return HeldOut(
        listeners=pl.Series([f"u{user:06d}" for user in range(users)]),
        indptr=np.arange(users + 1) * size,
        items=pl.Series([f"i{at:03d}" for at in range(40)]),
        item=item,
        artists=pl.Series([f"a{at:03d}" for at in range(10)]),
        artist=item // 4,
        rank=np.sort(rng.permuted(np.tile(np.arange(1, 101), (users, 1)), axis=1)[:, :size]).ravel().astype(np.int32),
    )


@pytest.mark.parametrize(("users", "size"), [(30, 5), (60_000, 5)])  # the larger ones do not all fit into the memory
def test_remembered_scores_are_those_of_their_row_and_split(users, size):
    layouts, made = Layouts(), []
    for split in (0, 1):
        for seed in (2, 3):
            one = Ordered.of(held_out(seed, users, size, split))
            made.append((layouts.pairs([[one]]), one))
    assert made[0][0].key == made[1][0].key != made[2][0].key
    for name, k in METRICS * 2:
        for pairs, one in made:
            held = type("Held", (), {"indptr": np.arange(users + 1) * size, "rank": one.rank})
            values = pair_values(name, k, held)[None]
            fresh = PairScores(values, pair_weights(one.listener), one.listener, item_clusters(one.artist, one.item))
            found = pairs.scores(f"{name}@{k}")
            assert np.array_equal(found.values, fresh.values)
            assert np.array_equal(found.cluster, fresh.cluster)
            if users < 100:
                assert two_way(found) == two_way(fresh)
