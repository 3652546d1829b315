"""The plays of a built-in data set are recognised under other names."""

import numpy as np
import polars as pl
import pytest

from bench.datasets import recognise
from bench.datasets.demo import DemoLong
from bench.synthetic import START, make_plays, make_world


@pytest.fixture(scope="module")
def times():
    return np.unique(make_plays(make_world(DemoLong.size)).time)


def frame(times):
    return pl.LazyFrame({"time": pl.Series(times).cast(pl.Int64) * 1_000_000}).select(
        pl.col("time").cast(pl.Datetime("us"))
    )


def test_the_kept_times_are_those_of_the_world(times):
    assert recognise.sketch(times).tolist() == recognise.known()["demo-long"].tolist()


def test_shuffled_plays_of_which_half_are_left_are_recognised(times):
    kept = np.random.default_rng(0).permutation(times)[: len(times) // 2]
    assert recognise.recognised(frame(kept)) == "demo-long"


def test_as_many_plays_as_are_compared_at_other_times_are_not(times):
    other = START + np.random.default_rng(0).integers(0, 395 * 86_400, recognise.MOST)
    assert recognise.recognised(frame(other)) is None
