"""What a run does for a training: refusals before it, a deadline, curves, a second fit, and life after kill -9."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import bench.records
from bench import memory
from bench.errors import BenchError
from bench.items.item_table import ItemTable
from bench.protocols import Estimate, Recommender, RunContext, Shape
from bench.records import Training, read
from bench.registry import create
from bench.report import boards
from bench.run.recommend.evaluate import measure
from bench.run.recommend.fit import check, trained
from bench.run.recommend.validation import Validation
from bench.splits.make import GlobalTemporal, make
from bench.splits.untimed import LeaveLastOut
from bench.synthetic import planted
from bench.training.tensorboard import NAME

SCHEMA = json.loads((Path(bench.records.__file__).parent / "record.schema.json").read_text())


@pytest.fixture(scope="module")
def split():
    made = planted(80, 150, 8, seed=3, plays=8_000)
    return make(made.listens.lazy(), GlobalTemporal(cut=made.cut.isoformat()))


@pytest.fixture(scope="module")
def no_validation():
    made = planted(40, 60, 8, seed=3, plays=2_000)
    return make(made.listens.lazy(), LeaveLastOut(valid="none"))


def table(split, width=0):
    n = len(split.items)
    vectors = np.random.default_rng(0).standard_normal((n, width)).astype(np.float32)
    return ItemTable(list(split.items), vectors, np.ones(n, bool), split.hot.copy(), {})


def fitted(spec, split, *, refit=False, max_time=None, **run):
    context = RunContext(**run)
    model, valid = create("recommenders", spec), Validation(split, None, 5, 5, 0)
    return trained(model, table(split), split, valid, context, [5], refit=refit, max_time=max_time)


@pytest.fixture
def words(world_folder, tmp_path):
    """Words of a run of trained models without audio."""
    return [
        "--listens", str(world_folder / "plays.csv"), "--extractor", "none", "--reference", "none", "--no-controls",
        "--k", "5", "--device", "cpu", "--cache", str(tmp_path / "cache"), "--results", str(tmp_path / "results"),
    ]  # fmt: skip


def only(folder):
    (path,) = folder.rglob("seed0.json")
    return json.loads(path.read_text())


# -- refused before training -----------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["shallow", "bert4rec", "sasrec", "elsa", "bpr"])
def test_a_split_without_validation_is_refused_before_training(spec, no_validation):
    with pytest.raises(BenchError, match=rf"{spec} ends its training by validation, and split .* leaves no validation"):
        check(create("recommenders", spec), no_validation, 0, "cpu")


def test_models_that_do_not_validate_run_without(no_validation):
    assert check(create("recommenders", "itemknn"), no_validation, 0, "cpu") is None
    assert check(create("recommenders", "ease"), no_validation, 0, "cpu").bytes > 0


def test_heads_that_do_not_divide_the_width_are_refused_in_the_plan(bench, words):
    said = bench("run", "--model", "bpr,bert4rec:width=30,heads=4", *words)
    assert said.code == 1
    assert "none x bert4rec:width=30,heads=4: bert4rec: heads=4 does not divide the width 30" in said.err
    assert "computing" not in said.err


def test_what_does_not_fit_is_refused_before_training(split, monkeypatch):
    monkeypatch.setattr(memory, "free", lambda _device: 10_000_000)
    with pytest.raises(BenchError, match=r"sasrec needs about .* GB on cpu.*0\.01 GB are free.*chunked"):
        fitted("sasrec:width=512,loss=sampled,negatives=4000", split)
    assert check(create("recommenders", "sasrec:width=8,layers=1,ffn=8"), split, 0, "cpu").bytes < 10_000_000


def test_a_plugin_may_refuse_a_shape_and_is_told_all_of_it(split):
    class Planned(create("recommenders", "popularity").__class__):
        name = "planned"

        def plan(self, shape: Shape):
            self.shape = shape
            return Estimate(0, ["nothing to do"])

    model = Planned(None)
    assert check(model, split, 7, "cpu").notes == ["nothing to do"]
    shape = model.shape
    assert (shape.users, shape.items, shape.pairs, shape.width) == (
        len(split.users), len(split.items), len(split.train), 7)  # fmt: skip
    assert shape.hot == split.hot.sum()
    assert shape.lengths.tolist() == np.diff(split.train.indptr).tolist()


def test_the_plan_says_what_a_full_loss_becomes_and_whom_it_leaves_out():
    lengths = np.r_[np.full(900, 300), np.ones(7, int)]
    sizes = {"users": 907, "items": 60_000, "hot": 56_193, "pairs": int(lengths.sum()), "width": 128}
    found = create("recommenders", "sasrec:loss=full").plan(Shape(**sizes, lengths=lengths))
    assert list(found.notes) == [
        "the full loss needs 25.9 GB, using chunked: the same numbers",
        "7 of 907 listeners have fewer than 2 tracks: not trained on",
    ]
    assert found.bytes < 3e9
    drawn = create("recommenders", "sasrec:loss=sampled").plan(Shape(**sizes, lengths=lengths))
    assert drawn.bytes < found.bytes
    assert create("recommenders", "elsa").plan(Shape(**sizes, lengths=lengths)).notes == [
        "7 of 907 listeners have fewer than 2 tracks: not trained on"
    ]


@pytest.mark.parametrize("spec", ["shallow", "bert4rec", "sasrec", "elsa", "bpr", "ease"])
def test_a_larger_catalogue_needs_more(spec):
    lengths = np.full(500, 40)
    sizes = {"users": 500, "pairs": 20_000, "width": 64, "lengths": lengths}
    small, large = (create("recommenders", spec).plan(Shape(items=n, hot=n, **sizes)).bytes for n in (1_000, 10_000))
    assert 0 < small < large


def test_a_dry_run_shows_what_trainings_take(bench, words):
    said = bench("run", "--model", "bert4rec,elsa", "--dry-run", *words)
    assert said.code == 0
    assert "training: bert4rec on vectors of its own, about " in said.err
    assert "training: elsa on vectors of its own, about " in said.err
    assert not list(Path(words[-1]).rglob("*.json"))


def test_a_dry_run_knows_the_width_that_pooling_makes(bench, small_world, tmp_path):
    places = ["--cache", tmp_path / "cache", "--results", tmp_path / "results", "--device", "cpu", "--k", "5"]
    said = bench(
        "run", "--extractor", "mfcc", "--model", "shallow", "--no-controls", "--dry-run", *small_world, *places
    )
    assert said.code == 0, said.err
    assert "training: shallow on vectors of width 104, about " in said.err  # 13 means and 91 covariances


# -- refit ------------------------------------------------------------------------------------------------


def test_a_second_fit_sees_validation_for_the_epochs_found(split):
    once = fitted("bpr:epochs=30,patience=2,lr=0.05", split)
    twice = fitted("bpr:epochs=30,patience=2,lr=0.05", split, refit=True)
    assert vars(twice.training.refit) == {
        "epochs": once.training.best_epoch, "best_epoch": once.training.best_epoch, "stopped": "epochs"
    }  # fmt: skip
    assert twice.validation == once.validation  # of the fit that did not see it
    assert len(twice.known) == len(split.train) + len(split.held_out)
    scores = [each.model.score(np.arange(5, dtype=np.int32)).numpy() for each in (once, twice)]
    assert not np.array_equal(*scores)


def test_a_second_fit_resumes_no_other_epochs(split, tmp_path):
    """A deadline may have left a longer or shorter second fit in the same folder."""

    class Own(Recommender):
        name = "own"
        rates: list[float]

        def fit(self, train, items, *, valid, run):
            if run.replay is None:
                run.trained.update(rates=self.rates)
            else:
                found.append(run.folder)

        def score(self, users, items=None):
            return np.tile(np.arange(len(split.items), dtype=np.float32), (len(users), 1))

    found = []
    for rates in ([0.1, 0.1], [0.1], [0.1, 0.1]):
        model = Own(None)
        model.rates = rates
        valid = Validation(split, None, 5, 5, 0)
        trained(model, table(split), split, valid, RunContext(folder=tmp_path), [5], refit=True)
    assert found[0] == found[2] != found[1]
    assert {folder.parent for folder in found} == {tmp_path}


def test_a_model_without_epochs_is_fitted_on_more(split):
    once, twice = (fitted("popularity", split, refit=refit) for refit in (False, True))
    users = np.arange(1, dtype=np.int32)
    counts = np.bincount(split.before_test.item, minlength=len(split.items))
    gained = twice.model.score(users)[0] != once.model.score(users)[0]
    assert gained.any()
    assert counts.sum() == len(split.train) + len(split.held_out)


def test_what_is_known_by_then_is_not_recommended(split):
    plain, anew = (
        measure(
            create("recommenders", "popularity"), table(split), split, ks=[5], seed=0, device="cpu", reference=None,
            folder=None, log=lambda _: None, refit=refit,
        )
        for refit in (False, True)
    )  # fmt: skip
    assert plain.users == anew.users
    assert plain.candidates == anew.candidates
    assert plain.metrics != anew.metrics


def test_a_loop_that_validates_on_what_it_trains_is_refused(split):
    class Own(Recommender):
        name = "own"

        def fit(self, train, items, *, valid, run):
            valid(self)

        def score(self, users, items=None):
            return np.tile(np.arange(len(split.items), dtype=np.float32), (len(users), 1))

    valid = Validation(split, None, 5, 5, 0)
    trained(Own(None), table(split), split, valid, RunContext(), [5])
    with pytest.raises(BenchError, match="own asks for validation while it is fitted on the validation pairs"):
        trained(Own(None), table(split), split, valid, RunContext(), [5], refit=True)


def test_refitted_rows_stand_apart(bench, words, tmp_path):
    model = ["--model", "itemknn"]
    assert bench("run", *model, *words).computed == ["none x itemknn"]
    first = bench("run", *model, *words, "--refit")
    assert first.computed == ["none x itemknn"]
    rows = [line.split()[:3] for line in first.out.partition("Evidence")[0].splitlines() if line.startswith("none ")]
    assert sorted(["(refit)" in row for row in rows]) == [False, True]  # both stand in the table
    assert bench("run", *model, *words, "--refit").computed == []
    paths = sorted((tmp_path / "results").rglob("seed0.json"))
    assert len({path.parent for path in paths}) == 2
    records = [(path, read(path)) for path in paths]
    (board,) = boards(records)
    assert sorted(row.model for row in board.rows) == ["itemknn", "itemknn (refit)"]
    for path, record in records:
        jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(path.read_text()))
        assert record.asked["refit"] == record.recommender.refit
        declared = ("none × itemknn", "none × itemknn (refit)") if record.recommender.refit else ("none × itemknn",)
        assert (record.family.rows, record.family.alpha, record.family.margin) == (declared, 0.05, 0.1)
        assert bench("run", "--from", path, "--trust", "--cache", tmp_path / "cache").code == 0


# -- deadline and curves ---------------------------------------------------------------------------------


def test_a_deadline_is_in_the_record_and_more_time_goes_on(bench, words, tmp_path):
    model = ["--model", "bpr:epochs=60,patience=none"]
    said = bench("run", *model, *words, "--max-time", "0.2s")
    about = only(tmp_path / "results")
    assert about["recommender"]["training"]["stopped"] == "deadline"
    assert about["recommender"]["training"]["max_time_s"] == 0.2
    assert any("--max-time ended training after" in text for text in about["warnings"])
    assert "--max-time ended training after" in said.out
    jsonschema.Draft202012Validator(SCHEMA).validate(about)
    assert bench("run", *model, *words, "--max-time", "0.1s").computed == []
    said = bench("run", *model, *words)
    assert said.computed == ["none x bpr:epochs=60,patience=none"]
    done = about["recommender"]["training"]["epochs"]
    assert done == 1 or "training goes on after epoch" in said.err
    again = only(tmp_path / "results")
    assert again["recommender"]["training"]["stopped"] == "epochs"
    assert not list((tmp_path / "cache" / "checkpoints").iterdir())


def test_factors_that_a_deadline_left_early_say_so(split):
    pytest.importorskip("implicit")
    cut = fitted("ials:iterations=500,factors=8", split, max_time=1e-6)
    assert cut.training == Training(1, 1, "deadline", max_time_s=1e-6)
    assert cut.warnings == ["--max-time ended training after epoch 1, before it stopped by itself"]
    assert fitted("ials:iterations=2,factors=8", split).training.stopped == "epochs"


def test_curves_stay_where_they_are_wanted(bench, words, tmp_path):
    model = ["--model", "bpr:epochs=2"]
    assert bench("run", *model, *words, "--log-dir", tmp_path / "log", "--refit").code == 0
    first, second = sorted((tmp_path / "log").rglob(NAME), key=lambda path: len(path.parts))
    assert first.parent.name == "seed0"
    assert second.parent == first.parent / "refit"
    assert b"validation" in first.read_bytes()
    assert b"validation" not in second.read_bytes()
    assert not list((tmp_path / "cache").rglob(NAME))


@pytest.mark.parametrize(("text", "found"), [("2", 120.0), ("1.5m", 90.0), ("2h", 7200.0), ("30s", 30.0)])
def test_times_are_minutes_or_have_a_unit(text, found):
    from bench.cli.options import seconds

    assert seconds(text) == found


@pytest.mark.parametrize("text", ["", "0", "-3", "soon", "5d", "nan", "infh"])
def test_what_is_no_time_is_named(bench, words, text):
    said = bench("run", "--model", "bpr", *words, f"--max-time={text}")
    assert said.code == 1
    assert "is not a time: write minutes, or 90s, 10m, 2h" in said.err


# -- kill -9 ----------------------------------------------------------------------------------------------


def test_a_run_killed_in_training_goes_on_and_ends_the_same(world_folder, tmp_path):
    def words(folder):
        return [
            sys.executable, "-m", "bench", "run", "--extractor", "none", "--reference", "none", "--no-controls",
            "--model", "sasrec:epochs=40,patience=0,width=16,ffn=16,layers=1,max_len=20,every=2",
            "--listens", str(world_folder / "plays.csv"), "--k", "5", "--device", "cpu",
            "--cache", str(tmp_path / folder / "cache"), "--results", str(tmp_path / folder / "results"),
        ]  # fmt: skip

    whole = subprocess.run(words("a"), capture_output=True, text=True, check=True)
    assert "epoch 40 of at most 40" in whole.stderr
    killed = subprocess.Popen(words("b"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for line in killed.stderr:
        if line.startswith("epoch 3 of"):
            killed.kill()
            break
    assert killed.wait() == -9
    told = [line for line in killed.stderr if line.startswith("epoch ")]  # what it did until it was hit
    killed.stderr.close()
    done = 3 + len(told)
    assert not list((tmp_path / "b" / "results").rglob("*.json"))
    again = subprocess.run(words("b"), capture_output=True, text=True, check=True)
    goes_on = [line for line in again.stderr.splitlines() if line.startswith("training goes on after epoch ")]
    assert goes_on in ([f"training goes on after epoch {n}"] for n in (done, done + 1))  # or it was hit in between
    one, two = only(tmp_path / "a" / "results"), only(tmp_path / "b" / "results")
    for what in ("metrics", "intervals", "validation", "beyond"):
        assert one[what] == two[what]
    assert one["recommender"]["training"] == two["recommender"]["training"]


def test_components_that_a_table_cannot_have_are_refused_in_the_plan(bench, small_world, tmp_path):
    words = ["--extractor", "mfcc:n_mfcc=11", "--model", "knn", "--treat", "pca:5000", "--k", "5", *small_world]
    said = bench("run", *words, "--cache", tmp_path / "cache", "--results", tmp_path / "r", "--dry-run")
    assert said.code == 1
    assert "pca:5000" in said.err
    assert "width 77" in said.err
