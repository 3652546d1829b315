"""`bench run --folds`: a record for each fold as if it had been run alone, and a table of their means."""

import json

import pytest

from bench import registry
from bench.records import read_all
from bench.report import boards
from bench.splits.folds import specs_by_fold

SPLIT = "cold_random:folds=3,share=0.2"
WORDS = ("--extractor", "mfcc", "--model", "knn,shallow:epochs=1")


@pytest.fixture
def run(bench, base, tmp_path):
    """Run on the small world with the vectors of `base`, and records in a folder of the test's own."""
    words = base.words[: base.words.index("--split")] + base.words[base.words.index("--split") + 2 :]
    at = words.index("--k")
    words[at : at + 2] = ["--k", "3"]

    def call(*more, results="results", split=SPLIT):
        where = ["--split", split] if split else []
        return bench("run", *WORDS, *words, *where, "--results", tmp_path / results, *more)

    return call


def contents(folder):
    """Every record below a folder, by path, without what differs from run to run."""
    found = {}
    for path in sorted(folder.rglob("seed*.json")):
        content = json.loads(path.read_text())
        for name in ("cost", "environment", "content_sha256"):
            content.pop(name)
        found[path.relative_to(folder).as_posix()] = content
    return found


def test_all_folds_write_the_records_of_single_runs_and_use_those_that_are_there(run, bench, base, tmp_path):
    for fold in (1, 2, 3):
        said = run(split=f"{SPLIT},fold={fold}", results="single")
        assert said.code == 0, said.err
    assert run(split=f"{SPLIT},fold=2").code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "results").rglob("seed*.json")}
    said = run("--folds", "all")
    assert said.code == 0, said.err
    assert said.out.count("split cold_random") == 1
    assert "split cold_random folds 1 to 3" in said.out
    assert len(said.computed) == 2 * len(before)
    assert {cell.rpartition(" on ")[2] for cell in said.computed} == {"fold 1", "fold 3"}
    assert f"cell {2 * len(before)} of {2 * len(before)}" in said.err
    assert all(path.read_bytes() == content for path, content in before.items())
    together, single = contents(tmp_path / "results"), contents(tmp_path / "single")
    assert len(together) == 3 * len(before)
    assert together == single

    again = run("--folds", "all")
    assert not again.computed
    assert again.out.partition("\n\n")[0] == said.out.partition("\n\n")[0]
    (board,) = boards(read_all(tmp_path / "results"))
    row = next(row for row in board.rows if row.model == "knn" and not row.control)
    each = [record.metrics["cold"]["ndcg@3"] for _, record in row.records]
    assert len(set(each)) == 3
    assert row.values["cold"]["ndcg@3"].mean == pytest.approx(sum(each) / 3, abs=1e-15)

    (path,) = (path for path, record in row.records if record.split.fold == 3)
    repeated = bench("run", "--from", path, "--trust", "--cache", base.cache, "--device", "cpu")
    assert repeated.code == 0, repeated.out
    assert "The numbers match" in repeated.out


def test_some_folds_and_the_plan_of_them(run, tmp_path):
    said = run("--folds", "3,1", "--dry-run")
    assert said.code == 0, said.err
    assert "cold_random fold 1 of 3" in said.err
    assert "cold_random fold 3 of 3" in said.err
    assert "fold 2 of 3" not in said.err
    assert "each of folds 1, 3: to compute: mfcc x knn, mfcc x shallow:epochs=1\n" in said.err
    assert not (tmp_path / "results").exists() or not contents(tmp_path / "results")


@pytest.mark.parametrize(
    ("words", "split", "message"),
    [
        (["--folds", "4"], SPLIT, "has no fold 4, only 1 to 3"),
        (["--folds", "all"], "leave_last_out", "the split leave_last_out has no folds. Give --split cold_random"),
        (["--folds", "all"], None, "has no folds. Give --split cold_random"),
        (["--folds", "all"], f"{SPLIT},fold=2", "chooses fold 2, and --folds others"),
        (["--folds", "1,all"], SPLIT, "--folds"),
        (["--folds", "0"], SPLIT, "--folds"),
        (["--folds", "all"], "cold_randm", "Did you mean 'cold_random'"),
    ],
)
def test_folds_that_do_not_exist(run, words, split, message):
    said = run(*words, split=split)
    assert said.code in (1, 2)
    assert message in said.err
    assert not said.computed


def test_folds_keep_the_other_settings_of_their_split():
    assert specs_by_fold("cold_random:seed=7,folds=2", (2, 1, 2)) == {
        1: "cold_random:seed=7,folds=2,fold=1",
        2: "cold_random:seed=7,folds=2,fold=2",
    }


PLUGIN = """
import os, pathlib
from dataclasses import dataclass
import numpy as np
from bench.protocols import Recommender

@dataclass(frozen=True)
class Settings:
    pass

class Stops(Recommender):
    "Stops the run, as Ctrl-C does, once it has a record and as long as there is a file."
    name, Settings = "stops", Settings

    def fit(self, train, items, *, valid, run):
        stop = pathlib.Path(os.environ["STOP"])
        if stop.exists() and list(stop.parent.rglob("stops*/seed0.json")):
            raise KeyboardInterrupt

    def score(self, users, items=None):
        return np.tile(np.arange(60, dtype=np.float32), (len(users), 1))
"""


def test_an_interrupted_run_continues_in_the_fold_where_it_stopped(run, tmp_path, monkeypatch):
    about = tmp_path / "site" / "stops-0.1.dist-info"
    about.mkdir(parents=True)
    (about.parent / "stops.py").write_text(PLUGIN)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stops\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text("[bench.recommenders]\nstops = stops:Stops\n")
    monkeypatch.syspath_prepend(str(about.parent))
    monkeypatch.setenv("STOP", str(tmp_path / "stop"))
    registry._points.cache_clear()
    try:
        (tmp_path / "stop").touch()
        words = ("--model", "knn,stops", "--no-controls", "--folds", "all")
        assert run(*words).code == 130
        assert len(contents(tmp_path / "results")) == 3  # both of fold 1, one of fold 2
        (tmp_path / "stop").unlink()
        said = run(*words)
    finally:
        registry._points.cache_clear()
    assert said.code == 0, said.err
    assert [cell.rpartition(" on ")[2] for cell in said.computed] == ["fold 2", "fold 3", "fold 3"]
    assert len(contents(tmp_path / "results")) == 6


def test_processes_share_the_cells_of_all_folds(run, tmp_path):
    for jobs in ("1", "2"):
        said = run("--folds", "all", "--seeds", "2", "--jobs", jobs, results=f"jobs{jobs}")
        assert said.code == 0, said.err
    assert contents(tmp_path / "jobs1") == contents(tmp_path / "jobs2")
