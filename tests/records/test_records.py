"""Records: what is written is read, paths, rules, and the published schema."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import jsonschema
import numpy as np
import polars as pl
import pytest

from bench.errors import BenchError
from bench.files.atomic import TEMPORARY, file_sha256
from bench.records import Record, differences, environment, layout, read, read_all, slug, users_path, write
from bench.records.codec import decode, encode
from bench.records.schema import FILE, text
from bench.report.eligible import reasons
from bench.synthetic import planted

SCHEMA = json.loads(files("bench.records").joinpath("record.schema.json").read_text())


def record(**changes):
    content = {
        "kind": "run",
        "asked": {"extractors": ["mfcc"], "k": [10]},
        "inputs_sha256": "a" * 64,
        "data": {"name": "demo", "builtin": False, "license": "CC0-1.0", "fingerprint": {"plays": "b" * 64}},
        "split": {"name": "global_temporal", "settings": {"cut": None}, "fingerprint": "c" * 64, "counts": {}},
        "extractor": {
            "name": "mfcc",
            "spec": "mfcc:layer=mfcc",
            "lane": "corrected",
            "settings": [{"n_mfcc": 13}],
            "view": {"layers": ["mfcc"], "treat": ""},
            "width": 104,
            "coverage": 0.5,
            "table_sha256": "d" * 64,
            "untrained": False,
        },
        "recommender": {"name": "knn", "spec": "knn", "lane": "corrected", "settings": {"profile": None}},
        "lane": "corrected",
        "seed": 0,
        "k": [10, 50],
        "control": False,
        "metrics": {"hot": {"ndcg@10": 0.1 + 0.2}},
        "intervals": {"hot": {"ndcg@10": [0.25, 0.35]}},
        "chance": {"hot": {"ndcg@10": 1e-17}},
        "users": {"hot": 7},
        "candidates": {"hot": 99},
        "validation": {},
        "beyond": {},
        "cost": {},
        "environment": {},
        "warnings": ["Sigur Rós – ( )"],
        "schema_version": 3,
    }
    return decode(Record, content | changes)


def within(name, /, **changes):
    """The record with some entries of one field changed."""
    return record(**{name: encode(getattr(record(), name)) | changes})


# -- write and read -------------------------------------------------------------------------------------------


def test_what_is_written_is_read(tmp_path):
    path, written = write(record(), tmp_path)
    assert path.relative_to(tmp_path) == written.path
    assert read(path) == written  # floats to the last digit, text in any alphabet
    assert replace(written, content_sha256=None) == record()
    assert not users_path(path).exists()
    assert list(read_all(tmp_path)) == [(path, written)]


def test_the_same_record_gives_the_same_bytes(tmp_path):
    one = write(record(), tmp_path / "a")[0].read_bytes()
    shuffled = decode(Record, dict(reversed(encode(record()).items())))
    assert write(shuffled, tmp_path / "b")[0].read_bytes() == one


def test_values_of_every_user_stand_beside_it_and_the_record_knows_them(tmp_path):
    frame = pl.DataFrame({"user": ["u1", "u2"], "candidates": ["hot", "hot"], "ndcg@10": [0.5, math.nan]})
    path, written = write(record(), tmp_path, frame)
    assert users_path(path) == path.with_name("seed0.users.parquet")
    assert pl.read_parquet(users_path(path)).equals(frame, null_equal=True)
    assert (written.rows.count, written.rows.sha256) == (2, file_sha256(users_path(path)))
    assert write(replace(written, warnings=()), tmp_path)[1].rows == written.rows  # a changed record keeps its rows


def test_the_rows_stand_before_the_record_that_names_them(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.records.writing.write_text", stop)
    with pytest.raises(KeyboardInterrupt):
        write(record(), tmp_path, pl.DataFrame({"user": ["u1"], "ndcg@10": [0.5]}))
    assert [path.name for path in tmp_path.rglob("seed*")] == ["seed0.users.parquet"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_refused_and_nothing_is_left(tmp_path, value):
    before = write(record(), tmp_path)[0].read_bytes()
    with pytest.raises(BenchError, match=r"seed0\.json: metrics\.hot\['ndcg@10'\]: not a finite number"):
        write(replace(record(), metrics={"hot": {"ndcg@10": value}}), tmp_path)
    assert [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()] == [before]


def test_a_refused_record_leaves_the_values_of_every_user_as_they_were(tmp_path):
    path, _ = write(record(), tmp_path, pl.DataFrame({"user": ["u1"], "ndcg@10": [0.5]}))
    before = users_path(path).read_bytes()
    rows = pl.DataFrame({"user": ["u1"], "ndcg@10": [0.7]})
    with pytest.raises(BenchError, match="not a finite number"):
        write(replace(record(), metrics={"hot": {"ndcg@10": math.nan}}), tmp_path, rows)
    assert users_path(path).read_bytes() == before


def test_a_writer_that_fails_leaves_the_old_record(tmp_path, monkeypatch):
    path, _ = write(record(), tmp_path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(BenchError, match="No space left on device"):
            write(within("metrics", hot={"ndcg@10": 0.9}), tmp_path)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == before
    write(within("metrics", hot={"ndcg@10": 0.9}), tmp_path)
    assert read(path).metrics["hot"]["ndcg@10"] == 0.9


def test_absent_files_and_folders_are_named(tmp_path):
    with pytest.raises(BenchError, match="there is no record"):
        read(tmp_path / "seed0.json")
    with pytest.raises(BenchError, match="there is no results folder"):
        list(read_all(tmp_path / "none"))


def test_a_damaged_record_and_one_being_written_hide_no_other(tmp_path):
    good, _ = write(record(seed=1), tmp_path)
    (good.parent / "seed0.json").write_text("{")
    (good.parent / f"{TEMPORARY}1-abc.json").write_text("{")
    found = dict(read_all(tmp_path))
    assert list(found) == [good.parent / "seed0.json", good]
    assert isinstance(found[good.parent / "seed0.json"], BenchError)
    assert found[good].seed == 1


# -- paths ------------------------------------------------------------------------------------------------------


def test_a_path_says_what_it_is_and_never_changes():
    assert str(record().path) == "demo/global_temporal-cccccccc/mfcc-ab500c28/knn-6880281a/seed0.json"
    assert record(seed=3).path == record().path.with_name("seed3.json")


@pytest.mark.parametrize(
    "other",
    [
        within("extractor", settings=[{"n_mfcc": 20}]),
        within("extractor", lane="published"),
        within("extractor", view={"layers": ["other"], "treat": ""}),
        within("extractor", view={"layers": ["mfcc"], "treat": "l2"}),
        within("extractor", name="clap"),
        within("recommender", settings={"profile": "max"}),
        within("recommender", lane="published"),
        within("recommender", name="popularity"),
        within("split", fingerprint="e" * 64),
        within("data", name="yambda"),
        record(k=[50, 10]),
        record(k=[10]),
    ],
)
def test_what_makes_another_cell_makes_another_path(other):
    assert other.path.parent != record().path.parent


@pytest.mark.parametrize(
    "same",
    [
        within("extractor", width=3, coverage=1.0, table_sha256="f" * 64, spec="mfcc"),
        within("recommender", spec="knn:profile=none"),
        record(inputs_sha256="f" * 64, metrics={}, warnings=[], cost={"device": "x"}, asked={}),
    ],
)
def test_what_is_measured_or_only_spelled_otherwise_does_not(same):
    assert same.path == record().path


def test_a_path_stays_below_its_folder():
    wild = record()  # no reader lets such names in
    wild = replace(wild, data=replace(wild.data, name="../../etc/passwd"))
    wild = replace(wild, extractor=replace(wild.extractor, name="a+b/../c d"))
    assert ".." not in wild.path.parts
    assert wild.path.parts[0] == "etc-passwd"
    assert wild.path.parts[2].startswith("a+b-..-c-d-")
    assert slug("Ä ö") == "unnamed"
    assert slug("..") == "unnamed"
    assert slug("mfcc+random") == "mfcc+random"


# -- rules ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (record(), True),
        (within("data", builtin=True), False),
        (within("extractor", untrained=True), False),
        (within("extractor", synthetic=True), False),
        (record(lane="mixed"), False),
        (record(lane="published"), True),
        (record(control=True), True),
    ],
)
def test_only_real_data_trained_weights_and_one_lane_are_published(given, expected):
    assert (not reasons(given)) is expected


def test_differences_name_every_number_that_is_not_the_same():
    old = {"hot": {"ndcg@10": 0.5, "mrr@10": 0.25}, "cold": {"ndcg@10": 0.125}}
    new = {"hot": {"ndcg@10": 0.5 + 2**-53, "map@10": 1.0, "mrr@10": 0.25}, "mixed": {}}
    assert differences(old, old) == []
    assert differences(old, new) == [
        "cold ndcg@10: 0.125 then, None now",
        "hot map@10: None then, 1.0 now",
        "hot ndcg@10: 0.5 then, 0.5000000000000001 now",
    ]


def test_the_environment_is_plain_and_light():
    code = (
        "import json, sys; from bench.records import environment\n"
        "print(json.dumps(vars(environment('cpu')))); assert not {'torch', 'numpy', 'polars'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said.keys() == vars(environment("cpu")).keys()
    assert said["device"] == "cpu"
    assert {"numpy", "polars", "torch", "music-embedding-bench"} <= set(said["packages"])


# -- the published schema -----------------------------------------------------------------------------------------


def validate(content):
    jsonschema.Draft202012Validator(SCHEMA).validate(content)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The results of a real run without audio: two models, two treatments of chance, all controls."""
    from bench.run.options import Data, Environment
    from bench.run.progress import Ui
    from bench.run.recommend.experiment import RecommendExperiment
    from bench.run.recommend.request import RecommendRequest

    folder = tmp_path_factory.mktemp("run")
    made = planted(60, 120, 8, seed=1, plays=6_000)
    made.listens.write_parquet(folder / "plays.parquet")
    np.save(folder / "v.npy", made.tables["aligned"])
    (folder / "v.ids.txt").write_text("\n".join(made.ids))
    request = RecommendRequest(
        data=Data(listens=str(folder / "plays.parquet")),
        extractors=(f"precomputed:path=({folder}/v.npy)", "random:dim=4"),
        models=("knn", "popularity"),
        split=f"global_temporal:cut={made.cut.isoformat()}",
        k=(5, 10),
        seeds=(0, 1),
        treat="standardize",
        reference=None,
    )
    place = Environment(cache=folder / "cache", results=folder / "results", device="cpu")
    RecommendExperiment(request, place, Ui(log=lambda _: None)).open().do()
    return folder / "results"


def test_every_record_of_a_run_follows_the_schema_and_is_read_back(run):
    found = list(read_all(run))
    assert len(found) > 6
    for path, content in found:
        assert isinstance(content, Record), content
        validate(json.loads(path.read_text()))
        assert path == run / content.path
        assert users_path(path).exists()
        frame = pl.read_parquet(users_path(path))
        for where, metrics in content.metrics.items():
            part = frame.filter(pl.col("candidates") == where)
            assert len(part) == content.users[where]
            for name, value in metrics.items():
                assert part[name].mean() == pytest.approx(value, rel=1e-12)
                low, high = content.intervals[where][name]
                assert low <= value <= high
    assert {content.seed for _, content in found} == {0, 1}


def test_the_schema_is_the_one_made_from_the_types():
    assert FILE.read_text(encoding="utf-8") == text()
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def content():
    return json.loads(layout(replace(record(), content_sha256="0" * 64)))


def test_the_schema_refuses_a_missing_and_an_extra_field():
    validate(content())
    for name in content():
        with pytest.raises(jsonschema.ValidationError, match=f"'{name}' is a required property"):
            validate({key: value for key, value in content().items() if key != name})
    with pytest.raises(jsonschema.ValidationError, match="'colour' was unexpected"):
        validate(content() | {"colour": "red"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "guess"),
        ("schema_version", 4),
        ("schema_version", 1),  # which has no hash
        ("inputs_sha256", "abc"),
        ("lane", "paper"),
        ("seed", -1),
        ("k", []),
        ("k", [0]),
        ("metrics", {"warm": {"ndcg@10": 0.5}}),
        ("metrics", {"hot": {"ndcg@10": None}}),
        ("intervals", {"hot": {"ndcg@10": [0.1]}}),
        ("users", {"hot": 1.5}),
        ("extractor", {"name": "mfcc"}),
        ("recommender", {"name": "knn"}),
        ("warnings", "none"),
    ],
)
def test_the_schema_refuses_wrong_values(name, value):
    with pytest.raises(jsonschema.ValidationError):
        validate(content() | {name: value})


def test_the_schema_is_part_of_the_package():
    import bench

    assert (Path(bench.__file__).parent / "records" / "record.schema.json").is_file()
