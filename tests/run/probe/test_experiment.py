"""`bench probe` from the command line to the record: every kind of task, leaks, gaps, repetition."""

import json
import shutil
from pathlib import Path

import jsonschema
import numpy as np
import polars as pl
import pytest

import bench.records
from bench.errors import BenchError
from bench.protocols import TaskData
from bench.records import Record
from bench.records.codec import decode
from bench.registry import create, get, names
from bench.report.eligible import eligible
from bench.resolver import Resolver
from bench.run.options import Data
from bench.run.probe.evaluate import fewer, rounds
from bench.run.probe.intervals import interval
from bench.run.probe.leaks import contaminated, leaks, near_leaks, untangle
from bench.run.probe.request import ProbeRequest, resolve
from bench.run.probe.tasks import LoadedTask
from bench.testing import task_fixtures

SCHEMA = json.loads((Path(bench.records.__file__).parent / "record.schema.json").read_text())


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probe")
    return ["--cache", folder / "cache", "--results", folder / "results", "--device", "cpu"]


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """The twins of several tasks, each below one folder under its name."""
    root = tmp_path_factory.mktemp("mir")
    for name in ("magnatagatune", "gtzan", "giantsteps", "emomusic"):
        task_fixtures.write(name, root / name)
    return root


@pytest.fixture(scope="module")
def ran(bench, roots, places):
    """One run over a task of each kind."""
    tasks = "magnatagatune,gtzan,gtzan-10fold:folds=4,giantsteps:seconds=0.5,emomusic"
    words = ["probe", "--extractor", "mfcc", "--task", tasks, "--probe", "knn", "--root", roots, *places]
    said = bench(*words)
    assert said.code == 0, said.err
    return words, said, Path(places[3])


def found(results, task):
    """Records of a task by extractor."""
    content = [json.loads(path.read_text()) for path in sorted((results / "mir" / task).rglob("seed*.json"))]
    return {record["extractor"]["spec"]: record for record in content}


@pytest.mark.parametrize(
    ("task", "primary"),
    [
        ("magnatagatune", "roc_auc"),
        ("gtzan", "accuracy"),
        ("gtzan-10fold", "accuracy"),
        ("giantsteps", "weighted"),
        ("emomusic", "r2"),
    ],
)
def test_a_record_of_every_kind(ran, task, primary):
    _, said, results = ran
    records = found(results, task)
    assert set(records) == {"mfcc", "shuffled:of=mfcc", "random"}
    for record in records.values():
        jsonschema.validate(record, SCHEMA)
        test = record["metrics"]["test"]
        low, high = record["intervals"]["test"][primary]
        assert low <= test[primary] <= high
        assert primary in record["chance"]["test"]
        assert record["data"]["task"]["primary"] == primary
        assert record["data"]["task"]["convention"] in " ".join(said.out.split()) or task == "giantsteps"
        path = results / decode(Record, record).path
        answers = pl.read_parquet(bench.records.rows_path(path, "probe"))
        assert answers.height == record["users"]["test"]
        assert not answers["track_id"].is_duplicated().any()
    assert records["random"]["control"]
    assert not records["mfcc"]["control"]


def test_planted_labels_are_found(ran):
    values = {spec: record["metrics"]["test"]["accuracy"] for spec, record in found(ran[2], "gtzan").items()}
    assert values["mfcc"] > max(values["random"], values["shuffled:of=mfcc"]) + 0.2


def test_controls_are_asked_the_same(ran):
    for task in ("gtzan", "gtzan-10fold", "magnatagatune"):
        assert len({record["users"]["test"] for record in found(ran[2], task).values()}) == 1


def test_absent_audio_is_counted_and_said(ran):
    _, said, results = ran
    record = found(results, "gtzan")["mfcc"]
    assert record["split"]["counts"]["official"] == {"train": 443, "valid": 197, "test": 290}
    assert record["split"]["counts"]["audio"] == {"train": 30, "valid": 10, "test": 20}
    assert record["users"]["test"] == 20
    line = "incomplete: 30 of 443 train, 10 of 197 valid, 20 of 290 test items"
    assert line in said.err
    assert any(line in warning for warning in record["warnings"])
    assert not eligible([(Path("seed0.json"), decode(Record, record))]).entries


def test_clips_are_scored_as_tracks(ran):
    record = found(ran[2], "giantsteps")["mfcc"]
    counts = record["split"]["counts"]
    assert record["users"]["test"] == counts["items"]["test"] == 13
    assert record["recommender"]["chosen"]["clips"]


def test_folds_test_each_item_once(ran):
    record = found(ran[2], "gtzan-10fold")["mfcc"]
    assert record["users"]["test"] == 60
    assert set(record["split"]["counts"]["items"]) == {"0", "1", "2", "3"}


def test_again_nothing_is_computed(bench, ran):
    words, _, results = ran
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*.json")}
    said = bench(*words)
    assert said.code == 0
    assert not said.computed
    assert "Nothing was recomputed" in said.out
    shown = [line for line in said.out.splitlines() if not line.startswith("Nothing was recomputed")]
    assert shown == ran[1].out.splitlines()  # a record that was read back is shown as when it was made
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*.json")} == before


def test_a_record_can_be_repeated(bench, ran, places):
    path = next((ran[2] / "mir" / "gtzan").rglob("mfcc-*/**/seed0.json"))
    said = bench("run", "--from", path, "--trust", "--cache", places[1], "--device", "cpu")
    assert said.code == 0, said.err
    assert "The numbers match" in said.out


def test_all_does_what_it_can_and_names_the_rest(bench, small_world, places):
    words = [w for w in small_world if w != "--split" and not str(w).startswith("global_temporal")]
    said = bench("probe", "--extractor", "mfcc", "--task", "all", "--probe", "knn", *words, *places)
    assert said.code == 0, said.err
    done = {line.split(":")[0].removeprefix("computing ") for line in said.err.splitlines() if "computing" in line}
    left = [line for line in said.err.splitlines() if line.startswith("left out: ")]
    assert done >= {"links"}
    (line,) = [line for line in left if "without --root DIR (`bench ls tasks`" in line]
    rootless = line.rpartition(": ")[2].split(", ")
    assert len(rootless) + len(left) - 1 + len(done) == len(names("tasks"))
    assert {"gtzan", "magnatagatune", "msd50"} <= set(rootless)
    assert any("catalog-key" in line for line in left)  # the metadata has no key


def test_equal_audio_in_two_parts_is_refused(bench, tmp_path, places):
    root = task_fixtures.write("gtzan", tmp_path / "gtzan")
    train, test = (next((root / "genres/blues").glob(f"blues.{number}.*")) for number in ("00029", "00012"))
    shutil.copy(train, test)
    words = ["probe", "--extractor", "mfcc", "--task", "gtzan", "--probe", "knn", "--root", root, *places]
    said = bench(*words)
    assert said.code == 1
    assert "byte for byte in two parts (blues.00029" in said.err
    assert "blues.00012" in said.err
    said = bench(*words, "--allow-leaks", "--no-controls", "--results", tmp_path / "results")
    assert said.code == 0, said.err
    assert any("byte for byte" in w for w in found(tmp_path / "results", "gtzan")["mfcc"]["warnings"])


def test_artists_in_two_parts_are_refused(bench, tmp_path, places):
    root = task_fixtures.write("jamendo-genre", tmp_path / "jamendo")
    folder = root / "data/splits/split-0"
    train, test = (folder / f"autotagging_genre-{part}.tsv" for part in ("train", "test"))
    artist = train.read_text().splitlines()[1].split("\t")[1]
    rows = test.read_text().splitlines()
    fields = rows[1].split("\t")
    rows[1] = "\t".join([fields[0], artist, *fields[2:]])
    test.write_text("\n".join(rows) + "\n")
    said = bench("probe", "--extractor", "mfcc", "--task", "jamendo-genre", "--root", root, *places)
    assert said.code == 1
    assert f"1 values of artist stand in two parts ({artist})" in said.err


def test_an_extractor_that_knows_the_music_is_named(monkeypatch):
    resolver = Resolver()
    task = LoadedTask(
        resolver.task("magnatagatune"),
        TaskData(pl.DataFrame({"track_id": ["a"], "part": ["test"]}), np.empty(0), []),
        None,
        [],
    )
    assert contaminated(resolver.extractor("mfcc"), task) is None
    monkeypatch.setattr(get("extractors", "mfcc"), "trained_on", ["MTT"])
    assert "was trained on MTT" in contaminated(resolver.extractor("mfcc"), task)


def test_almost_equal_vectors_in_two_parts_are_told():
    items = pl.DataFrame({"track_id": list("abcde"), "part": ["train", "test", "train", "test", "test"]})
    task = LoadedTask(Resolver().task("catalog-genre"), TaskData(items, np.zeros(5, int), ["x"]), None, [])
    vectors = np.random.default_rng(0).standard_normal((5, 8)).astype(np.float32)
    vectors[[1, 4]] = vectors[[0, 3]] * 1.0001  # a = b in two parts, d = e in one
    (said,) = near_leaks(task, vectors, np.ones(5, bool))
    assert said.startswith("1 pair of tracks")
    assert "(a = b)" in said
    assert near_leaks(task, vectors, np.array([False, True, True, True, True])) == []


def test_a_recording_twice_in_a_catalogue_stays_in_the_later_part():
    items = pl.DataFrame({"track_id": list("abcde"), "part": ["train", "valid", "test", "train", "train"]})
    entry = Resolver().task("catalog-genre")
    asked = LoadedTask(entry, TaskData(items, np.zeros(5, int), ["x"]), None, [])
    asked.rows = ["one", "one", "two", "two", None]
    assert untangle(asked) == ["2 items are left out: the same recording is in a later part"]
    assert asked.heard(needs_audio=True).tolist() == [False, True, True, False, False]
    assert asked.heard(needs_audio=False).tolist() == [False, True, True, False, True]
    assert leaks(asked) == ([], [])


def test_wrong_input_is_refused_before_any_work(bench, places):
    for words, message in (
        (["--task", "gtzam"], "no task is called 'gtzam'. Did you mean 'gtzan'"),
        (["--task", "gtzan"], "gtzan needs --root DIR"),
        (["--task", "catalog-genre", "--probe", "linar"], "Did you mean 'linear'"),
        (["--task", "catalog-genre", "--train-fraction", "0"], "--train-fraction 0 must be above 0"),
        (["--task", "catalog-genre:least=0"], "least=0 must be at least 1"),
        ([], "give --extractor and --task"),
    ):
        said = bench("probe", "--extractor", "mfcc", *words, *places)
        assert said.code == 1
        assert message in said.err


# -- parts ----------------------------------------------------------------------------------------------


def test_controls_stand_in_every_table():
    request = ProbeRequest(data=Data(), extractors=("mfcc", "musicnn:weights=random"), tasks=("gtzan",))
    entries = {entry.text for entry in resolve(request).extractors}
    assert entries == {
        "mfcc",
        "musicnn:weights=random",
        "shuffled:of=mfcc",
        "shuffled:of=(musicnn:weights=random)",
        "random",
    }


def test_every_layer_is_an_entry():
    extractors = ("musicnn:weights=random", "mfcc")
    request = ProbeRequest(data=Data(), extractors=extractors, tasks=("gtzan",), layers=True)
    layers = list(create("extractors", "musicnn:weights=random").layers)
    entries = [entry.text for entry in resolve(request).asked]
    assert entries == [*(f"musicnn:weights=random,layer={name}" for name in layers), "mfcc"]


def _task(n=40, classes=4):
    items = pl.DataFrame(
        {"track_id": [f"{i:03d}" for i in range(n)], "part": ["train", "valid", "test", "train"] * (n // 4)}
    )
    truth = np.arange(n) // 4 % classes
    return TaskData(items, truth.astype(np.int64), [str(c) for c in range(classes)])


def test_each_fold_is_the_test_once_and_the_next_validation():
    items = pl.DataFrame({"track_id": list("abcdef"), "fold": [0, 1, 2, 0, 1, 2]})
    every = rounds(TaskData(items, np.zeros(6, np.int64), ["x"]))
    assert [parts.tolist() for parts in every] == [
        ["test", "valid", "train"] * 2,
        ["train", "test", "valid"] * 2,
        ["valid", "train", "test"] * 2,
    ]


def test_a_share_of_training_is_drawn_from_training():
    data, task = _task(), create("tasks", "gtzan")
    parts = rounds(data)[0]
    use = {part: np.flatnonzero(parts == part) for part in ("train", "valid", "test")}
    rows = fewer(task, data, use, 0.5, seed=3)
    assert len(rows) == 10
    assert set(rows) <= set(use["train"])
    assert np.array_equal(rows, fewer(task, data, use, 0.5, seed=3))


def test_the_interval_is_that_of_the_groups():
    task = create("tasks", "gtzan")
    rng = np.random.default_rng(0)
    truth = np.repeat(rng.integers(0, 4, 50), 8)
    # All eight clips of a song are answered alike, so there are 50 answers and not 400.
    answer = np.repeat(np.where(rng.random(50) < 0.7, truth[::8], (truth[::8] + 1) % 4), 8)
    scores = np.eye(4)[answer]
    alone = interval(task, truth, scores, np.arange(400), seed=0)["accuracy"]
    songs = interval(task, truth, scores, np.repeat(np.arange(50), 8), seed=0)["accuracy"]
    share = (answer == truth).mean()
    assert np.isclose(songs[1] - songs[0], 2 * 1.96 * np.sqrt(share * (1 - share) / 50), rtol=0.15)
    assert np.isclose(alone[1] - alone[0], 2 * 1.96 * np.sqrt(share * (1 - share) / 400), rtol=0.15)


def test_a_part_without_vectors_is_refused():
    from bench.protocols import RunContext
    from bench.run.probe.evaluate import score

    data = _task()
    present = (data.items["part"] != "test").to_numpy()
    with pytest.raises(BenchError, match="no test item has a vector"):
        score(
            create("tasks", "gtzan"), data, np.ones((40, 3), np.float32), present, "knn",
            treat="", fraction=1.0, seed=0, run=RunContext(),
        )  # fmt: skip
