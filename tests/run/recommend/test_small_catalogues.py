"""Lists as long as the catalogue, and sets of one track: what any order finds is no figure."""

import json

import numpy as np
import polars as pl
import pytest

from bench.errors import BenchError
from bench.items.item_table import ItemTable
from bench.registry import create
from bench.run.recommend.evaluate import measure
from bench.run.recommend.top_lists import cutoffs, default_cutoff, long_lists
from bench.splits.make import GlobalTemporal, make

DAY = 86_400
CUT = 1_583_020_800  # 2020-03-01


def plays(cold):
    """30 listeners of 40 tracks in February, all of whom meet new ones in March, the first few of them cold."""
    rng = np.random.default_rng(1)
    rows = []
    for user in range(30):
        tracks = rng.permutation(40)
        rows += [(f"u{user:02d}", f"i{t:02d}", CUT - (1 + n) * DAY) for n, t in enumerate(tracks[:12])]
        rows += [(f"u{user:02d}", f"i{t:02d}", CUT + (1 + n) * DAY) for n, t in enumerate(tracks[12:16])]
        rows += [(f"u{user:02d}", f"new{n:02d}", CUT + 5 * DAY + n) for n in range(cold)]
    return pl.DataFrame(rows, schema=["user", "item", "time"], orient="row")


def split(cold):
    log = plays(cold).with_columns(pl.from_epoch("time").dt.replace_time_zone("UTC")).lazy()
    return make(log, GlobalTemporal(cut="2020-03-01", cold_valid=0))


def measured(made, ks, present=None):
    present = np.ones(len(made.items), bool) if present is None else present
    vectors = np.random.default_rng(0).standard_normal((len(present), 4)).astype(np.float32)
    vectors[~present] = 0
    table = ItemTable(list(made.items), vectors, present, made.hot.copy(), {})
    how = {"seed": 0, "device": "cpu", "reference": None, "folder": None, "log": lambda _: None}
    return measure(create("recommenders", "knn"), table, made, ks=ks, **how)


def test_one_accidental_cold_track_fills_no_column():
    made = split(cold=1)
    found = measured(made, [5])
    assert set(found.metrics) == set(found.users) == set(found.chance) == set(found.beyond) == {"hot"}
    assert long_lists(made, [5]) == [
        "k = 5: a list would hold all of 1 cold candidate, so cold and mixed are not measured"
    ]


def test_only_cut_offs_below_the_number_of_candidates_are_measured():
    made = split(cold=7)
    found = measured(made, [5, 10])
    assert {name.partition("@")[2] for name in found.metrics["cold"]} == {"5"}
    assert {name.partition("@")[2] for name in found.chance["cold"]} == {"5"}
    assert {name.partition("@")[2] for name in found.metrics["mixed"]} == {"5", "10"}
    assert found.metrics["cold"]["hitrate@5"] > 0
    (said,) = long_lists(made, [5, 10])
    assert said.startswith("k = 10: a list would hold all of 7 cold candidates")
    assert measured(split(cold=0), [5]).metrics.keys() == {"hot"}
    assert not long_lists(split(cold=0), [5])


def test_candidates_without_a_vector_do_not_count():
    made = split(cold=7)
    assert set(measured(made, [5], made.hot.copy()).metrics) == {"hot"}  # no cold track has a vector
    present = made.hot.copy()
    present[np.flatnonzero(~made.hot)[:4]] = True
    found = measured(made, [5], present)
    assert set(found.metrics) == {"hot"}
    assert "only 4 of 7 cold candidates have a vector: too few for some k" in found.warnings
    few = np.zeros_like(present)
    few[np.flatnonzero(made.hot)[:5]] = True
    with pytest.raises(BenchError, match="no k of 5 is below the number of candidates"):
        measured(made, [5], few)


def test_cut_offs_by_hand():
    assert cutoffs([50, 10, 5], 10) == [5]
    assert [default_cutoff(50, hot) for hot in (100_000, 250, 249, 60, 49, 24, 3)] == [50, 50, 20, 10, 5, 4, 1]
    assert default_cutoff(10, 100_000) == 10
    assert long_lists(split(cold=0), [19]) == []
    assert "more than half of the 40 hot tracks" in long_lists(split(cold=0), [21])[0]


def test_a_small_log_gets_short_lists_and_the_record_says_what_they_hold(bench, tmp_path):
    log = tmp_path / "plays.csv"
    plays(cold=2).write_csv(log)
    words = ["run", "--listens", log, "--extractor", "none", "--model", "itemknn", "--no-controls", "--device", "cpu"]
    words += ["--reference", "none", "--split", "global_temporal:cut=2020-03-01,cold_valid=0"]
    words += ["--cache", tmp_path / "cache", "--results", tmp_path / "results"]
    said = bench(*words)
    assert said.code == 0, said.err
    assert "note: k = 5, not the usual 50" in said.err
    (path,) = (tmp_path / "results").rglob("seed0.json")
    record = json.loads(path.read_text())
    assert record["k"] == [5]
    assert set(record["metrics"]) == {"hot"}
    assert any("all of 2 cold candidates" in text for text in record["warnings"])
    assert bench(*words).computed == []
    assert bench(*words, "--k", "30").code == 0
    assert bench(*words, "--k", "40").code == 1
