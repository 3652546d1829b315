"""The packages of `examples/`, installed by pip, prove the protocols: bench knows nothing of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
PACKAGES = [EXAMPLES / name for name in ("extractor", "recommender", "task")]


@pytest.fixture(scope="module")
def outside(install):
    return install(*PACKAGES)


def python(env, *words, cwd=None):
    words = [sys.executable, "-m", *map(str, words)]
    done = subprocess.run(words, env=env, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def records(folder):
    return [json.loads(path.read_text()) for path in folder.rglob("seed0.json")]


def test_ls_shows_where_they_come_from(outside):
    names = " ".join(python(outside, "bench", "ls").split())
    for kind, name, package, version in (
        ("extractors", "twolayers", "bench-twolayers", "1.2.0"),
        ("recommenders", "factors", "bench-factors", "0.3.1"),
        ("tasks", "own-labels", "bench-ownlabels", "0.2.0"),
    ):
        assert f"{name} ({package})" in names
        table = python({**outside, "COLUMNS": "200"}, "bench", "ls", kind)
        shown = [line.split() for line in table.splitlines()]
        assert [words for words in shown if words[:1] == [name] and package in words and version in words]


@pytest.mark.parametrize("name", ["twolayers", "factors:epochs=2", "own-labels"])
def test_check_passes(outside, name):
    assert " 0 failed" in python(outside, "bench", "check", name)


def test_their_own_tests_pass(outside):
    words = ["pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "-c", os.devnull]
    assert "passed" in python(outside, *words, "--rootdir", EXAMPLES, *(package / "tests" for package in PACKAGES))


def test_they_run_together_with_layers_and_record_their_origin(outside, small_world, tmp_path):
    words = ["--extractor", "twolayers:layer=bands,twolayers:layer=units", "--model", "factors:epochs=3"]
    words += [*small_world, "--k", "5", "--no-controls", "--reference", "none"]
    words += ["--cache", tmp_path / "cache", "--results", tmp_path / "results"]
    python(outside, "bench", "run", *words, cwd=tmp_path)
    found = records(tmp_path / "results")
    assert sorted(record["extractor"]["width"] for record in found) == [24, 40]
    assert {record["extractor"]["origin"][0]["package"] for record in found} == {"bench-twolayers"}
    assert {record["recommender"]["origin"]["version"] for record in found} == {"0.3.1"}
    assert len(list((tmp_path / "cache" / "store").iterdir())) == 1  # one set, two views


def test_the_task_is_probed_on_a_folder(outside, tmp_path):
    write = "import sys; from pathlib import Path; from bench.registry import create\n"
    write += "create('tasks', 'own-labels').example(Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", write, tmp_path / "clips"], env=outside, check=True)
    words = ["--extractor", "twolayers,mfcc", "--task", "own-labels", "--root", tmp_path / "clips", "--no-controls"]
    words += ["--probe", "knn", "--cache", tmp_path / "cache", "--results", tmp_path / "results"]
    python(outside, "bench", "probe", *words, cwd=tmp_path)
    by_extractor = {record["extractor"]["spec"]: record for record in records(tmp_path / "results")}
    assert by_extractor.keys() == {"mfcc", "twolayers"}
    for record in by_extractor.values():
        assert record["data"]["task"]["origin"]["package"] == "bench-ownlabels"
        assert record["metrics"]["test"]["roc_auc"] > 0.95  # three pitches far apart
