"""Metrics on the tracks of a list and on others, from the ranks that a run recorded."""

import numpy as np
import polars as pl
import pytest

from bench.errors import BenchError
from bench.metrics.from_ranks import per_user
from bench.protocols import Heard
from bench.records import read
from bench.records.ranks import HeldOut, read_ranks
from bench.report.build import boards
from bench.report.heard import chapter, split


def held():
    """Two listeners: a finds x first and misses y, b finds y second."""
    return HeldOut.of(
        pl.Series(["a", "b"]),
        np.array([0, 2, 3]),
        np.array([0, 1, 1]),
        np.array([1, 9, 2], np.int32),
        pl.Series(["x", "y"]),
        pl.Series([None, None], dtype=pl.String),
    )


def test_each_part_is_the_mean_over_the_listeners_who_have_pairs_in_it():
    found = split(held(), np.array([True, False]), "ndcg", 2)
    assert (found.tracks, found.pairs) == ((1, 2), (1, 3))
    ideal = 1 + 1 / np.log2(3)
    assert found.heard == pytest.approx(2 / ideal)  # x is one of the two pairs of a, whose NDCG is 1 / ideal
    assert found.others == pytest.approx((0 + 1 / np.log2(3)) / 2)  # y: missed by a, second of b


def test_a_list_of_all_tracks_or_of_none_leaves_the_metric_as_it_is():
    whole = per_user("ndcg", 2, held()).mean()
    every, none = (split(held(), np.full(2, known), "ndcg", 2) for known in (True, False))
    assert (every.heard, every.others) == (pytest.approx(whole), None)
    assert (none.heard, none.others) == (None, pytest.approx(whole))


@pytest.mark.parametrize("name", ["ids.txt", "ids.parquet"])
def test_a_list_is_text_or_parquet_and_ids_are_equal_or_not(tmp_path, name):
    path, ids = tmp_path / name, ["TRAAA1", "TRBBB2", "0007"]
    if path.suffix == ".txt":
        path.write_text("\n".join(ids) + "\n\n")
    else:
        pl.DataFrame({"track_id": ids}).write_parquet(path)
    listed = Heard.listed(path, data="musicnn")
    assert listed.ids == set(ids)
    items = pl.Series(["TRAAA1", "TRCCC3", "7"])
    assert listed.has(items).tolist() == [True, False, False]
    path.write_bytes(b"")
    with pytest.raises(BenchError, match=name):
        Heard.listed(path, data="musicnn")


@pytest.fixture
def found(base):
    """The records of a run."""
    return [(path, read(path)) for path in sorted(base.results.rglob("seed*.json"))]


def test_a_report_splits_every_row_by_the_list(base, bench, tmp_path, found):
    path, record = next((path, one) for path, one in found if one.extractor.spec == "mfcc")
    cold = read_ranks(path, record)["cold"]
    chosen = cold.items.to_list()[::2]
    (tmp_path / "heard.txt").write_text("\n".join(chosen))
    said = bench("report", base.results, "--heard", f"mfcc={tmp_path / 'heard.txt'}", "--out", tmp_path / "out")
    assert said.code == 0, said.err
    (grid,) = chapter(f"mfcc={tmp_path / 'heard.txt'}", boards(found, [])).grids
    values = {(row[0].text, row[2].text): [cell.value for cell in row[3:]] for row in grid.rows}
    expected = split(cold, cold.items.is_in(chosen).to_numpy(), "ndcg", 5)
    assert values["mfcc", "cold"] == [len(chosen), expected.pairs[0], expected.heard, expected.others]
    assert ("shuffled:of=mfcc", "cold") in values
    assert expected.heard != expected.others
    assert list((tmp_path / "out").glob("*heard-mfcc*.csv"))


@pytest.mark.parametrize("text", ["musicnn", "=x.txt", "musicnn=no-such-file.txt"])
def test_what_is_no_list_is_refused(text):
    with pytest.raises(BenchError):
        chapter(text, [])
