import json
import os
import shutil
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import pytest
import soundfile

from bench.datasets import demo
from bench.datasets.demo import Demo, DemoLong, content
from bench.errors import BenchError
from bench.files.atomic import TEMPORARY
from bench.protocols import Dataset
from bench.registry import create
from bench.synthetic import WorldSize, make_plays, make_world, render

TINY = WorldSize(tracks=40, artists=16, cold=9, seconds=2.0, listeners=30, plays=1_500, seed=7)


class Tiny(Demo):
    name = "tiny"
    size: ClassVar[WorldSize] = TINY


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def root(cache):
    return Tiny().prepare(None, cache)


def test_declarations():
    for dataset in (Demo(), DemoLong()):
        assert isinstance(dataset, Dataset)
        assert dataset.builtin
        assert dataset.default_split == "global_temporal:cut=2020-02-20,start=2019-02-20,end=2020-03-21"
    assert (Demo.name, DemoLong.name) == ("demo", "demo-long")
    assert (Demo.default_k, DemoLong.default_k) == (10, 5)  # so that chance stays below 0.3


@pytest.mark.parametrize(
    ("spec", "name", "generator", "seed", "listeners"),
    [
        ("demo", "demo", 2, 2019, 2_000),
        ("demo:generator=1", "demo-v1", 1, 2019, 500),
        ("demo:seed=3", "demo-seed3", 2, 3, 2_000),
        ("demo:generator=1,seed=3", "demo-v1-seed3", 1, 3, 500),
        ("demo-long", "demo-long", 2, 2020, 800),
        ("demo-long:generator=1", "demo-long-v1", 1, 2020, 200),
    ],
)
def test_settings_choose_the_world_and_its_name(spec, name, generator, seed, listeners):
    dataset = create("datasets", spec)
    size = dataset.size
    assert (dataset.name, size.generator, size.seed, size.listeners) == (name, generator, seed, listeners)


def test_audio_is_what_was_synthesised(root):
    world = make_world(TINY)
    catalog = Tiny().catalog(root)
    assert catalog.schema == {
        "track_id": pl.String,
        "path": pl.String,
        "offset": pl.Float64,
        "duration": pl.Float64,
    }
    assert catalog["track_id"].to_list() == [track.track_id for track in world.tracks]
    for row in (0, 17, 39):
        wave, rate = soundfile.read(catalog["path"][row], dtype="int16")
        assert rate == 22_050
        assert np.array_equal(wave, render(world, row))
    assert soundfile.info(catalog["path"][0]).subtype == "PCM_16"
    assert len(list((root / "audio").iterdir())) == 40


def test_log_and_metadata_come_back_as_made(root):
    world = make_world(TINY)
    plays = make_plays(world)
    listens = Tiny().listens(root).collect()
    assert listens.schema == {"user": pl.String, "item": pl.String, "time": pl.Datetime("us", "UTC")}
    assert listens.height == len(plays)
    assert listens["time"].dt.epoch("s").to_list() == plays.time.tolist()
    assert listens["time"].min() >= datetime(2019, 2, 20, tzinfo=UTC)
    assert listens["time"].max() < datetime(2020, 3, 21, tzinfo=UTC)
    assert Tiny().meta(root).rows(named=True) == world.rows()


def test_oracle_holds_the_traits(root):
    oracle = pl.read_parquet(root / "oracle.parquet")
    assert oracle.columns == ["track_id", *(f"t{column}" for column in range(15))]
    assert np.array_equal(oracle.drop("track_id").to_numpy(), make_world(TINY).traits)


def test_labels(root):
    meta = Tiny().meta(root)
    for task, column in (("catalog-genre", "genre"), ("catalog-key", "key"), ("catalog-tags", "tags")):
        labels = Tiny().labels(root, task)
        assert labels is not None
        assert labels.columns == ["track_id", "label"]
        assert labels["label"].to_list() == meta[column].to_list()
    assert Tiny().labels(root, "gtzan") is None


def test_fingerprint_is_of_the_content(root):
    world = make_world(TINY)
    found = Tiny().fingerprint(root)
    assert found["name"] == "tiny"
    assert found["parameters"]["seed"] == 7
    assert content(world, make_plays(world)).items() <= found.items()
    json.dumps(found)


def test_second_run_builds_nothing(root, cache, monkeypatch, capsys):
    monkeypatch.setattr(demo, "_build", None)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert Tiny().prepare(None, cache) == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert capsys.readouterr() == ("", "")


def test_first_run_says_so(tmp_path, capsys):
    Tiny().prepare(None, tmp_path)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("building the tiny data (once): 40 tracks of 2 s")


def test_other_parameters_live_elsewhere(root, cache):
    class Other(Tiny):
        size: ClassVar[WorldSize] = WorldSize(tracks=8, artists=8, cold=2, seconds=1.0, listeners=3, plays=60, seed=8)

    other = Other().prepare(None, cache)
    assert other.parent == root.parent
    assert other != root


def test_relative_cache_gives_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset = Tiny()
    assert Path(dataset.catalog(dataset.prepare(None, Path("here")))["path"][0]).is_absolute()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_interrupted_build_leaves_nothing(tmp_path, monkeypatch, error):
    def stop(world, row):
        if row == 3:
            raise error
        return render(world, row)

    with monkeypatch.context() as patched:
        patched.setattr(demo, "render", stop)
        with pytest.raises(error):
            Tiny().prepare(None, tmp_path)
    assert list((tmp_path / "datasets").iterdir()) == []
    assert Tiny().catalog(Tiny().prepare(None, tmp_path)).height == 40


def test_what_a_killed_build_left_is_harmless_and_swept_later(tmp_path, root):
    young, old = (tmp_path / "datasets" / f"{TEMPORARY}{root.name}-1-{age}" for age in ("young", "old"))
    for stale in (young, old):
        (stale / "audio").mkdir(parents=True)
    day_old = time.time() - 90_000
    os.utime(old, (day_old, day_old))
    assert Tiny().prepare(None, tmp_path).name == root.name
    assert young.is_dir()
    assert not old.exists()


def test_two_builders_at_once(tmp_path, root):
    folders: list[Path] = []
    threads = [threading.Thread(target=lambda: folders.append(Tiny().prepare(None, tmp_path))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 3
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == [root.name]
    assert Tiny().fingerprint(folders[0]) == Tiny().fingerprint(root)


def test_root_is_refused(tmp_path):
    with pytest.raises(BenchError, match="takes no --root"):
        Tiny().prepare(tmp_path, tmp_path)


def test_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(BenchError, match="--cache"):
        Tiny().prepare(None, tmp_path / "file")


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "half a manifest": lambda folder: (folder / "manifest.json").write_text('{"fingerprint": {"na'),
    "manifest of another kind": lambda folder: (folder / "manifest.json").write_text("[]"),
    "flip in the manifest": lambda folder: flip(folder / "manifest.json"),
    "flip in the log": lambda folder: flip(folder / "listens.parquet"),
    "cut metadata": lambda folder: (folder / "tracks.parquet").write_bytes(b"PAR1"),
    "emptied traits": lambda folder: (folder / "oracle.parquet").write_bytes(b""),
    "no audio file": lambda folder: next(folder.glob("audio/*.wav")).unlink(),
    "flip in the audio": lambda folder: flip(next(folder.glob("audio/*.wav"))),
    "a file in its place": lambda folder: (shutil.rmtree(folder), folder.write_text("x")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_data_is_built_again(tmp_path, root, damage, capsys):
    shutil.copytree(root, tmp_path / "datasets" / root.name)
    folder = Tiny().prepare(None, tmp_path)
    assert capsys.readouterr().err == ""
    DAMAGE[damage](folder)
    assert Tiny().prepare(None, tmp_path) == folder
    assert str(folder) in capsys.readouterr().err
    for path in sorted(root.rglob("*.*")):
        assert (folder / path.relative_to(root)).read_bytes() == path.read_bytes()
    assert list((tmp_path / "datasets").iterdir()) == [folder]
