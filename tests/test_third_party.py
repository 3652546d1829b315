"""Two packages from outside, installed by pip, prove the protocols: nothing of them is known to bench."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = Path(__file__).parent / "packages"


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """Install both packages into a folder of their own and return an environment that sees it."""
    target = tmp_path_factory.mktemp("site")
    build = tmp_path_factory.mktemp("build")  # pip builds in a copy, so that the checkout stays clean
    for name in ("third_party_extractor", "third_party_recommender"):
        copy = build / name
        shutil.copytree(PACKAGES / name, copy)
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "install",
                "-q",
                "--no-deps",
                "--no-build-isolation",
                "--target",
                target,
                copy,
            ],
            check=True,
        )
    paths = [str(target), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)}


def bench(env, *words, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "bench", *words], env=env, cwd=cwd, capture_output=True, text=True, timeout=300
    )


def test_ls_shows_where_they_come_from(outside):
    shown = bench(outside, "ls").stdout
    assert "twolayers" in shown
    assert "bench-twolayers 1.2.0" in shown
    assert "bench-factors 0.3.1" in shown


@pytest.mark.parametrize("name", ["twolayers", "factors:epochs=2"])
def test_check_passes(outside, name):
    done = bench(outside, "check", name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failed" in done.stdout


@pytest.mark.parametrize("package", ["third_party_extractor", "third_party_recommender"])
def test_their_own_five_line_contract_passes(outside, package):
    test = next((PACKAGES / package).glob("test_*.py"))
    words = ["-q", "-p", "no:cacheprovider", "--rootdir", str(test.parent), "-c", os.devnull, str(test)]
    done = subprocess.run([sys.executable, "-m", "pytest", *words], env=outside, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_they_run_together_with_layers_and_record_their_origin(outside, small_world, tmp_path):
    words = ["run", "--extractor", "twolayers:layer=bands,twolayers:layer=units", "--model", "factors:epochs=3"]
    words += [*small_world, "--cache", str(tmp_path / "cache"), "--results", str(tmp_path / "results"), "--k", "5"]
    done = bench(outside, *words, "--no-controls", "--reference", "none", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    records = [json.loads(p.read_text()) for p in (tmp_path / "results").rglob("seed0.json")]
    assert sorted(r["extractor"]["width"] for r in records) == [24, 40]
    assert {r["extractor"]["origin"][0]["package"] for r in records} == {"bench-twolayers"}
    assert {r["recommender"]["origin"]["version"] for r in records} == {"0.3.1"}
    assert len(list((tmp_path / "cache" / "store").iterdir())) == 1  # one set, two views
