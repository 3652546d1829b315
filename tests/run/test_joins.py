"""A log finds its audio, vectors and metadata where ids are written in another way; the plan says what it found."""

import shutil
import unicodedata
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bench.datasets.demo import Demo
from bench.run.inputs import Opened, match

TRACKS = [f"t{n:04d}" for n in range(60)]


def named(form):
    """One way of writing the ids of the tracks, as a function of their number."""
    return {
        "plain": lambda n: f"{n + 1}",
        "float": lambda n: f"{n + 1}.0",
        "padded": lambda n: f"{n + 1:05d}",
        "blank": lambda n: f" {n + 1}",
        "folder": lambda n: f"disc {n % 3}/{n + 1}",
        "windows": lambda n: f"disc {n % 3}\\{n + 1}",
        "NFC": lambda n: unicodedata.normalize("NFC", f"Mädchen {n + 1}"),
        "NFD": lambda n: unicodedata.normalize("NFD", f"Mädchen {n + 1}"),
    }[form]


@pytest.fixture
def world(world_folder, small_world, tmp_path):
    """Write log, vectors and metadata, each with ids in a form of its own; return the words of a run of them."""

    def make(log, vectors, meta, keep=60):
        new = {track: named(log)(n) for n, track in enumerate(TRACKS)}
        plays = pl.read_csv(world_folder / "plays.csv").with_columns(pl.col("item").replace_strict(new))
        plays.write_csv(tmp_path / f"plays-{log}.csv")
        matrix = np.random.default_rng(0).standard_normal((60, 6))
        frame = pl.DataFrame({"track_id": [named(vectors)(n) for n in range(60)]}).with_columns(
            pl.Series(f"d{at}", column) for at, column in enumerate(matrix.T)
        )
        frame[:keep].write_csv(tmp_path / "vectors.tsv", separator="\t")
        about = pl.read_parquet(world_folder / "tracks.parquet")
        old = {track: named(meta)(n) for n, track in enumerate(TRACKS)}
        about.with_columns(pl.col("track_id").replace_strict(old)).write_parquet(tmp_path / "meta.parquet")
        return ["--listens", tmp_path / f"plays-{log}.csv", "--meta", tmp_path / "meta.parquet", *small_world[-2:]]

    return make


@pytest.fixture
def run(bench, tmp_path, records):
    def call(words, results, *more, extractor=None):
        given = ["--extractor", extractor or f"precomputed:path=({tmp_path / 'vectors.tsv'})", "--model", "knn"]
        given += ["--no-controls", "--k", "5", "--device", "cpu", "--reference", "none"]
        said = bench("run", *given, *words, "--cache", tmp_path / "cache", "--results", tmp_path / results, *more)
        found = list(records(tmp_path / results).values()) if (tmp_path / results).exists() else []
        return said, found[0] if found else None

    return call


@pytest.mark.parametrize(
    ("log", "vectors", "meta"),
    [
        ("float", "plain", "padded"),
        ("padded", "float", "folder"),
        ("plain", "folder", "windows"),
        ("blank", "plain", "plain"),
        ("NFC", "NFD", "NFD"),
        ("NFD", "NFC", "NFC"),
    ],
)
def test_numbers_are_those_of_ids_that_agree(world, run, log, vectors, meta):
    same, wanted = run(world(log, log, log), "same")
    other, found = run(world(log, vectors, meta), "other")
    assert (same.code, other.code) == (0, 0), other.err
    assert found["metrics"] == wanted["metrics"]
    assert found["split"]["overlap"] == wanted["split"]["overlap"]  # of artists: the metadata are found, too
    assert wanted["split"]["overlap"]["artist_known_hot"] > 0
    assert found["extractor"]["coverage"] == 1
    first, theirs = named(log)(0), named(vectors)(0)
    assert f"({first!r} = {theirs!r})" in other.err
    assert f"({first!r} = {named(meta)(0)!r})" in other.err or meta == "plain"
    assert f"({first!r} = " not in same.err


def test_the_plan_says_what_either_side_lacks(world, run):
    said, found = run(world("plain", "padded", "plain", keep=40), "r", "--dry-run")
    assert (said.code, found) == (0, None)
    line = next(line for line in said.err.splitlines() if line.startswith("precomputed:"))
    assert "40 of 59 tracks found; 40 by spelling ('1' = '00001'); 19 not found ('41', '42', '43')" in line
    said, _ = run(world("plain", "plain", "plain"), "r", "--dry-run")
    assert "1 of 60 vectors not used" in said.err  # of the track that the split lacks


def test_ids_of_other_tracks_are_named_and_no_failures_are(world, run):
    said, found = run(world("plain", "NFC", "plain"), "r")
    assert (said.code, found) == (1, None)
    assert "'1'" in said.err
    assert "'Mädchen 1'" in said.err
    assert "ailures" not in said.err


def test_failures_are_named_where_some_are_listed(bench, tmp_path, small_world):
    words = dict(zip(small_world[::2], small_world[1::2], strict=True))
    audio = tmp_path / "audio"
    audio.mkdir()
    for track in TRACKS:
        (audio / f"{track}.wav").write_bytes(b"no sound")
    given = ["--extractor", "mfcc", "--model", "knn", "--no-controls", "--k", "5", "--device", "cpu"]
    rest = [part for pair in {**words, "--audio": audio}.items() for part in pair]
    said = bench("run", *given, *rest, "--cache", tmp_path / "cache", "--results", tmp_path / "r")
    assert said.code == 1
    assert "Look at the failures listed" in said.err
    assert "failures.csv" in said.err


def test_what_is_exported_from_folders_is_found_by_the_log(bench, base, world_folder, small_world, tmp_path, records):
    for n, track in enumerate(TRACKS):
        folder = tmp_path / "music" / ("electro", "rock")[n % 2]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(world_folder / "audio" / f"{track}.wav", folder)
    out = tmp_path / "vectors.parquet"
    given = ["--audio", tmp_path / "music", "--cache", base.cache, "--device", "cpu"]
    assert bench("export", "--extractor", "mfcc", *given, "--out", out).code == 0
    assert pl.read_parquet(out)["track_id"][0] == "electro/t0000"
    rest = ["--model", "knn", "--no-controls", "--k", "5", "--reference", "none", *small_world, "--cache", base.cache]
    said = bench("run", "--extractor", f"precomputed:path=({out})", *rest, "--results", tmp_path / "r")
    assert said.code == 0, said.err
    (found,) = records(tmp_path / "r").values()
    assert found["metrics"] == records(base.results)["mfcc", "knn", 0]["metrics"]


def test_audio_is_found_by_names_in_another_normal_form(bench, base, world_folder, small_world, tmp_path, records):
    """What a Mac writes and what a database says are the same letters."""
    words = dict(zip(small_world[::2], small_world[1::2], strict=True))
    new = {track: named("NFC")(n) for n, track in enumerate(TRACKS)}
    pl.read_csv(words["--listens"]).with_columns(pl.col("item").replace_strict(new)).write_csv(tmp_path / "plays.csv")
    audio = tmp_path / "audio"
    audio.mkdir()
    for n, track in enumerate(TRACKS):
        shutil.copy(world_folder / "audio" / f"{track}.wav", audio / f"{named('NFD' if n >= 20 else 'NFC')(n)}.wav")
    rest = ["--model", "knn", "--no-controls", "--k", "5", "--device", "cpu", "--reference", "none"]
    rest += ["--split", words["--split"], "--cache", base.cache]
    given = ["--listens", tmp_path / "plays.csv", "--audio", audio]
    said = bench("run", "--extractor", "mfcc", *given, *rest, "--results", tmp_path / "r")
    assert said.code == 0, said.err
    (found,) = records(tmp_path / "r").values()
    wanted = records(base.results)["mfcc", "knn", 0]
    assert found["split"]["counts"]["train"] == wanted["split"]["counts"]["train"]
    assert f"({named('NFC')(20)!r} = {named('NFD')(20)!r})" in said.err


def test_paths_of_windows_are_split_into_folders():
    paths = [f"C:\\music\\{folder}\\{name}.wav" for folder, name in (("a", "x"), ("b", "y"))]
    catalog = pl.DataFrame({"track_id": ["one", "two"], "path": paths, "offset": [None] * 2, "duration": [None] * 2})
    for ids in (["y", "x"], ["y.wav", "x.wav"]):
        rows, _ = match(Opened(Demo(), Path(), catalog, own_ids=False, notes=[]), pl.Series("item", ids))
        assert rows.select("track_id", "path").rows() == [(ids[0], paths[1]), (ids[1], paths[0])]
