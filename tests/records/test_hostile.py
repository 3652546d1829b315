"""Records that somebody else wrote, edited or damaged: each is named and skipped, and none stops a report."""

import copy
import io
import json
import math
import os
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bench.errors import BenchError
from bench.records import Record, read, read_all, write
from bench.records.reading import LARGEST
from bench.report import show
from bench.report import write as write_report
from bench.report.report import report

GOLDEN = sorted((Path(__file__).parent / "golden" / "v1").glob("*.json"))
RUN = GOLDEN[0].with_name("run-knn.json")
PROBE = GOLDEN[0].with_name("probe-tags.json")

VALUES = [
    None, True, False, 0, 1, -1, 2, 0.5, -0.5, 1.5, 10**400, -(10**400), 1e308, math.nan, math.inf, -math.inf,
    "", "x", "a\nb", "\x00", "\x1b[31m", "\u202e", "../../etc/passwd", "\ud800", "n" * 300_000,
    [], {}, [None], [[]], {"": {}}, ["x"] * 200_000, {"x": 1}, {"hot": {"ndcg@5": 2.0}}, {"hot": {"ndcg@0": 0.5}},
]  # fmt: skip
"""What one field is changed into."""


def nested(depth):
    value = {}
    for _ in range(depth):
        value = {"x": value}
    return value


def places(value, at=()):
    """Paths to every value inside a value."""
    yield at
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in entries:
        yield from places(each, (*at, key))


def changed(content, at, value):
    content = copy.deepcopy(content)
    inner = content
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    return content


def error_of(path):
    """Return what reading a record says; None when it is read."""
    try:
        read(path)
    except BenchError as error:
        return str(error)
    return None


def refused(path, content):
    """Write content as a record and return what reading it says; None when it is read."""
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    said = error_of(path)
    if said is None:
        return None
    assert str(path) in said
    assert len(said) < 500
    assert said.isprintable()
    return said.partition(f"{path}: ")[2]


def reported(records):
    """Build a report, and print it."""
    made = report(records)
    show(made.boards, Console(file=io.StringIO()), problems=made.problems, chapters=made.chapters)
    return made


def fuzz(tmp_path, mutations, seed):
    """Change one field of each golden record, so many times in all; return how many were read all the same."""
    draw = random.Random(seed)
    records = []
    contents = {path: json.loads(path.read_text(encoding="utf-8")) for path in GOLDEN}
    every = {path: [at for at in places(content) if at] for path, content in contents.items()}
    for number in range(mutations):
        path = GOLDEN[number % len(GOLDEN)]
        at = draw.choice(every[path])
        content = changed(contents[path], at, draw.choice(VALUES))
        where = tmp_path / f"{number}.json"
        if refused(where, content) is None:
            records.append((where, read(where)))
    made = reported(records)
    write_report(made.boards, tmp_path / "report", problems=made.problems, chapters=made.chapters)
    for record in records:  # by itself, too: in company another one may come first
        report([record])
    return len(records)


def test_records_with_one_changed_field_are_named_or_harmless(tmp_path):
    assert 0 < fuzz(tmp_path, 150, seed=1) < 100


@pytest.mark.slow
def test_many_records_with_one_changed_field_are_named_or_harmless(tmp_path):
    assert 0 < fuzz(tmp_path, 1350, seed=2) < 900


def test_flipped_bytes_are_all_found(tmp_path):
    draw = random.Random(3)
    for number in range(60):
        path, _ = write(read(GOLDEN[number % len(GOLDEN)]), tmp_path / str(number))
        whole = bytearray(path.read_bytes())
        whole[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        path.write_bytes(whole)
        if (said := error_of(path)) is not None:
            assert str(path) in said
        else:  # a flipped space between values is no other content
            assert read(path) == write(read(GOLDEN[number % len(GOLDEN)]), tmp_path / "again")[1]


def test_every_edited_number_of_version_2_is_found(tmp_path):
    path, record = write(read(RUN), tmp_path)
    content = json.loads(path.read_text(encoding="utf-8"))
    for where, metrics in record.metrics.items():
        for metric, value in metrics.items():
            edited = changed(content, ("metrics", where, metric), round(value * 0.99, 4))
            assert "content_sha256: " in refused(tmp_path / "edited.json", edited)
    assert "content_sha256: is missing" in refused(tmp_path / "edited.json", {**content} | {"content_sha256": None})
    assert refused(tmp_path / "old.json", content | {"schema_version": 1}).startswith("content_sha256: ")


@pytest.mark.parametrize(
    ("at", "value"),
    [
        ("k", [0]),
        ("k", [True]),
        ("k", []),
        ("k", list(range(1, 2000))),
        ("seed", -1),
        ("seed", "0"),
        ("control", 1),
        ("lane", "paper"),
        ("data.name", "a/b"),
        ("data.name", "a\nb"),
        ("data.name", ".."),
        ("data.name", ""),
        ("data.builtin", "no"),
        ("split.fingerprint", "../../x"),
        ("split.settings", nested(40)),
        ("extractor.view.layers[0]", 3),
        ("extractor.view.treat", "l2\x1b[2J"),
        ("extractor.coverage", 1.5),
        ("extractor.coverage", math.nan),
        ("extractor.width", 1e3),
        ("extractor.width", 10**30),
        ("extractor.spec", "x" * 5000),
        ("extractor.settings", {"x": 10**400}),
        ("recommender.name", "k\u202enn"),
        ("recommender.colour", "red"),
        ("metrics.hot['ndcg@5']", 1.01),
        ("metrics.hot['ndcg@5']", 10**400),
        ("metrics.hot['ndcg@5']", True),
        ("metrics.warm", {"ndcg@5": 0.5}),
        ("beyond.hot['lift@5']", -1.5),
        ("beyond.hot['ild:mfcc@5']", 2.5),
        ("chance.hot['ndcg@5']", -0.1),
        ("intervals.hot['ndcg@5'][1]", None),
        ("intervals.hot['ndcg@5']", [0.3, 0.2]),
        ("intervals.hot['ndcg@5']", [0.1, 0.2, 0.3]),
        ("users.hot", -3),
        ("users.hot", 10**20),
        ("users.test", 3),
        ("cost.fit_s", -1.0),
        ("cost.fit_s", "fast"),
        ("environment.cores", 2.5),
        ("environment.packages.numpy", 2),
        ("warnings", ["x"] * 20_000),
        ("warnings[0]", "x" * 300_000),
        ("asked", "\ud800"),
    ],
)
def test_the_field_that_is_wrong_is_named(tmp_path, at, value):
    content = json.loads(RUN.read_text(encoding="utf-8")) | {"warnings": ["x"]}
    keys = [int(key) if key.isdigit() else key for key in re.findall(r"[\w@:]+", at)]
    where = refused(tmp_path / "x.json", changed(content, keys, value))
    assert where.startswith((f"{at}: ", f"{at}.", f"{at}[")), where


def test_what_a_probe_cannot_be_is_named(tmp_path):
    content = json.loads(PROBE.read_text(encoding="utf-8"))
    assert refused(tmp_path / "x.json", content | {"k": [10]}).startswith("k: ")
    assert refused(tmp_path / "x.json", content | {"metrics": {"hot": {"ndcg@10": 0.5}}}).startswith("metrics.hot: ")
    data = {key: value for key, value in content["data"].items() if key != "task"}
    assert refused(tmp_path / "x.json", content | {"data": data}).startswith("data.task: ")
    test = content["metrics"]["test"]
    assert refused(tmp_path / "x.json", content | {"metrics": {"test": test | {"roc_auc:guitar": 1.1}}}).startswith(
        "metrics.test['roc_auc:guitar']: "
    )


def test_what_has_no_bound_is_read(tmp_path):
    content = json.loads(GOLDEN[0].with_name("probe-values.json").read_text(encoding="utf-8"))
    assert refused(tmp_path / "x.json", changed(content, ("metrics", "test", "r2"), -1e6)) is None
    assert refused(tmp_path / "x.json", changed(content, ("metrics", "test", "of_a_plugin"), 1e300)) is None
    content = json.loads(RUN.read_text(encoding="utf-8"))
    assert refused(tmp_path / "x.json", changed(content, ("beyond", "hot", "lift@5"), 1e6)) is None


@pytest.mark.parametrize(
    ("content", "at"),
    [
        ('"seed": 0,', "seed: "),
        ('"asked": {"k": [1], "k": [2]},', "asked.k: "),
        ('"metrics": {"hot": {"ndcg@5": 0.1, "ndcg@5": 0.2}},', "metrics.hot['ndcg@5']: "),
    ],
)
def test_a_key_that_stands_twice_is_named(tmp_path, content, at):
    whole = json.loads(RUN.read_text(encoding="utf-8"))
    key = content.partition(":")[0].strip('"')
    text = json.dumps({name: value for name, value in whole.items() if name != key or key == "seed"})
    assert refused(tmp_path / "x.json", "{" + content + text[1:]).startswith(at)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[1, 2]", b"\xff\xfe", b"null", b"9" * 5000, b"[" * 100_000, b'{"kind": ' * 5000, b'"\\ud800"',
        b'{"kind": ["run"]}', b'{"kind": "run"}', b'{"kind": "run", "schema_version": true}',
        b'{"kind": "run", "schema_version": 99, "environment": ["x"]}',
        b'{"kind": "run", "schema_version": 99, "environment": {"packages": {"bench": "9.0"}}}',
    ],
)  # fmt: skip
def test_what_is_no_record_of_a_known_version_is_named(tmp_path, content):
    path = tmp_path / "seed0.json"
    path.write_bytes(content)
    with pytest.raises(BenchError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 500
    assert ("'bench': '9.0'" in str(caught.value)) == (b"9.0" in content)


def test_what_is_no_regular_file_is_skipped_unopened_and_hides_no_other(tmp_path):
    good, record = write(read(RUN), tmp_path)
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "endless.json").symlink_to("/dev/zero")
    (tmp_path / "nowhere.json").symlink_to(tmp_path / "absent")
    (tmp_path / "itself.json").symlink_to(tmp_path / "itself.json")
    (tmp_path / "link.json").symlink_to(good)
    (tmp_path / "huge.json").touch()
    os.truncate(tmp_path / "huge.json", LARGEST + 1)
    found = dict(read_all(tmp_path))
    assert {path.name for path, one in found.items() if isinstance(one, Record)} == {good.name, "link.json"}
    assert found[good] == record
    assert all(str(path) in str(error) for path, error in found.items() if isinstance(error, BenchError))
    assert len(found) == 8


def test_no_report_is_stopped_by_its_neighbours(tmp_path):
    for number, path in enumerate(GOLDEN):
        write(replace(read(path), seed=number), tmp_path)
    whole = reported(list(read_all(tmp_path)))
    for number, value in enumerate(VALUES):
        content = changed(json.loads(RUN.read_text(encoding="utf-8")), ("extractor",), value)
        (tmp_path / f"bad{number}.json").write_text(json.dumps(content), encoding="utf-8")
    made = reported(list(read_all(tmp_path)))
    assert len(made.problems) == len(whole.problems) + len(VALUES)
    assert [board.title for board in made.boards] == [board.title for board in whole.boards]
