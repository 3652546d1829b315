"""Whole runs: what is recorded, what is computed again and what is not, and whether a record can be repeated."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import polars as pl
import pytest
import soundfile

import bench.records
from bench.errors import BenchError
from bench.protocols import Recommender
from bench.records import Record
from bench.records.codec import decode
from bench.report.eligible import eligible
from bench.resolver import resolve
from bench.run.options import Data, Environment
from bench.run.progress import Ui
from bench.run.recommend.evaluate import measure
from bench.run.recommend.experiment import RecommendExperiment
from bench.run.recommend.request import RecommendRequest
from bench.testing import clips

SCHEMA = json.loads((Path(bench.records.__file__).parent / "record.schema.json").read_text())
SHUFFLED = "shuffled:of=mfcc"
CELLS = ["mfcc x knn", f"{SHUFFLED} x knn", "random x knn", "none x popularity", "none x random"]


@pytest.fixture
def results(base, tmp_path):
    """A copy of the first run's records."""
    return shutil.copytree(base.results, tmp_path / "results")


@pytest.fixture
def again(bench, base, results):
    """Run on the small world with other words, beside the first run's records."""

    def run(*words, extractor="mfcc", model="knn", folder=results):
        given = ["--extractor", extractor, "--model", model, *base.words, "--results", folder, *words]
        return bench("run", *given)

    return run


def only(folder, part):
    """The path of the one record whose path holds `part`."""
    (found,) = [path for path in folder.rglob("seed*.json") if part in str(path)]
    return found


# -- what is recorded -----------------------------------------------------------------------------------


def test_every_cell_is_computed_once_and_recorded(base, records):
    assert sorted(base.said.computed) == sorted(CELLS)
    found = records(base.results)
    assert {f"{extractor} x {model}" for extractor, model, _ in found} == set(CELLS)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for content in found.values():
        validator.validate(content)


def test_controls_say_so(base, records):
    found = records(base.results).items()
    flags = {f"{extractor} x {model}": content["control"] for (extractor, model, _), content in found}
    assert flags == {cell: cell != "mfcc x knn" for cell in CELLS}


def test_the_values_of_users_are_beside_the_record_and_agree_with_it(base):
    for path in base.results.rglob("seed*.json"):
        content = json.loads(path.read_text())
        users = pl.read_parquet(bench.records.users_path(path))
        unranked = ["cold"] if content["recommender"]["name"] == "popularity" else []
        assert content.get("unranked", []) == unranked
        assert set(content["metrics"]) == {"hot", "cold", "mixed"} - set(unranked)
        assert set(content["chance"]) == set(content["users"]) == {"hot", "cold", "mixed"}
        for where, known in content["users"].items():
            part = users.filter(candidates=where)
            assert len(part) == known
            assert (part["listable"] == content["candidates"][where]).all()  # all have a vector
            assert ((part["free"] > 0) & (part["free"] <= content["candidates"][where])).all()
            assert where not in unranked or part["ndcg@5"].null_count() == known
        for where, means in content["metrics"].items():
            part = users.filter(candidates=where)
            assert len(part) == content["users"][where] > 10
            for name, mean in means.items():
                assert part[name].mean() == pytest.approx(mean, abs=1e-12)
                low, high = content["intervals"][where][name]
                assert low <= mean <= high
                assert 0 <= content["chance"][where][name] <= 1


def test_a_record_says_what_went_in_and_what_it_cost(base, records):
    content = records(base.results)["mfcc", "knn", 0]
    assert content["extractor"]["width"] == 104
    assert content["extractor"]["coverage"] == 1.0
    assert content["k"] == [5]
    assert content["lane"] == "corrected"
    assert content["environment"]["packages"]["torch"]
    assert content["cost"]["fit_s"] >= 0
    assert content["cost"]["extract_s_per_1000"] > 0
    assert content["cost"]["peak_memory_bytes"] > 2**20
    assert content["asked"]["extractors"] == ["mfcc"]
    assert content["asked"]["controls"] is False
    assert {"coverage@5", "artist_entropy@5"} <= set(content["beyond"]["hot"])


def test_variety_is_measured_in_a_space_the_model_does_not_rank_by(base, records, again, tmp_path):
    assert not any("ild" in name for one in records(base.results).values() for name in one["beyond"]["hot"])
    assert again("--reference", "mfcc", folder=tmp_path / "m").code == 0
    for (extractor, _, _), content in records(tmp_path / "m").items():
        assert ("ild:mfcc@5" in content["beyond"]["hot"]) == (extractor != "mfcc"), extractor
    assert again("--reference", "mfcc+random:dim=8", extractor="gaussian:of=mfcc", folder=tmp_path / "r").code == 0
    found = records(tmp_path / "r")
    assert "ild:mfcc+random@5" in found["gaussian:of=mfcc", "knn", 0]["beyond"]["hot"]
    assert "ild:mfcc+random@5" not in found["random", "knn", 0]["beyond"]["hot"]


def test_the_plan_says_what_will_be_done(base):
    said = base.said.err
    assert "60 recordings of 60 tracks to embed on cpu, about" in said
    assert "to compute: mfcc x knn\n" in said
    assert f"controls: {SHUFFLED} x knn, random x knn, none x popularity, none x random" in said
    assert "5 records in" in base.said.out


# -- what is computed again -----------------------------------------------------------------------------


def test_a_second_run_computes_nothing_and_says_the_same(base, again, results):
    before = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    said = again()
    assert said.code == 0
    assert said.computed == []
    assert "Nothing was recomputed" in said.out
    table, _, _ = said.out.partition("Nothing was recomputed")
    assert base.said.out.startswith(table)
    assert {path: path.read_bytes() for path in results.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("words", "changed", "computed"),
    [
        (["--seeds", "2"], {}, [f"{SHUFFLED} x knn (seed 1)", "random x knn (seed 1)", "none x random (seed 1)"]),
        (["--treat", "standardize"], {}, CELLS[:3]),
        ([], {"model": "knn:profile=max"}, [f"{cell}:profile=max" for cell in CELLS[:3]]),
        ([], {"model": "knn,popularity"}, []),
        ([], {"extractor": "mfcc:n_mfcc=20"}, ["mfcc:n_mfcc=20 x knn", "shuffled:of=(mfcc:n_mfcc=20) x knn"]),
        ([], {"extractor": "mfcc,random"}, []),
        ([], {"extractor": "mfcc:lane=corrected"}, ["shuffled:of=(mfcc:lane=corrected) x knn"]),
        (["--k", "5,8"], {}, CELLS),
        (["--no-controls"], {}, []),
        (["--batch", "3", "--workers", "1"], {}, []),
        (["--again"], {}, CELLS),
    ],
)  # fmt: skip
def test_only_what_changed_is_computed(again, results, records, words, changed, computed):
    before = records(results)
    said = again(*words, **changed)
    assert said.code == 0, said.err
    assert sorted(said.computed) == sorted(computed)
    for path in results.rglob("seed*.json"):
        jsonschema.validate(json.loads(path.read_text()), SCHEMA)
    for key, content in before.items():  # what was there has the same numbers still
        (same,) = [
            json.loads(path.read_text())
            for path in results.rglob("seed*.json")
            if str(path).endswith(str(decode(Record, content).path))
        ]
        assert same["metrics"] == content["metrics"], key


def test_a_run_with_nothing_to_do_never_loads_torch(base):
    words = ["run", "--extractor", "mfcc", "--model", "knn", *map(str, base.words), "--results", str(base.results)]
    code = f"import sys; from bench.cli import main; main({words}); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "Nothing was recomputed" in done.stdout, done.stderr
    assert done.stdout.endswith("False\n")


def test_adding_a_k_leaves_the_numbers_of_the_others(again, results, records):
    before = records(results)["mfcc", "knn", 0]
    assert again("--k", "8,5", "--no-controls").code == 0
    (after,) = [c for p in results.rglob("seed*.json") if (c := json.loads(p.read_text()))["k"] == [8, 5]]
    for where, metrics in before["metrics"].items():
        assert metrics.items() <= after["metrics"][where].items()
        assert any(name.endswith("@8") for name in after["metrics"][where])
    assert again("--k", "5", "--no-controls").computed == []


def test_another_shuffle_another_number(again, records, results):
    again("--seeds", "2")
    found = records(results)
    assert found[SHUFFLED, "knn", 0]["metrics"] != found[SHUFFLED, "knn", 1]["metrics"]
    assert ("mfcc", "knn", 1) not in found  # no seed can change it


def test_computing_anew_gives_the_same_numbers(again, records, base, tmp_path):
    assert again(folder=tmp_path / "fresh").code == 0
    for key, content in records(tmp_path / "fresh").items():
        first = records(base.results)[key]
        for part in ("metrics", "intervals", "chance", "beyond", "validation", "inputs_sha256", "users", "candidates"):
            assert content[part] == first[part], (key, part)


@pytest.mark.parametrize("damage", ["not json", "{}", '{"kind": "run", "schema_version": 99}', None])
def test_a_broken_record_is_computed_again(again, results, base, damage):
    path = only(results, "/mfcc-")
    if damage is None:
        bench.records.users_path(path).unlink()
    else:
        path.write_text(damage)
    said = again()
    assert (said.code, said.computed) == (0, ["mfcc x knn"])
    if damage:
        assert f"{path}" in said.err
        assert "computed again" in said.err
    old = json.loads(only(base.results, "/mfcc-").read_text())
    assert json.loads(path.read_text())["metrics"] == old["metrics"]
    assert bench.records.users_path(path).exists()


@pytest.fixture
def own_audio(world_folder, tmp_path):
    """The small world with audio and metadata of this test's own, to be changed."""
    audio = shutil.copytree(world_folder / "audio", tmp_path / "audio")
    meta = shutil.copy(world_folder / "tracks.parquet", tmp_path / "tracks.parquet")
    return audio, Path(meta)


def test_changed_audio_and_metadata_are_noticed(again, bench, own_audio):
    audio, meta = own_audio
    words = ["--audio", audio, "--meta", meta, "--reference", "none"]  # the later word counts
    again(*words)
    assert again(*words).computed == []
    soundfile.write(audio / "t0003.wav", clips.clip(3.0, 22_050, seed=7), 22_050)
    said = again(*words)
    assert "1 recording of 60 tracks to embed" in said.err
    assert sorted(said.computed) == sorted(CELLS[:2])
    frame = pl.read_parquet(meta)
    frame.with_columns(artist=pl.lit("the same for all")).write_parquet(meta)
    assert sorted(again(*words).computed) == sorted(CELLS)


def test_changed_vectors_are_noticed_behind_a_control_too(again, world_folder, tmp_path):
    ids = sorted(path.stem for path in (world_folder / "audio").iterdir())
    rng = np.random.default_rng(0)

    def write():
        np.save(tmp_path / "v.npy", rng.standard_normal((len(ids), 8), np.float32))

    (tmp_path / "v.ids.txt").write_text("\n".join(ids) + "\n")
    spec = f"precomputed:path={tmp_path / 'v.npy'}"
    write()
    again(extractor=spec)
    assert again(extractor=spec).computed == []
    write()
    assert sorted(again(extractor=spec).computed) == sorted([f"{spec} x knn", f"shuffled:of=({spec}) x knn"])


# -- repeating a record ---------------------------------------------------------------------------------


def test_every_record_can_be_repeated(bench, base, results):
    for path in results.rglob("seed*.json"):
        before = path.read_bytes()
        said = bench("run", "--from", path, "--trust", "--cache", base.cache, "--device", "cpu")
        assert said.code == 0, said.out + said.err
        assert "The numbers match: all" in said.out
        assert path.read_bytes() == before


def test_with_another_cache_it_is_embedded_anew_and_still_matches(bench, base, tmp_path):
    said = bench(
        "run", "--from", only(base.results, "/mfcc-"), "--trust", "--cache", tmp_path / "other", "--device", "cpu"
    )
    assert said.code == 0, said.out + said.err
    assert "60 recordings of 60 tracks to embed" in said.err


def test_a_number_that_differs_is_named(bench, base, results, altered):
    path = only(results, "/mfcc-")
    right = json.loads(path.read_text())["metrics"]["cold"]["ndcg@5"]

    def change(content):
        content["metrics"]["cold"]["ndcg@5"] = 0.987
        content["environment"]["packages"]["numpy"] = "0.1"

    altered(path, change)
    said = bench("run", "--from", path, "--trust", "--cache", base.cache, "--device", "cpu")
    assert said.code == 2
    assert "1 of 21 metrics differ" in said.out
    assert f"cold ndcg@5: 0.987 then, {right} now" in said.out
    assert f"possible reason: numpy was 0.1, is {np.__version__}" in said.out


def test_what_went_in_is_named_when_it_changed(bench, base, again, own_audio, results):
    audio, _ = own_audio
    assert again("--audio", audio, "--no-controls", "--again").code == 0
    path = only(results, "/mfcc-")
    for seed in range(20):
        soundfile.write(audio / f"t{seed:04d}.wav", clips.clip(3.0, 22_050, seed), 22_050)
    said = bench("run", "--from", path, "--trust", "--cache", base.cache, "--device", "cpu")
    assert said.code == 2
    assert "possible reason: the item table changed" in said.out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["asked"].pop("models"), "does not say what was asked"),
        (lambda c: c.update(kind="guess"), "is not a result record"),
        (lambda c: c["asked"]["data"].update(listens="/nowhere/plays.csv"), "/nowhere/plays.csv: missing"),
    ],
)
def test_a_record_that_cannot_be_repeated_is_wrong_input(bench, base, results, altered, change, said):
    path = altered(only(results, "/mfcc-"), change)
    found = bench("run", "--from", path, "--trust", "--cache", base.cache)
    assert found.code == 1
    assert said in found.err


# -- lanes ----------------------------------------------------------------------------------------------


def test_unlike_lanes_are_recorded_as_mixed(again, results):
    said = again("--no-controls", model="knn:lane=published")
    assert said.code == 0
    (mixed,) = [c for p in results.rglob("seed*.json") if (c := json.loads(p.read_text()))["lane"] == "mixed"]
    assert (mixed["extractor"]["lane"], mixed["recommender"]["lane"]) == ("corrected", "published")
    assert not eligible([(Path("seed0.json"), decode(Record, mixed))]).entries
    assert "mixed" in said.out.lower()


def test_a_lane_that_an_extractor_lacks_is_refused_before_any_work(bench, small_world, tmp_path):
    words = ["--cache", tmp_path / "c", "--results", tmp_path / "r", "--lane", "published"]
    said = bench("run", "--extractor", "mfcc", "--model", "knn", *small_world, *words)
    assert said.code == 1
    assert "mfcc has no published lane; it has: corrected. Leave out --lane published" in said.err
    assert list(tmp_path.iterdir()) == []


def test_the_published_lane_with_vectors_from_a_file(again, records, world_folder, tmp_path):
    ids = sorted(path.stem for path in (world_folder / "audio").iterdir())
    np.save(tmp_path / "v.npy", np.random.default_rng(0).lognormal(size=(len(ids), 8)).astype(np.float32))
    (tmp_path / "v.ids.txt").write_text("\n".join(ids))
    spec = f"precomputed:path={tmp_path / 'v.npy'}"
    for lane in ("published", "corrected"):
        assert again("--lane", lane, "--reference", "mfcc", extractor=spec, folder=tmp_path / lane).code == 0
    published, corrected = records(tmp_path / "published"), records(tmp_path / "corrected")
    assert {content["lane"] for content in published.values()} == {"published"}
    assert published[spec, "knn", 0]["metrics"] != corrected[spec, "knn", 0]["metrics"]
    assert published["none", "popularity", 0]["metrics"] == corrected["none", "popularity", 0]["metrics"]
    assert "ild:mfcc@5" in published[spec, "knn", 0]["beyond"]["hot"]  # the yardstick has no lane


# -- tracks that fail -----------------------------------------------------------------------------------


def test_failed_tracks_are_listed_and_counted(again, own_audio, tmp_path, records):
    audio, _ = own_audio
    for name in ("t0004", "t0005", "t0006"):
        (audio / f"{name}.wav").write_text("broken")
    said = again("--audio", audio, folder=tmp_path / "r")
    assert said.code == 0
    assert "mfcc: 3 tracks without a vector" in said.err
    assert "t0005: not audio" in said.err
    content = records(tmp_path / "r")["mfcc", "knn", 0]
    assert content["extractor"]["coverage"] == pytest.approx(57 / 60)
    warnings = "\n".join(content["warnings"])
    assert "3 of 60 items have no vector" in warnings
    assert "cosine above" not in warnings  # the absent are not alike
    jsonschema.validate(content, SCHEMA)
    said = again("--audio", audio, "--max-failed", "2", folder=tmp_path / "r")
    assert said.code == 2
    assert "3 tracks failed, more than --max-failed 2" in said.out
    assert said.computed == []
    assert again("--audio", audio, "--max-failed", "3", folder=tmp_path / "r").code == 0


def test_when_every_track_fails_there_is_no_table(again, own_audio, tmp_path):
    audio, _ = own_audio
    for path in audio.iterdir():
        path.write_text("broken")
    said = again("--audio", audio, folder=tmp_path / "r")
    assert said.code == 1
    assert "mfcc: none of the 60 items has a vector" in said.err
    assert not list((tmp_path / "r").rglob("*.json"))


# -- what leaves nothing --------------------------------------------------------------------------------


def test_a_dry_run_writes_no_record(again, tmp_path):
    said = again("--dry-run", folder=tmp_path / "r")
    assert said.code == 0
    assert "to compute: mfcc x knn" in said.err
    assert said.computed == []
    assert said.out == ""
    assert not [path for path in (tmp_path / "r").rglob("*") if path.is_file()]


def test_quiet_prints_the_table_alone(again, base, tmp_path):
    said = again("--quiet", folder=tmp_path / "r")
    assert said.code == 0
    assert said.err == ""
    assert "popularity" in said.out


def test_a_half_written_record_is_no_record(again, bench, results):
    path = only(results, "/mfcc-")
    (path.parent / ".tmp-1-dead.json").write_text(path.read_text()[:100])
    said = bench("report", results)
    assert (said.code, said.err) == (0, "")
    assert ".tmp-" not in said.out
    only(results, "/popularity-").write_text("{}")
    said = bench("report", results)
    assert said.code == 0
    assert "left out: " in said.err
    assert "is not a result record" in said.err


def test_a_model_that_writes_into_its_table_is_stopped(small_world, base):
    class Rogue(Recommender):
        name = "rogue"

        def fit(self, train, items, *, valid, run):
            self.n_items = train.n_items
            items.vectors.flags.writeable = True
            items.vectors[0] = 1.0

        def score(self, users, items=None):
            return np.tile(np.arange(self.n_items, dtype=np.float32), (len(users), 1))

    words = dict(zip(small_world[::2], small_world[1::2], strict=True))
    data = Data(listens=words["--listens"], audio=words["--audio"], meta=words["--meta"])
    request = RecommendRequest(data=data, extractors=("mfcc",), models=("knn",), split=words["--split"], k=(5,))
    environment = Environment(base.cache, base.results, device="cpu")
    experiment = RecommendExperiment(request, environment, Ui(log=lambda line: None)).open()
    table = experiment.table(resolve("mfcc", treat="l2"), 0)
    with pytest.raises(BenchError, match="rogue changed its item table"):
        measure(
            Rogue(None), table, experiment.split, ks=[5], seed=0, device="cpu", reference=None, folder=None, log=print
        )
