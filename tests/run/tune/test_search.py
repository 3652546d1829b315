"""``bench tune``: validation alone decides, the test is evaluated once, a killed search goes on."""

import json
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

import bench.records
from bench.errors import BenchError
from bench.registry import get
from bench.run.options import Data, Environment
from bench.run.progress import Ui
from bench.run.tune.experiment import TuneExperiment, TuneRequest
from bench.run.tune.search import Budget, Search
from bench.splits.split import Split

SCHEMA = json.loads((Path(bench.records.__file__).parent / "record.schema.json").read_text())


@pytest.fixture
def job(world_folder, tmp_path):
    def make(model, trials=4, space=None, sampler="random", seed=0, split=None, max_time=None, cache="cache"):
        request = TuneRequest(
            data=Data(listens=str(world_folder / "plays.csv")),
            extractors=("none",),
            models=(model,),
            split=split,
            k=(5,),
            seeds=(seed,),
            controls=False,
            budget=Budget(trials, max_time, sampler),
            space=space,
        )
        environment = Environment(tmp_path / cache, tmp_path / "results", "cpu")
        made = TuneExperiment(request, environment, Ui(log=lambda _: None))
        made.open().plan()
        return made

    return make


def search_of(job) -> Search:
    """The search of an experiment with one cell."""
    (cell,) = job.cells
    return job.search(cell)


def searched(job):
    search = search_of(job)
    search.go()
    return search


def finished(job):
    ((path, record),) = job.do().records
    return path, record


def test_the_test_part_is_neither_ranked_nor_read_by_the_search(job, monkeypatch):
    one = job("bpr:epochs=2", 3, "lr=0.001..0.1(log)")
    search = search_of(one)
    real = {"truth": Split.truth, "candidates": Split.candidates}

    class LookedError(Exception):
        pass

    def guarded(name):
        def call(self, part, which):
            if part == "test":
                raise LookedError
            return real[name](self, part, which)

        return call

    with monkeypatch.context() as patch:
        for name in real:
            patch.setattr(Split, name, guarded(name))
        search.go()
        assert [trial.error for trial in search.trials] == ["", "", ""]
        with pytest.raises(LookedError):
            one.do()
    _, record = finished(one)
    assert record.metrics["hot"]["ndcg@5"] >= 0


def test_the_record_of_the_best_holds_the_whole_search(job):
    path, _ = finished(job("bpr:epochs=2", space="lr=0.001..0.1(log),factors=4|8"))
    content = json.loads(path.read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(content)
    about = content["recommender"]["search"]
    assert (about["sampler"], about["seed"], about["base"]) == ("random", 0, "bpr:epochs=2")
    assert about["space"] == "lr=0.001..0.1(log),factors=4|8"
    assert len(about["trials"]) == 4
    best = max(about["trials"], key=lambda trial: trial["value"])
    assert about["best"] == best["number"]
    assert content["recommender"]["settings"]["factors"] == int(best["settings"]["factors"])
    assert content["recommender"]["settings"]["lr"] == float(best["settings"]["lr"])
    assert content["validation"]["hot"]["ndcg@5"] == best["value"]
    assert bench.records.users_path(path).exists()
    assert all(trial["seconds"] > 0 and trial["stopped"] == "epochs" for trial in about["trials"])


def test_failing_trials_are_listed_and_do_not_stop_the_search(job):
    search = searched(job("sasrec:epochs=1,width=8,layers=1", 5, "heads=1|3", seed=1))
    failed = [trial for trial in search.trials if trial.value is None]
    assert failed
    assert all("heads=3 does not divide the width 8" in trial.error for trial in failed)
    again = [trial for trial in search.trials if trial.same_as is not None]
    assert again  # two values, five trials: nothing is computed twice
    assert all(trial.value == search.trials[trial.same_as].value for trial in again)
    assert search.best.settings == {"heads": "1"}
    with pytest.raises(BenchError, match="none of 2 trials succeeded"):
        job("sasrec:epochs=1,width=8,layers=1", 2, "heads=3|5").do()


def test_a_space_that_is_used_up_ends_the_search(job):
    search = searched(job("itemknn", None, "neighbours=5|10|20", max_time=600))
    assert {trial.settings["neighbours"] for trial in search.trials} == {"5", "10", "20"}
    assert len(search.trials) < 40
    assert all(trial.same_as is not None for trial in search.trials[-20:])
    assert search.info.ended == "space"


def test_the_published_lane_searches_what_it_leaves_open(job):
    with pytest.raises(BenchError, match="nothing to search: shallow:lane=published offers no space"):
        job("shallow:lane=published")
    assert search_of(job("shallow:lane=published", space="factor=0.1..0.5")).space
    with pytest.raises(BenchError, match=r"the published lane, reading=text, has lr=0\.001"):
        job("shallow:lane=published", space="lr=0.01..0.1")


def test_the_same_search_again_computes_nothing(job):
    before = searched(job("itemknn", 3, "shrink=0..50")).trials
    assert searched(job("itemknn", 3, "shrink=0..50")).trials == before
    assert searched(job("itemknn", 4, "shrink=0..50")).trials[:3] == before
    assert searched(job("itemknn", 2, "shrink=0..50")).trials == before[:2]
    assert searched(job("itemknn", 3, "shrink=0..50", seed=1)).trials != before


@pytest.mark.parametrize(
    ("model", "space", "words"),
    [
        ("bpr:lr=0.1", "lr=0.01..0.1", "--space varies lr, which --model bpr:lr=0.1 fixes"),
        ("bpr", "rate=0.01..0.1", "bpr has no setting 'rate'"),
        ("bpr", "factors=0..4", "must be positive"),
        ("popularity", None, "popularity offers no space"),
    ],
)
def test_a_space_that_does_not_fit_the_model_is_refused_before_training(job, model, space, words):
    with pytest.raises(BenchError, match=words):
        job(model, space=space)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 0, "space of itemknn:neighbours=5: shrink="),
        (("--space", "shrink=0..50"), 0, "space of itemknn:neighbours=5: shrink=0..50"),
        (("--space", "shrnk=0..50"), 1, "itemknn has no setting 'shrnk'"),
    ],
)
def test_a_dry_run_shows_the_space_and_a_wrong_one_is_refused_before_the_plan(
    bench, world_folder, tmp_path, words, code, said
):
    found = bench(
        "tune", "--model", "itemknn:neighbours=5", "--budget", "2", "--sampler", "random", "--reference", "none",
        "--listens", world_folder / "plays.csv", "--k", "5", "--dry-run", "--device", "cpu",
        "--cache", tmp_path / "cache", "--results", tmp_path / "results", *words,
    )  # fmt: skip
    assert found.code == code
    assert said in found.err
    assert ("to compute" in found.err) is (code == 0)


def test_what_the_model_fixes_is_not_searched(job):
    assert search_of(job("bpr:lr=0.1")).text == "factors=16|32|64|128,l2=0.0001..0.1(log)"


def test_a_search_without_validation_is_refused(job):
    with pytest.raises(BenchError, match="leaves no validation pairs"):
        job("itemknn", split="leave_last_out:valid=none")


def test_a_time_ends_the_search_and_its_last_trial(job):
    one = job("bpr:epochs=100000,patience=none", None, "lr=0.001..0.1(log)", max_time=0.2)
    started = time.monotonic()
    search = searched(one)
    assert time.monotonic() - started < 60
    assert [trial.stopped for trial in search.trials] == ["deadline"]
    assert search.trials[0].value > 0
    assert (search.info.ended, search.info.max_time_s) == ("time", 0.2)
    assert searched(one).trials == search.trials  # the time of earlier calls counts


def test_a_killed_search_goes_on_as_if_nothing_had_happened(world_folder, tmp_path):
    def words(folder):
        return [
            sys.executable, "-m", "bench", "tune", "--model", "bpr:epochs=6", "--budget", "5", "--no-controls",
            "--sampler", "random",
            "--listens", str(world_folder / "plays.csv"), "--reference", "none", "--k", "5", "--device", "cpu",
            "--cache", str(tmp_path / folder / "cache"), "--results", str(tmp_path / folder / "results"),
        ]  # fmt: skip

    def trials(folder):
        (path,) = (tmp_path / folder / "results").rglob("seed0.json")
        found = json.loads(path.read_text())
        kept = [{k: v for k, v in t.items() if k != "seconds"} for t in found["recommender"]["search"]["trials"]]
        return kept, found["metrics"]

    whole = subprocess.run(words("a"), capture_output=True, text=True, check=True)
    assert "chosen on validation alone" in whole.stdout
    killed = subprocess.Popen(words("b"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for line in killed.stderr:
        if line.startswith("trial 3 of 5"):
            killed.kill()
            break
    assert killed.wait() == -9
    killed.stderr.close()
    again = subprocess.run(words("b"), capture_output=True, text=True, check=True)
    assert "the search goes on after 2 trials" in again.stderr
    assert "trial 2 of 5" not in again.stderr
    assert trials("b") == trials("a")


class AbsentError(Exception):
    """Something that another machine or package would cure."""


def test_a_trial_that_failed_is_tried_again_by_the_next_search(job, monkeypatch):
    wanted = searched(job("itemknn", 3, "neighbours=5|10")).trials
    one = job("itemknn", 3, "neighbours=5|10", cache="b")
    search = search_of(one)
    with monkeypatch.context() as patch:
        patch.setattr(
            get("recommenders", "itemknn"), "fit", lambda *_, **__: (_ for _ in ()).throw(AbsentError("no package"))
        )
        search.go()
    assert [trial.value for trial in search.trials] == [None] * 3
    assert not search_of(one).complete
    again = searched(one)
    for trials in (again.trials, search_of(one).trials):
        assert [(one.value, one.settings, one.same_as, one.error) for one in trials] == [
            (one.value, one.settings, one.same_as, "") for one in wanted
        ]


def test_a_trial_that_ran_out_of_time_is_tried_again_with_more(job):
    def one(max_time):
        return job("bpr:epochs=400,patience=none", 1, "lr=0.001..0.1(log)", max_time=max_time)

    first = searched(one(0.01))
    assert ([trial.stopped for trial in first.trials], first.ended) == (["deadline"], "time")
    second = searched(one(None))
    assert ([trial.stopped for trial in second.trials], second.ended) == (["epochs"], "budget")
    assert [trial.stopped for trial in search_of(one(None)).trials] == ["epochs"]


def test_the_checkpoints_of_a_trial_are_those_of_its_settings(job):
    search = search_of(job("bpr:epochs=2", space="lr=0.001..0.1(log)"))
    places = [search.checkpoints(settings) for settings in ({"lr": "0.1"}, {"lr": "0.01"}, {"lr": "0.1"})]
    assert places[0] == places[2] != places[1]
