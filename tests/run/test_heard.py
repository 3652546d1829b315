"""Models of ours: refused where they are tested on tracks, or on listening, that they were trained on."""

import json
import math
import re

import polars as pl
import pytest

from bench.errors import BenchError
from bench.holdout import hold_out
from bench.listening.log_dataset import FileDataset
from bench.protocols import Heard
from bench.registry import create, get

TASK = "catalog-genre:least=2,valid=0.4"


@pytest.fixture
def hear(monkeypatch, tmp_path):
    """Say which tracks `mfcc` was trained on."""

    def of(ids, *, data="plays", cutoff="2020-02-20", signals=("listens",)):
        path = tmp_path / "model.tracks.parquet"
        heard = Heard.write(path, ids, data=data, cutoff=cutoff, signals=signals)
        monkeypatch.setattr(get("extractors", "mfcc"), "heard", (heard,))
        return heard

    return of


@pytest.fixture
def data(world_folder, base, tmp_path):
    """The words that name data and folders without the split, and all and held-out ids."""
    dataset = FileDataset(world_folder / "plays.csv", None, world_folder / "tracks.parquet")
    meta = pl.read_parquet(world_folder / "tracks.parquet")
    files = pl.DataFrame({"track_id": meta["track_id"]}).with_columns(
        path=pl.format(str(world_folder / "audio" / "{}.wav"), "track_id"),
        offset=pl.lit(None, pl.Float64),
        duration=pl.lit(None, pl.Float64),
    )
    held = hold_out(dataset, world_folder, tmp_path, catalog=files).held
    words = [word for word in base.words if not word.startswith("global_temporal") and word != "--split"]
    return [*words, "--results", str(tmp_path / "results")], set(meta["track_id"].to_list()), held


def test_a_probe_of_heard_tracks_is_refused_and_one_of_held_out_tracks_is_made(bench, data, hear, tmp_path):
    words, ids, held = data
    words = [word for word in words if word not in ("--k", "5")]
    probe = ("probe", "--extractor", "mfcc", "--task", TASK, "--probe", "knn", "--no-controls", *words)
    known = sorted(held)[:2]
    hear({*(ids - held), *known})
    said = bench(*probe)
    assert said.code == 1
    assert re.search(rf"mfcc was trained on 2 of \d+ tested tracks, such as '{known[0]}'", said.err)
    said = bench(*probe, "--allow-leaks")
    assert said.code == 0
    (path,) = (tmp_path / "results").rglob("seed*.json")
    record = json.loads(path.read_text())
    tested = record["split"]["counts"]["items"]["test"]
    assert record["extractor"]["heard_share"] == 2 / tested
    assert f"{math.ceil(2_000 / tested) / 10:.1f} %" in said.out
    path.unlink()
    heard = hear(ids - held)
    said = bench(*probe)
    assert said.code == 0, said.err
    (path,) = (tmp_path / "results").rglob("seed*.json")
    record = json.loads(path.read_text())
    listed = {"data": "plays", "cutoff": "2020-02-20", "signals": ["listens"], "tracks_sha256": heard.sha256}
    assert record["extractor"]["heard"] == [listed]
    assert not any("trained on" in text for text in record["warnings"])
    assert record["extractor"]["heard_share"] == 0
    hear(ids, data="other")  # the ids of another data set say nothing
    assert bench(*probe).code == 0


def test_exported_vectors_say_what_their_model_heard(bench, data, hear, tmp_path):
    words, ids, held = data
    known = sorted(held)[:2]
    heard = hear({*(ids - held), *known})
    out, folder = tmp_path / "vectors.tsv", tmp_path / "moved"
    folder.mkdir()
    cuts = ("--k", "5", "--results", str(tmp_path / "results"))
    words = [word for word in words if word not in cuts]
    assert bench("export", "--extractor", "mfcc", "--out", out, *words).code == 0
    for path in tmp_path.glob("vectors.tsv*"):
        path.rename(folder / path.name)
    spec = f"precomputed:path=({folder / out.name})"
    (again,) = create("extractors", spec).heard
    assert (again.ids, again.data, again.cutoff, again.sha256) == (heard.ids, "plays", "2020-02-20", heard.sha256)
    probe = ("probe", "--extractor", spec, "--task", TASK, "--probe", "knn", "--no-controls", *words)
    said = bench(*probe, "--results", tmp_path / "results")
    assert said.code == 1
    assert re.search(r"was trained on 2 of \d+ tested tracks", said.err)
    with open(folder / out.name, "a") as file:  # other vectors
        file.write("x" + "\t0" * 104 + "\n")
    with pytest.raises(BenchError, match="another sha256"):
        create("extractors", spec)


def test_cold_tracks_and_the_future_must_be_unheard(bench, data, hear, tmp_path):
    words, ids, _ = data
    run = ("run", "--extractor", "mfcc", "--model", "knn", "--no-controls", *words, "--split")
    temporal = "global_temporal:cut=2020-02-20,start=2019-02-20,end=2020-03-21"
    hear(ids)
    said = bench(*run, "cold_random:folds=5,share=0.1")
    assert said.code == 1
    assert "Cold tracks must be new to it" in said.err
    said = bench(*run, temporal)
    assert said.code == 1
    assert "Cold tracks must be new to it" in said.err
    for cutoff, reason in (("2020-02-21", "plays until 2020-02-21"), (None, "it has no cut-off")):
        hear([], cutoff=cutoff)
        said = bench(*run, temporal)
        assert said.code == 1
        assert reason in said.err
    hear([])
    said = bench(*run, temporal)
    assert said.code == 0
    assert "Heard" in said.out
    said = bench(*run, "leave_last_out")
    assert said.code == 1
    assert "the last track of every listener" in said.err
    hear([], cutoff=None, signals=["tags"])
    for split in ("leave_last_out", "cold_random:folds=5,share=0.1", temporal):
        assert bench(*run, split).code == 0
    plays = pl.read_csv(words[words.index("--listens") + 1])
    old = plays.filter(pl.col("time") < 1_582_156_800 - 30 * 86_400)["item"].unique()
    hear(old.to_list(), cutoff=None, signals=["tags"])  # hot tracks alone may be heard
    results = tmp_path / "heard"
    assert bench(*run, temporal, "--results", results).code == 0
    (path,) = results.rglob("seed*.json")
    assert 0 < json.loads(path.read_text())["extractor"]["heard_share"] < 1
