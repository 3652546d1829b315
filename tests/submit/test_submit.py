"""Records are checked before they are published, and hold no paths of a machine afterwards."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.cli import main
from bench.records import layout, read, read_all
from bench.records.codec import encode
from bench.records.reading import content_sha256
from bench.submit.check import problems
from bench.submit.publish import portable, published

RESULTS = Path(__file__).parents[2] / "results"


def cells(name):
    return sorted((RESULTS / "lastfm-2k").rglob(f"{name}-*/**/seed0.json"))


@pytest.fixture
def copied(tmp_path):
    """A copy of one published record with the file beside it."""
    path = cells("precomputed")[0]
    folder = tmp_path / "mine"
    folder.mkdir()
    for file in path.parent.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder / path.name


def rehashed(path, change):
    """Write a changed record with a content hash that fits."""
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    content["content_sha256"] = content_sha256(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    return read(path)


def test_what_is_published_passes(capsys):
    assert main(["submit", "--check", str(RESULTS)]) == 0


def test_one_altered_digit_is_refused(copied, tmp_path):
    text = copied.read_text(encoding="utf-8")
    value = str(read(copied).metrics["cold"]["ndcg@10"])
    digit = "7" if value[5] != "7" else "3"
    copied.write_text(text.replace(value, value[:5] + digit + value[6:], 1), encoding="utf-8")
    assert main(["submit", str(copied), "--out", str(tmp_path / "out"), "--trained-on", "nothing"]) == 1
    assert not (tmp_path / "out").exists()


def test_an_altered_digit_with_a_hash_that_fits_is_refused_by_the_values_of_the_users(copied):
    record = rehashed(copied, lambda content: content["metrics"]["cold"].update({"ndcg@10": 0.1998}))
    (problem,) = problems(copied, record, trained_on="nothing")
    assert "0.1998" in problem.why
    assert problem.remedy


def test_missing_values_and_undeclared_training_are_refused(copied):
    assert len(problems(copied, read(copied))) == 1
    copied.with_suffix(".users.parquet").unlink()
    assert len(problems(copied, read(copied))) == 2


def test_another_split_under_the_same_settings_is_refused(copied):
    record = read(copied)
    other = replace(record, split=replace(record.split, fingerprint="0" * 64))
    assert problems(copied, record, [(copied, record)], trained_on="nothing") == []
    assert len(problems(copied, record, [(copied, other)], trained_on="nothing")) == 1


def test_random_training_needs_three_seeds(copied):
    record = read(copied)
    record = replace(record, recommender=replace(record.recommender, deterministic=False))
    seeds = [(copied, replace(record, seed=seed)) for seed in range(3)]
    assert len(problems(copied, record, seeds[:2], trained_on="nothing")) == 1
    assert problems(copied, record, seeds, trained_on="nothing") == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/home/me/vectors.parquet", "vectors.parquet"),
        ("precomputed:path=/home/me/vectors.parquet", "precomputed:path=vectors.parquet"),
        ("shuffled:of=precomputed:path=~/a b/v.npy", "shuffled:of=precomputed:path=a b/v.npy"),
        (r"C:\Users\me\v.npy", "v.npy"),
        ("see https://example.org/a/b.html, and/or 1/2", "see https://example.org/a/b.html, and/or 1/2"),
        ("mfcc:n=20", "mfcc:n=20"),
    ],
)
def test_paths_are_reduced_to_names(given, expected):
    assert portable({"a": [given]}) == {"a": [expected]}


def test_a_published_record_is_published_unchanged():
    path = cells("precomputed")[0]
    assert layout(published(read(path))) == path.read_text(encoding="utf-8")


def test_ranks_of_unfree_data_are_not_published():
    for _, record in read_all(RESULTS / "lastfm-2k"):
        assert record.ranks is None
        assert "/" not in str(encode(record.asked["data"]))
    assert not list((RESULTS / "lastfm-2k").rglob("*.ranks.parquet"))


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release")
    told = ["--benchmark", "owner/name", "--url", "https://example.org/results"]
    assert main(["submit", str(RESULTS / "lastfm-2k"), "--export", str(folder), *told]) == 0
    return folder


def test_eval_results_hold_the_main_metric_of_every_fold(release):
    yaml = pytest.importorskip("yaml")
    (file,) = (release / "eval_results").iterdir()
    entries = yaml.safe_load(file.read_text(encoding="utf-8"))
    expected = [read(path).metrics[where]["ndcg@10"] for path in cells("precomputed") for where in ("cold", "mixed")]
    assert sorted(entry["value"] for entry in entries) == sorted(expected)
    assert {entry["dataset"]["id"] for entry in entries} == {"owner/name"}


def test_a_log_of_every_eval_ever_for_each_record(release):
    files = sorted((release / "every_eval_ever").iterdir())
    assert len(files) == len(list(read_all(RESULTS / "lastfm-2k")))
    for file in files:
        log = json.loads(file.read_text(encoding="utf-8"))
        assert {"schema_version", "evaluation_id", "retrieved_timestamp", "source_metadata"} <= log.keys()
        for result in log["evaluation_results"]:
            config = result["metric_config"]
            assert config["min_score"] <= result["score_details"]["score"] <= config["max_score"]


def test_croissant_is_valid_and_reads_the_numbers(release):
    croissant = pytest.importorskip("mlcroissant")
    data = croissant.Dataset(str(release / "croissant.json"))
    assert not data.metadata.ctx.issues.errors
    rows = list(data.records("results"))
    assert len(rows) == sum(len(m) for _, r in read_all(RESULTS / "lastfm-2k") for m in r.metrics.values())
    assert len(list(data.records("splits"))) == 5
