"""No answer outlives its question: what is kept is found again by role and content alone."""

import os
import shutil
import time

import numpy as np
import polars as pl
import pytest

from bench.run.inputs import open_inputs
from bench.run.options import Data, Environment
from bench.splits import cache
from bench.splits.temporal import GlobalTemporal

OLD = time.time() - 1000
SPLIT = "global_temporal:cut=2020-02-20,start=2019-02-20,end=2020-03-21"


@pytest.fixture
def opened(tmp_path):
    """Open data with one cache for all calls; returns the split's sizes and what was left out of the log."""

    def call(split=SPLIT, **data):
        given = {name: str(value) for name, value in data.items()}
        environment = Environment(tmp_path / "cache", tmp_path / "results", "cpu")
        return open_inputs(Data(**given), split, environment, log=lambda _: None)

    return call


@pytest.fixture
def plays(world_folder):
    return pl.read_csv(world_folder / "plays.csv")


def put(frame, path, mtime=OLD):
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.write_csv(path)
    os.utime(path, (mtime, mtime))
    return path


def shortened(frame):
    """The log without a third of its listeners, and what its split holds."""
    kept = frame["user"].unique().sort().gather_every(3)
    return frame.filter(~pl.col("user").is_in(kept.implode()))


def test_a_log_and_metadata_of_one_name_are_two_inputs(opened, plays, world_folder, tmp_path):
    meta = pl.read_parquet(world_folder / "tracks.parquet").select("track_id", "artist", "genre")
    log, about = tmp_path / "listens" / "data.csv", put(meta, tmp_path / "meta" / "data.csv")
    put(plays, log)
    first = opened(listens=log, meta=about)
    put(shortened(plays), log, OLD + 5)
    second = opened(listens=log, meta=about)
    alone = opened(listens=put(shortened(plays), tmp_path / "alone.csv"))
    assert second.split.fingerprint == alone.split.fingerprint != first.split.fingerprint
    assert len(second.split.users) < len(first.split.users)
    assert set(second.meta["artist"]) == set(first.meta["artist"])
    # The other way round: other metadata, the same log.
    put(meta.with_columns(artist=pl.lit("nobody")), about, OLD + 5)
    third = opened(listens=log, meta=about)
    assert set(third.meta["artist"]) == {"nobody"}
    assert third.fingerprint != second.fingerprint


@pytest.mark.parametrize("how", ["copy", "move"])
def test_a_log_replaced_by_one_of_the_same_size_and_time_is_read(opened, plays, tmp_path, how):
    log = put(plays, tmp_path / "plays.csv")
    other = put(plays.with_columns(user=plays["user"].reverse()), tmp_path / "other.csv")
    assert log.stat().st_size == other.stat().st_size
    first = opened(listens=log)
    assert opened(listens=log).split.fingerprint == first.split.fingerprint
    wanted = opened(listens=other).split.fingerprint
    time.sleep(0.02)  # a tick of the file system's clock
    (shutil.copy2 if how == "copy" else os.replace)(other, log)
    assert log.stat().st_mtime == OLD
    assert opened(listens=log).split.fingerprint == wanted != first.split.fingerprint


def test_a_log_is_the_same_under_another_name(opened, plays, tmp_path):
    one = opened(listens=put(plays, tmp_path / "one.csv"))
    two = opened(listens=put(plays, tmp_path / "two.csv"))
    assert one.fingerprint == two.fingerprint
    assert len(list((tmp_path / "cache" / "splits").glob("*.json"))) == 1


def test_columns_are_those_that_were_named_in_any_order(opened, plays, tmp_path):
    log = put(plays.with_columns(uid=pl.col("user").reverse()), tmp_path / "plays.csv")
    one, same, other = (opened(listens=log, columns=f"user={user}") for user in ("user", "user", "uid"))
    turned = opened(listens=log, columns="time=time,user=user"), opened(listens=log, columns="user=user,time=time")
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert turned[0].fingerprint == turned[1].fingerprint
    assert one.split.fingerprint == turned[0].split.fingerprint != other.split.fingerprint


def test_audio_found_by_file_names_belongs_to_the_names(opened, plays, world_folder, tmp_path):
    """Two lists with the same ids and other paths give audio to other tracks."""
    names = sorted(path.name for path in (world_folder / "audio").iterdir())
    log = put(plays, tmp_path / "plays.csv")
    paths = [str(world_folder / "audio" / name) for name in names]
    ids = [f"id-{at}" for at in range(40)]
    found = []
    for part in (paths[:40], paths[20:]):
        pl.DataFrame({"track_id": ids, "path": part}).write_csv(tmp_path / "list.csv")
        found.append(set(opened(listens=log, audio=tmp_path / "list.csv").split.items))
    tracks = [name.removesuffix(".wav") for name in names]
    assert found[0] <= set(tracks[:40])
    assert found[1] <= set(tracks[20:])
    assert found[1] - set(tracks[:40])


def test_the_versions_of_data_set_and_split_belong_to_a_split(opened, plays, tmp_path, monkeypatch):
    log = put(plays, tmp_path / "plays.csv")
    kept = tmp_path / "cache" / "splits"
    numbers = [opened(listens=log) and len(list(kept.glob("*.json")))]
    for cls in (GlobalTemporal, type(opened(listens=log).opened.dataset)):
        monkeypatch.setattr(cls, "version", "2")
        numbers.append(opened(listens=log) and len(list(kept.glob("*.json"))))
    assert numbers == [1, 2, 3]


def test_splits_of_the_same_pairs_keep_what_each_log_left_out(opened, plays, tmp_path):
    early = plays.head(7).with_columns(time=pl.lit(1_000_000_000, dtype=pl.Int64))
    one, two = put(plays, tmp_path / "one.csv"), put(pl.concat([plays, early]), tmp_path / "two.csv")
    wanted = [opened(listens=log).split for log in (one, two)]
    assert wanted[0].fingerprint == wanted[1].fingerprint
    again = [opened(listens=log).split.counts["left_out"]["plays"]["before_start"] for log in (one, two)]
    assert again == [split.counts["left_out"]["plays"]["before_start"] for split in wanted]
    assert again[1] == again[0] + 7


@pytest.mark.parametrize("text", ["", "split-0.parquet", "{}", '{"split": 3, "unknown": []}', "[1]"])
def test_a_damaged_pointer_to_a_split_is_written_again(opened, plays, tmp_path, text):
    log = put(plays, tmp_path / "plays.csv")
    wanted = opened(listens=log).split.fingerprint
    (pointer,) = (tmp_path / "cache" / "splits").glob("*.json")
    before = pointer.read_text()
    pointer.write_text(text)
    assert opened(listens=log).split.fingerprint == wanted
    assert pointer.read_text() == before


def test_tracks_without_audio_are_named_each_time(opened, plays, world_folder, tmp_path):
    log, audio = put(plays, tmp_path / "plays.csv"), shutil.copytree(world_folder / "audio", tmp_path / "audio")
    for name in ("t0010", "t0011"):
        (audio / f"{name}.wav").unlink()
    for _ in range(2):
        (line,) = [note for note in opened(listens=log, audio=audio).notes if note.startswith("audio: ")]
        assert "2 not found ('t0010', 't0011')" in line


def test_vectors_that_are_replaced_make_another_record(bench, plays, tmp_path, records):
    log = put(plays, tmp_path / "plays.csv")
    ids = plays["item"].unique().sort()
    rng = np.random.default_rng(0)
    found = []
    for name in ("a", "b"):
        matrix = rng.integers(1000, 9999, (len(ids), 4))  # as many digits: the files have one size
        frame = pl.DataFrame({"track_id": ids}).with_columns(
            pl.Series(f"d{at}", column) for at, column in enumerate(matrix.T)
        )
        put(frame, tmp_path / f"{name}.csv")
    assert (tmp_path / "a.csv").stat().st_size == (tmp_path / "b.csv").stat().st_size
    spec = f"precomputed:path=({tmp_path / 'a.csv'})"
    words = ["run", "--listens", log, "--split", SPLIT, "--extractor", spec, "--model", "knn", "--k", "5"]
    words += ["--no-controls", "--reference", "none", "--device", "cpu"]
    for _ in range(2):
        said = bench(*words, "--cache", tmp_path / "cache", "--results", tmp_path / "r")
        assert said.code == 0, said.err
        found += [record["extractor"]["table_sha256"] for record in records(tmp_path / "r").values()]
        os.replace(tmp_path / "b.csv", tmp_path / "a.csv") if len(found) == 1 else None
    assert found[0] != found[1]


def test_the_key_of_a_split_forgets_nothing():
    class Data:
        version = "1"

    settings = GlobalTemporal()
    first = cache.key(Data, {"listens": "a", "meta": "b"}, settings, "c")
    others = [
        cache.key(Data, {"listens": "b", "meta": "a"}, settings, "c"),
        cache.key(Data, {"listens": "a", "meta": "b"}, settings, None),
        cache.key(Data, {"listens": "a", "meta": "b"}, GlobalTemporal(valid_share=0), "c"),
    ]
    assert len({first, *others}) == 4
