"""Cells in several processes: the same records and the same text as in one, and what happens when one fails."""

import json
import os
import re

import pytest

from bench import memory, registry
from bench.extract.engines import START, worthwhile
from bench.machine import cores

PLUGIN = """
import os, pathlib, signal, time
from dataclasses import dataclass
import numpy as np
from bench.errors import BenchError
from bench.protocols import Recommender

@dataclass(frozen=True)
class Settings:
    how: str = "killed"

class Fails(Recommender):
    "Fails once the record of another cell is there."
    name, Settings = "fails", Settings

    def fit(self, train, items, *, valid, run):
        while not list(pathlib.Path(os.environ["RESULTS"]).rglob("knn*/seed0.json")):
            time.sleep(0.05)
        if self.settings.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise BenchError("it cannot be")

    def score(self, users, items=None):
        return np.zeros((len(users), 60), np.float32)
"""


@pytest.fixture
def fails(tmp_path, monkeypatch):
    """Install the recommender `fails`, for this process and those that it starts."""
    about = tmp_path / "site" / "fails-0.1.dist-info"
    about.mkdir(parents=True)
    (about.parent / "fails.py").write_text(PLUGIN)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: fails\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text("[bench.recommenders]\nfails = fails:Fails\n")
    monkeypatch.syspath_prepend(str(about.parent))
    monkeypatch.setenv("RESULTS", str(tmp_path / "results"))
    registry._points.cache_clear()
    yield
    registry._points.cache_clear()


def without_times(text):
    return re.sub(r"about \S+ \S+ left|[\d.]+ \S+ left at most|/\S*jobs\d", "", text)


def content(path):
    found = json.loads(path.read_text())
    for name in ("cost", "environment", "created", "content_sha256"):
        found.pop(name, None)
    return found


def test_records_and_text_do_not_depend_on_the_number_of_processes(base, bench, tmp_path):
    words = ["--extractor", "mfcc", "--model", "knn,bert4rec:epochs=2", "--seeds", "2", *base.words]
    said = {}
    for jobs in (1, 2):
        said[jobs] = bench("run", *words, "--results", tmp_path / f"jobs{jobs}", "--jobs", jobs)
        assert said[jobs].code == 0, said[jobs].err
    one, two = said.values()
    assert len(one.computed) > 5
    assert without_times(one.err) == without_times(two.err)
    assert without_times(one.out) == without_times(two.out)
    first, second = (tmp_path / f"jobs{jobs}" for jobs in (1, 2))
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(second) for path in second.rglob("*") if path.is_file())
    for file in files:
        if file.suffix == ".json":
            assert content(first / file) == content(second / file)
        else:
            assert (first / file).read_bytes() == (second / file).read_bytes(), file


@pytest.mark.parametrize(
    ("how", "reason"), [("killed", "its process ended with exit code -9"), ("refused", "it cannot be")]
)
def test_a_cell_that_fails_is_named_and_finished_cells_are_kept(fails, base, bench, tmp_path, how, reason):
    if how == "killed" and os.name == "nt":
        pytest.skip("no signal there")
    words = ["--extractor", "mfcc", "--model", f"knn,fails:how={how}", "--no-controls", *base.words]
    said = bench("run", *words, "--results", tmp_path / "results", "--jobs", "2")
    assert said.code == 1
    assert f"mfcc x fails:how={how}: {reason}" in said.err
    assert [path.parent.name.partition("-")[0] for path in (tmp_path / "results").rglob("seed0.json")] == ["knn"]


def test_fewer_processes_than_asked_for_are_announced(base, bench, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_INFO", tmp_path / "meminfo")
    (tmp_path / "meminfo").write_text("MemTotal: 2000000 kB\nMemAvailable: 1000 kB\n")
    words = ["run", "--extractor", "mfcc", "--model", "knn", *base.words, "--results", tmp_path / "results"]
    said = bench(*words, "--jobs", "2")
    assert said.code == 0, said.err
    assert "note: 1 at once instead of 2 cells" in said.err


def test_processes_are_started_only_for_work_that_outweighs_them():
    assert worthwhile(0.0) == worthwhile(20 * START) == 1
    assert worthwhile(40 * START) == min(2, cores())
    assert worthwhile(1e9) == cores()
