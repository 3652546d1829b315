"""``bench tune`` of several pairs: one space for each model, the same trials for each pair, controls included."""

import json
import subprocess
import sys

import pytest

from bench.errors import BenchError
from bench.records import Trial
from bench.registry import create
from bench.run.options import Data, Environment
from bench.run.progress import Ui
from bench.run.recommend.request import RecommendRequest
from bench.run.tune.experiment import TuneExperiment, TuneRequest
from bench.run.tune.search import Budget
from bench.run.tune.space import parse
from bench.run.tune.trials import propose

SPLIT = "global_temporal:cut=2020-02-20,start=2019-02-20,end=2020-03-21"
SHALLOW = "shallow:epochs=1,hidden=0"


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache that keeps the vectors, and so makes the tests quick."""
    return tmp_path_factory.mktemp("tune")


@pytest.fixture
def pairs(world_folder, cache, tmp_path):
    def make(models=(SHALLOW, "ease"), engine="local", results="results", trials=3, cache=cache, **changes):
        request = TuneRequest(
            data=Data(listens=str(world_folder / "plays.csv"), audio=str(world_folder / "audio")),
            extractors=("mfcc", "none"),
            models=models,
            split=SPLIT,
            k=(5,),
            budget=Budget(trials),
            **changes,
        )
        said = []
        environment = Environment(cache, tmp_path / results, "cpu", engine=create("engines", engine))
        made = TuneExperiment(request, environment, Ui(log=said.append))
        made.said = said
        made.open()
        return made

    return make


def searches(found):
    """Extractor and model before tuning -> settings of the trials, and their values."""
    return {
        (record.extractor.spec, search.base): [(trial.settings, trial.value) for trial in search.trials]
        for _, record in found.records
        if (search := record.recommender.search)
    }


def test_every_pair_is_tuned_with_the_same_settings_and_trials(pairs):
    one = pairs()
    one.plan()
    found = one.do()
    made = searches(found)
    shallow = [(name, SHALLOW) for name in ("mfcc", "none", "shuffled:of=mfcc", "random")]
    assert set(made) == {*shallow, ("none", "ease")}
    for place in shallow:
        assert [settings for settings, _ in made[place]] == [settings for settings, _ in made[shallow[0]]]
    assert made[shallow[0]] != made[shallow[1]]  # other vectors, other values
    assert {len(trials) for trials in made.values()} == {3}
    untuned = [r for _, r in found.records if r.recommender.search is None]
    assert [record.recommender.name for record in untuned] == ["popularity", "random"]
    assert any("3 trials for each of 5 pairs (2 of them controls), 15 trials in all" in line for line in one.said)
    for _, record in found.records:
        asked = RecommendRequest.from_json(record.asked)
        assert asked.models == (record.recommender.spec,)
        if search := record.recommender.search:
            best = search.trials[search.best]
            assert best.value == max(trial.value for trial in search.trials)
            assert record.validation["hot"]["ndcg@5"] == best.value
            assert (search.budget, search.ended) == (3, "budget")

    again = pairs()
    assert again.plan() == []
    assert again.do().computed == 0
    assert searches(again.do()) == made

    more = pairs(trials=4)
    assert len(more.plan()) == 5
    assert not any("not known" in line for line in more.said)
    assert {place: trials[:3] for place, trials in searches(more.do()).items()} == made


def test_searches_of_several_pairs_run_at_once_with_the_same_results(pairs, tmp_path):
    found = []
    for jobs in (1, 2):
        one = pairs(("ease", "itemknn"), f"local:jobs={jobs}", f"jobs{jobs}", cache=tmp_path / f"cache{jobs}")
        one.plan()
        found.append(searches(one.do()))
    assert found[0] == found[1]
    assert set(found[0]) == {("none", "ease"), ("none", "itemknn")}


def test_tpe_starts_with_the_same_settings_whatever_the_values_are():
    pytest.importorskip("optuna")
    space = parse("lr=0.001..0.1(log),factors=4|8|16")

    def proposed(value):
        trials = []
        for number in range(10):
            settings = propose(space, trials, "tpe", 0)
            trials.append(Trial(number, settings, value(number), 1.0, "", None, ""))
        return [trial.settings for trial in trials]

    assert proposed(lambda number: number / 10) == proposed(lambda number: 1 - number / 10)


def test_a_space_for_several_models_and_a_model_without_one_are_refused(pairs):
    with pytest.raises(BenchError, match="--space is the space of one model"):
        pairs(space="l2=1..10")
    assert pairs(("ease", "popularity"), space="l2=1..10").spaces
    with pytest.raises(BenchError, match="popularity offers no space"):
        pairs(("popularity",))


def test_a_command_killed_in_its_second_search_goes_on_there(small_world, tmp_path):
    def words(folder):
        return [
            sys.executable, "-m", "bench", "tune", "--extractor", "none", "--model", "bpr:epochs=6,shallow:epochs=3",
            "--budget", "3", "--sampler", "random", "--no-controls", *small_world, "--k", "5", "--device", "cpu",
            "--cache", str(tmp_path / folder / "cache"), "--results", str(tmp_path / folder / "results"),
        ]  # fmt: skip

    def numbers(folder):
        found = {}
        for path in sorted((tmp_path / folder / "results").rglob("seed0.json")):
            record = json.loads(path.read_text())
            trials = [(t["settings"], t["value"]) for t in record["recommender"]["search"]["trials"]]
            found[record["recommender"]["name"]] = (trials, record["metrics"])
        return found

    subprocess.run(words("a"), capture_output=True, check=True)
    assert set(numbers("a")) == {"bpr", "shallow"}
    killed = subprocess.Popen(words("b"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for line in killed.stderr:
        if line.startswith("trial 2 of 3: shallow"):
            killed.kill()
            break
    assert killed.wait() == -9
    killed.stderr.close()
    assert set(numbers("b")) == {"bpr"}
    again = subprocess.run(words("b"), capture_output=True, text=True, check=True)
    assert "trial 1 of 3" not in again.stderr
    assert "the search goes on after 1 trial\n" in again.stderr
    assert "unchanged: 1 of 2 cells" in again.stderr
    assert numbers("b") == numbers("a")
