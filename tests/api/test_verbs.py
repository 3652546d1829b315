"""The functions are the verbs of the command line: the same digits, records, messages, and nothing done twice."""

import inspect
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest

import bench
import bench.run.plan  # a module of the package that is a verb, too
from bench.errors import BenchError

VERBS = ["catalog", "embed", "evaluate", "load_results", "probe", "run"]


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def metrics(folder):
    """Return (extractor, model) -> metrics of every record."""
    found = [json.loads(path.read_text()) for path in folder.rglob("seed0.json")]
    return {(one["extractor"]["name"], one["recommender"]["spec"]): one["metrics"] for one in found}


def test_importing_bench_imports_nothing_else():
    code = "import sys, bench; print(dir(bench)); print(sorted({name.partition('.')[0] for name in sys.modules}))"
    code += "; print([name for name in sys.modules if name.startswith('bench.')])"
    shown, roots, rooms = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert set(VERBS) <= set(json.loads(shown.replace("'", '"')))
    assert not {"numpy", "polars", "torch", "rich"} & set(json.loads(roots.replace("'", '"')))
    assert rooms == "[]"


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_can_be_called_and_is_documented(name):
    verb = getattr(bench, name)
    assert callable(verb)
    written = getattr(sys.modules["bench.api"], name)
    assert inspect.signature(verb) == inspect.signature(written)
    assert all(part in inspect.getdoc(written) for part in ("Parameters", "Raises"))


def test_an_unknown_name_is_no_attribute():
    assert not hasattr(bench, "rnu")


def test_the_command_line_reuses_records_of_a_call(world, command):
    before = contents(world.results)
    code, out, err = command("run", "--extractor", "mfcc", "--model", "knn", *world.words, "--results", world.results)
    assert code == 0
    assert "computing " not in err
    assert "Nothing was recomputed" in out
    assert contents(world.results) == before


def test_a_call_reuses_records_of_the_command_line_and_gives_its_digits(world, command, tmp_path):
    words = ["--extractor", "mfcc", "--model", "knn", *world.words, "--results", tmp_path]
    assert command("run", *words)[0] == 0
    before = contents(tmp_path)
    found = bench.run("mfcc", "knn", **world.options, results=tmp_path)
    assert contents(tmp_path) == before
    assert metrics(tmp_path) == metrics(world.results)
    assert found.to_polars().equals(world.found.to_polars())


def test_a_call_prints_the_tables_of_the_command_line(world, command):
    _, out, _ = command("report", world.results)
    assert [line.rstrip() for line in out.rstrip().splitlines()] == str(world.found).rstrip().splitlines()


def test_folds_are_those_of_the_command_line(world, command, tmp_path):
    options = {**world.options, "split": "cold_random:folds=2"}
    bench.run("mfcc", "knn", **options, folds="all", controls=False, results=tmp_path / "call", quiet=True)
    words = ["--extractor", "mfcc", "--model", "knn", *world.words, "--split", options["split"], "--folds", "all"]
    assert command("run", *words, "--no-controls", "--quiet", "--results", tmp_path / "line")[0] == 0
    call, line = (bench.load_results(tmp_path / name) for name in ("call", "line"))
    assert call.to_polars().equals(line.to_polars())
    assert call.to_polars()["by_fold"].list.len().max() == 2


def test_probes_are_those_of_the_command_line(world, command, tmp_path):
    options = {name: value for name, value in world.options.items() if name not in ("split", "k")}
    labels = pl.read_parquet(options["meta"]).sort("genre", "track_id").with_row_index("at")
    turn = pl.col("at") % 6
    part = pl.when(turn == 4).then(pl.lit("valid")).when(turn == 5).then(pl.lit("test")).otherwise(pl.lit("train"))
    options["meta"] = tmp_path / "labels.parquet"
    labels.select("track_id", "genre", part=part).write_parquet(options["meta"])
    found = bench.probe("mfcc", "catalog-genre", probes="knn", **options, results=tmp_path / "results")
    before = contents(tmp_path / "results")
    words = [word for name in ("listens", "audio", "meta", "cache", "device") for word in (f"--{name}", options[name])]
    words += ["--extractor", "mfcc", "--task", "catalog-genre", "--probe", "knn", "--results", tmp_path / "results"]
    code, out, _ = command("probe", *words)
    assert code == 0
    assert "Nothing was recomputed" in out
    assert contents(tmp_path / "results") == before
    recorded = {one["extractor"]["spec"]: one["metrics"]["test"] for one in map(_read, tmp_path.rglob("seed0.json"))}
    frame = found.to_polars().filter(metric="accuracy")
    assert dict(frame.select("extractor", "value").rows()) == {name: m["accuracy"] for name, m in recorded.items()}
    assert frame["task"].unique().to_list() == ["catalog-genre"]
    assert found.table().columns[:3] == ["lane", "extractor", "control"]


def _read(path):
    return json.loads(path.read_text())


def test_vectors_are_those_that_export_writes(world, world_folder, command, tmp_path):
    cache = world.options["cache"]
    found = bench.embed(world_folder / "audio", "mfcc", cache=cache, device="cpu")
    words = ["--extractor", "mfcc", "--audio", world_folder / "audio", "--cache", cache, "--device", "cpu"]
    assert command("export", *words, "--out", tmp_path / "v.npy")[0] == 0
    assert (found.vectors == np.load(tmp_path / "v.npy")).all()
    assert found.ids == (tmp_path / "v.ids.txt").read_text().split()
    assert found.vectors.shape == (60, found.to_polars()["vector"].dtype.shape[0])
    found.save(tmp_path / "again.npy")
    assert (tmp_path / "again.npy").read_bytes() == (tmp_path / "v.npy").read_bytes()


def test_paths_and_frames_name_audio(world, world_folder):
    files = sorted((world_folder / "audio").iterdir())[:3]
    options = {"cache": world.options["cache"], "device": "cpu", "quiet": True}
    whole = bench.embed(str(world_folder / "audio"), "mfcc", **options)
    some = bench.embed(files, "mfcc", **options)
    frame = pl.DataFrame({"track_id": ["b", "a"], "path": [str(files[0]), str(files[1])]})
    own = bench.embed(frame, "mfcc", **options)
    assert some.ids == [file.stem for file in files]
    rows = [whole.ids.index(name) for name in some.ids]
    assert (some.vectors == whole.vectors[rows]).all()
    assert own.ids == ["a", "b"]
    assert (own.vectors == some.vectors[[1, 0]]).all()


def test_a_layer_and_a_pooling_are_those_of_the_spec(world, world_folder):
    options = {"cache": world.options["cache"], "device": "cpu", "quiet": True}
    asked = bench.embed(world_folder / "audio", "mfcc", pooling="max", **options)
    spec = bench.embed(world_folder / "audio", "mfcc:pooling=max", **options)
    assert (asked.vectors == spec.vectors).all()
    with pytest.raises(BenchError, match="layer"):
        bench.embed(world_folder / "audio", "mfcc", layer="no such layer", **options)


@pytest.mark.parametrize("kind", ["path", "polars", "lazy", "pandas"])
def test_own_vectors_and_log_give_the_digits_of_the_extractor(world, world_folder, tmp_path, kind):
    path = world_folder / "plays.csv"
    listens = {"path": str, "polars": pl.read_csv, "lazy": pl.scan_csv, "pandas": pd.read_csv}[kind](path)
    found = bench.embed(world_folder / "audio", "mfcc", cache=world.options["cache"], device="cpu", quiet=True)
    same = {name: world.options[name] for name in ("split", "k", "cache", "device", "meta", "audio")}
    results = bench.evaluate(found.ids, found.vectors, listens, name="own", **same, results=tmp_path, quiet=True)
    own, given = metrics(tmp_path), metrics(world.results)
    assert own["precomputed", "knn"] == given["mfcc", "knn"]
    assert own["none", "popularity"] == given["none", "popularity"]
    assert results.table().filter(~pl.col("control"))["extractor"].to_list() == ["precomputed:path=own.npy"]


@pytest.mark.parametrize(
    ("extractor", "model", "more"),
    [("mfc", "knn", {}), ("mfcc", "knnn", {}), ("mfcc", "knn:nearest=1", {}), ("mfcc", "knn", {"treat": "l3"})],
)
def test_wrong_input_has_the_message_of_the_command_line(world, command, tmp_path, extractor, model, more):
    with pytest.raises(BenchError) as error:
        bench.run(extractor, model, **world.options, **more, results=tmp_path, quiet=True)
    words = [word for name, value in more.items() for word in (f"--{name}", value)]
    code, _, err = command("run", "--extractor", extractor, "--model", model, *world.words, *words, "--quiet")
    assert code == 1
    assert str(error.value) in err


@pytest.mark.parametrize(
    ("ids", "vectors", "about"),
    [
        (["a"], np.zeros((2, 3)), "1 ids"),
        (["a", "a"], np.zeros((2, 3)), "more than once"),
        (["a", "b"], np.zeros(2), "shape"),
        (["a", "b"], np.array([["x"], ["y"]]), "numbers"),
        (["a\nb", "b"], np.zeros((2, 3)), "line break"),
        (["a", "b"], np.array([[0.0], [np.nan]]), "finite"),
    ],
)
def test_wrong_vectors_are_refused(world, tmp_path, ids, vectors, about):
    with pytest.raises(BenchError, match=about):
        bench.evaluate(ids, vectors, world.options["listens"], cache=tmp_path, results=tmp_path, quiet=True)
    assert not list(tmp_path.rglob("seed0.json"))


def test_wrong_logs_and_options_are_refused(tmp_path):
    vectors = np.zeros((2, 3))
    places = {"cache": tmp_path, "results": tmp_path}
    with pytest.raises(BenchError, match="dict"):
        bench.evaluate(["a", "b"], vectors, {"user": ["u"]}, **places)
    with pytest.raises(BenchError, match="no row"):
        bench.evaluate(["a", "b"], vectors, pl.DataFrame({"user": [], "item": [], "time": []}), **places)
    with pytest.raises(BenchError, match="cache"):
        bench.run("mfcc", "knn", cashe=tmp_path)
    with pytest.raises(BenchError, match="seeds"):
        bench.run("mfcc", "knn", seeds=0, **places)
