"""Data sets in folders and splits by name, from the command line to the record."""

import bz2
import re

import numpy as np
import polars as pl
import pytest

from bench.registry import get


@pytest.fixture(scope="module")
def onion(tmp_path_factory):
    """A folder like Music4All-Onion's: log, features with the id column last, information about tracks."""
    folder = tmp_path_factory.mktemp("onion")
    rng = np.random.default_rng(0)
    users, tracks, plays = 40, 30, 4_000  # two of the users share an id
    second = rng.integers(1_546_300_800, 1_584_662_400, plays)  # 2019-01-01 to 2020-03-20
    item = rng.integers(0, tracks, plays)
    new = item % 10 == 3  # three tracks, first played in the last month
    second[new] = rng.integers(1_582_156_800, 1_584_662_400, int(new.sum()))
    frame = pl.DataFrame({"user_id": rng.integers(5, 2_000, users)[rng.integers(0, users, plays)], "track_id": item})
    stamp = pl.from_epoch(pl.Series(second), "s")
    frame = frame.with_columns(
        pl.format("T{}", pl.col("track_id").cast(pl.String).str.zfill(15)).alias("track_id"), timestamp=stamp
    )
    text = frame.write_csv(separator="\t", datetime_format="%Y-%m-%d %H:%M:%S")
    (folder / "userid_trackid_timestamp.tsv.bz2").write_bytes(bz2.compress(text.encode()))
    ids = [f"T{track:015d}" for track in range(tracks)]
    vectors = pl.DataFrame(rng.standard_normal((tracks, 6)), schema=[f"mfccB{n:03d}" for n in range(6)], orient="row")
    features = vectors.with_columns(id=pl.Series(ids)).write_csv(separator="\t")
    (folder / "id_mfcc_bow.tsv.bz2").write_bytes(bz2.compress(features.encode()))
    about = pl.DataFrame({"id": ids, "artist": [f"A{track % 7}" for track in range(tracks)], "song": ids})
    about.write_csv(folder / "id_information.csv", separator="\t")
    return folder


@pytest.fixture
def run(bench, onion, tmp_path):
    def call(*more, data="music4all-onion"):
        vectors = f"precomputed:path={onion / 'id_mfcc_bow.tsv.bz2'}"
        words = ["--data", data, "--root", onion, "--k", "5", "--device", "cpu", "--reference", "none"]
        places = ["--cache", tmp_path / "cache", "--results", tmp_path / "results"]
        return bench("run", "--extractor", vectors, "--model", "knn", "--no-controls", *words, *places, *more)

    return call


def test_onion_with_its_own_features_and_split(run, records, tmp_path):
    said = run()
    assert said.code == 0, said.err
    assert "split recsys2024 at 2020-02-20T00:00:00Z" in said.err
    assert re.search(r"the split differs from Table 2 of .*: train users \d\d \(17,053", said.err)
    assert "no id_tags.csv: tags are unknown" in said.err
    assert "held-out pairs (the track has no training plays)" in said.err
    (record,) = records(tmp_path / "results").values()
    assert record["split"]["name"] == "recsys2024"
    assert record["split"]["published"].startswith("differs from Table 2")
    assert record["split"]["overlap"]["artist_known_hot"] > 0
    assert list(record["metrics"]) == ["hot"]
    assert record["data"]["license"].startswith("CC BY-NC-SA")
    again = run()
    assert again.code == 0
    assert not again.computed
    assert "converting" not in again.err


@pytest.mark.parametrize(
    ("split", "sets", "note"),
    [
        ("recsys2024:cold=keep", ["hot", "cold", "mixed"], "recsys2024 with cold=keep is not the published split"),
        ("cold_random:fold=2,folds=3", ["cold", "mixed"], "does not respect time"),
        ("leave_last_out", ["hot"], "leaks the future"),
        ("global_temporal:cut=2020-02-20,sequence=all_plays", ["hot", "cold", "mixed"], ""),
    ],
)
def test_splits_by_name(run, records, tmp_path, split, sets, note):
    said = run("--split", split, "--k", "1")
    assert said.code == 0, said.err
    assert note in said.err
    (record,) = records(tmp_path / "results").values()
    assert set(record["metrics"]) == set(sets)
    published = record["split"].get("published")
    assert published is None or published == "not checked: not the published split (cold=keep)"


def test_a_k_that_no_candidate_set_allows_is_refused_in_the_plan(run):
    said = run("--split", "cold_random:fold=2,folds=3", "--dry-run")
    assert said.code == 1
    assert "--k 5: " in said.err
    assert "cold: 3" in said.err


def test_names_and_settings_that_do_not_exist(run):
    for more, message in (
        (("--split", "recsys2023"), "there is no split 'recsys2023'. Did you mean 'recsys2024'?"),
        (("--split", "cold_random:folt=2"), "cold_random has no setting 'folt'. Did you mean 'fold'"),
        (("--split", "leave_last_out:valid=all"), "valid=all is not one of pair, none"),
        (("--split", "cold_random:fold=9"), "expected 1 to 5"),
    ):
        said = run(*more)
        assert said.code == 1
        assert message in said.err, said.err
    for data, message in (
        ("music4all-onio", "Did you mean 'music4all-onion'"),
        ("music4all-onion:size=2", "music4all-onion has no setting 'size'"),
        ("demo:size=2", "demo has no setting 'size'"),
        ("yambda:size=50", "size=50 is not one of 50m, 500m, 5b"),
        ("yambda:size=500m", "hold no flat/500m/listens.parquet"),
        ("music4all", "hold no listening_history.csv"),
    ):
        said = run(data=data)
        assert said.code == 1
        assert message in said.err, said.err


def test_an_extractor_trained_on_the_catalogue_is_told(run, records, tmp_path, monkeypatch):
    monkeypatch.setattr(get("extractors", "precomputed"), "trained_on", ("MSD", "Music4All"))
    assert run().code == 0
    (record,) = records(tmp_path / "results").values()
    assert "precomputed was trained on Music4All: it knows the tracks of music4all-onion" in record["warnings"]
