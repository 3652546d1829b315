"""Data as users have it: ids that match or do not, logs without audio, built-in sets; and the honest order."""

import shutil

import numpy as np
import polars as pl
import pytest

from bench.datasets.demo import Demo
from bench.synthetic import WorldSize

# -- matching a log with audio ----------------------------------------------------------------------------


@pytest.fixture
def words(small_world):
    """The small world's options by name, to be replaced one by one."""
    return dict(zip(small_world[::2], small_world[1::2], strict=True))


@pytest.fixture
def run(bench, base, tmp_path):
    """mfcc and knn without controls, on options as `words` has them."""

    def call(words, *more, extractor="mfcc", results="r"):
        given = ["run", "--extractor", extractor, "--model", "knn", "--no-controls", "--k", "5", "--device", "cpu"]
        given += ["--reference", "none", "--cache", base.cache, "--results", tmp_path / results]
        return bench(*given, *(part for pair in words.items() for part in pair), *more)

    return call


def metrics(records, folder):
    (content,) = records(folder).values()
    return content["metrics"]


@pytest.fixture
def wanted(base, records):
    return records(base.results)["mfcc", "knn", 0]["metrics"]


def test_ids_with_the_files_extension(run, words, records, wanted, world_folder, tmp_path):
    audio = shutil.copytree(world_folder / "audio", tmp_path / "audio")
    (audio / "t0000.wav.flac").touch()  # by path it is track t0000.wav: the rule that fits most must win
    frame = pl.read_csv(words["--listens"]).with_columns(pl.col("item") + ".wav")
    frame.write_csv(tmp_path / "plays.csv")
    meta = pl.read_parquet(words["--meta"]).with_columns(pl.col("track_id") + ".wav")
    meta.write_parquet(tmp_path / "meta.parquet")
    said = run({**words, "--listens": tmp_path / "plays.csv", "--meta": tmp_path / "meta.parquet", "--audio": audio})
    assert said.code == 0, said.err
    assert "note: audio: 60 of 60 tracks found; 60 by file name ('t0000.wav' = 't0000')" in said.err
    assert metrics(records, tmp_path / "r") == wanted


def test_files_in_folders_are_found_by_their_names(run, words, records, wanted, tmp_path):
    from pathlib import Path

    for at, path in enumerate(sorted(Path(words["--audio"]).iterdir())):
        folder = tmp_path / "music" / f"disc {at % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    (tmp_path / "music" / "cover.jpg").touch()
    said = run({**words, "--audio": tmp_path / "music"})
    assert said.code == 0, said.err
    assert "60 by file name without extension ('t0000' = 'disc 0/t0000')" in said.err
    assert "not audio by their names: 1 .jpg" in said.err
    assert "to embed" not in said.err  # the sounds are known under their old paths
    assert metrics(records, tmp_path / "r") == wanted


def test_a_list_of_paths(run, words, records, wanted, tmp_path):
    from pathlib import Path

    paths = sorted(Path(words["--audio"]).iterdir())
    pl.DataFrame({"track_id": [p.stem for p in paths], "path": list(map(str, paths))}).write_csv(tmp_path / "list.csv")
    assert run({**words, "--audio": tmp_path / "list.csv"}).code == 0
    assert metrics(records, tmp_path / "r") == wanted


def test_columns_by_other_names(run, words, records, wanted, tmp_path):
    frame = pl.read_csv(words["--listens"]).select(pl.lit("x").alias("note"), a="time", b="item", c="user")
    frame.write_csv(tmp_path / "plays.tsv", separator="\t")
    said = run({**words, "--listens": tmp_path / "plays.tsv"})
    assert said.code == 1
    assert "--columns user=COLUMN" in said.err
    said = run({**words, "--listens": tmp_path / "plays.tsv"}, "--columns", "user=c,item=b,time=a")
    assert said.code == 0, said.err
    assert metrics(records, tmp_path / "r") == wanted


def test_ids_that_match_nothing_name_an_example_of_each(run, words, tmp_path):
    frame = pl.read_csv(words["--listens"]).with_columns(item=pl.format("other-{}", "item"))
    frame.write_csv(tmp_path / "plays.csv")
    said = run({**words, "--listens": tmp_path / "plays.csv"})
    assert said.code == 1
    assert "(such as 'other-t0000')" in said.err
    assert "(such as 't0000')" in said.err
    assert "Name files by track id, or give --audio a list" in said.err


def test_tracks_without_audio_are_left_out_and_said(run, words, world_folder, tmp_path, records):
    audio = shutil.copytree(world_folder / "audio", tmp_path / "audio")
    for name in ("t0010", "t0011"):
        (audio / f"{name}.wav").unlink()
    said = run({**words, "--audio": audio})
    assert said.code == 0, said.err
    assert "45 hot and 13 cold tracks" in said.err
    assert "note: left out of the log: " in said.err
    (content,) = records(tmp_path / "r").values()
    assert content["split"]["counts"]["left_out"]["plays"]
    assert content["extractor"]["coverage"] == 1.0


# -- without audio ----------------------------------------------------------------------------------------


@pytest.fixture
def table(world_folder, tmp_path):
    """Vectors of all tracks but two, in a Parquet file."""
    ids = sorted(path.stem for path in (world_folder / "audio").iterdir())[2:]
    vectors = np.random.default_rng(0).standard_normal((len(ids), 12))
    pl.DataFrame({"track_id": ids, **{f"d{i}": column for i, column in enumerate(vectors.T)}}).write_parquet(
        tmp_path / "vectors.parquet"
    )
    return tmp_path / "vectors.parquet"


def test_a_log_and_vectors_need_no_audio(bench, words, base, table, records, tmp_path):
    given = ["--listens", words["--listens"], "--split", words["--split"], "--k", "5", "--cache", base.cache]
    given += ["--model", "knn", "--results", tmp_path / "r"]
    said = bench("run", "--extractor", f"precomputed:path={table}", *given)
    assert said.code == 0, said.err
    found = records(tmp_path / "r")
    assert len(found) == 5
    content = found[f"precomputed:path={table}", "knn", 0]
    assert content["extractor"]["width"] == 12
    assert content["extractor"]["coverage"] == pytest.approx(58 / 60, abs=0.02)
    assert "extract_s_per_1000" not in content["cost"]
    assert not any(name.startswith("ild") for name in content["beyond"]["hot"])  # no audio for the default space
    said = bench("run", "--extractor", "mfcc", *given)
    assert said.code == 1
    assert "mfcc listens to audio, and plays brings none: give --audio DIR|LIST" in said.err


def test_exported_vectors_read_back_give_the_same_numbers(bench, run, words, base, records, wanted, tmp_path):
    out = tmp_path / "vectors.parquet"
    said = bench("export", "--extractor", "mfcc", "--audio", words["--audio"], "--cache", base.cache, "--out", out)
    assert said.code == 0, said.err
    assert f"{out}: 60 tracks x 104" in said.out
    assert run(words, extractor=f"precomputed:path={out}").code == 0
    assert metrics(records, tmp_path / "r") == wanted


# -- options that do not fit ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"--data": "demo"}, "--data and --listens exclude one another"),
        ({"--listens": "/nowhere/plays.csv"}, "/nowhere/plays.csv: missing"),
        ({"--audio": "/nowhere"}, "/nowhere does not exist. Give a folder of audio files"),
        ({"--meta": "/nowhere/meta.csv"}, "/nowhere/meta.csv: missing"),
        ({"--split": "global_temporall"}, "there is no split 'global_temporall'. Did you mean 'global_temporal'?"),
        ({"--split": "global_temporal:cut=yesterday"}, "cut='yesterday' is not a date; write 2020-02-20"),
        ({"--split": "global_temporal:cutt=2020-02-20"}, "has no setting 'cutt'. Did you mean 'cut'"),
        ({"--split": "global_temporal:cut=2031-01-01"}, "2031-01-01"),
        ({"--k": "46"}, "has only 46 hot tracks to choose from. Take a smaller k"),
        ({"--k": "0"}, "'0' is not a positive whole number"),
        ({"--columns": "user=a"}, "no column 'a' for user; the header is 'user', 'item', 'time'"),
        ({"--columns": "usr=a"}, "usr"),
        ({"--treat": "standardise"}, "there is no treatment 'standardise'. Did you mean 'standardize'?"),
        ({"--treat": "pca:500"}, "at most"),
        ({"--treat": "pca"}, "write pca:k with a width k"),
        ({"--reference": "mfc"}, "no extractor is called 'mfc'. Did you mean 'mfcc'?"),
    ],
)
def test_wrong_options_name_value_and_remedy(run, words, tmp_path, change, said):
    found = run({**words, **change})
    assert found.code == 1
    assert said in found.err
    assert "Traceback" not in found.err
    assert not list((tmp_path / "r").rglob("*.json"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--columns", "user=a,item=b,time=c"], "--columns describes a --listens file; there is none"),
        (["--data", "demo", "--audio", "/nowhere"], "--audio and --meta belong to a --listens file"),
        (["--data", "dmo"], "no dataset is called 'dmo'. Did you mean 'demo'"),
        (["--data", "demo", "--root", "/nowhere"], "takes no --root"),
    ],
)
def test_wrong_data_options_stop_before_anything_is_built(bench, tmp_path, given, said):
    words = ["--extractor", "mfcc", "--model", "knn", "--cache", tmp_path / "c", "--results", tmp_path / "r"]
    found = bench("run", *words, *given)
    assert found.code == 1
    assert said in found.err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


# -- the honest order -------------------------------------------------------------------------------------


def test_on_the_demo_planted_taste_beats_mfcc_beats_shuffled_rows(bench, records, tmp_path, monkeypatch):
    # A third of the audio of the demo.
    size = WorldSize(tracks=300, artists=60, cold=120, seconds=3.0, listeners=1_000, plays=72_000)
    monkeypatch.setattr(Demo, "size", size)
    cache = tmp_path / "cache"
    folder = Demo().prepare(None, cache)
    oracle = f"precomputed:path=({folder / 'oracle.parquet'})"
    words = ["--model", "knn", "--treat", "standardize", "--cache", cache, "--results", tmp_path / "r"]
    said = bench("run", "--extractor", f"{oracle},mfcc", *words, "--seeds", "8")
    assert said.code == 0, said.err
    found = {}
    for (extractor, model, _), content in records(tmp_path / "r").items():
        if model == "knn":
            found.setdefault(extractor.partition(":")[0], []).append(content)
    (best,), (mfcc,) = found["precomputed"], found["mfcc"]
    # Of the rows shuffled once, users share the luck: only many shuffles have chance for their mean.
    shuffled = [one for one in found["shuffled"] if one["extractor"]["spec"] == "shuffled:of=mfcc"]
    assert len(shuffled) == len(found["random"]) == 8
    for where in ("hot", "cold", "mixed"):
        for name in ("hitrate@10", "ndcg@10"):
            chance = mfcc["chance"][where][name]
            most = max(one["metrics"][where][name] for one in shuffled)
            assert best["metrics"][where][name] > mfcc["metrics"][where][name] > most, (where, name)
            assert mfcc["intervals"][where][name][0] > chance, (where, name)
            # Mixed, shuffled rows beat chance: vectors are standardised on hot tracks and sum to 0 there, so that hot
            # tracks that a listener has not played are unlike those in the profile, and cold tracks are not.
            for control in (shuffled, found["random"]) if where != "mixed" else ():
                values = np.array([one["metrics"][where][name] for one in control])
                error = values.std(ddof=1) / np.sqrt(len(values))
                assert abs(values.mean() - chance) < 3.5 * error, (where, name)  # 1 in 100 for t of 7 degrees
    assert best["data"]["builtin"]


def test_files_that_an_audio_list_names_and_that_do_not_exist_are_counted_and_named(bench, world_folder, tmp_path):
    there = sorted((world_folder / "audio").iterdir())[:3]
    lines = [f"{path.stem},{path}" for path in there] + [f"gone{n},{tmp_path}/gone{n}.wav" for n in range(2)]
    (tmp_path / "list.csv").write_text("\n".join(["track_id,path", *lines]))
    rest = ["--audio", tmp_path / "list.csv", "--cache", tmp_path / "cache", "--device", "cpu", "--dry-run"]
    said = bench("extract", "--extractor", "mfcc", *rest)
    assert said.code == 0
    assert f"2 of 5 files cannot be read: 'gone0' (missing: {tmp_path}/gone0.wav), 'gone1' (missing" in said.err
    assert "3 recordings of 5 tracks" in said.err
