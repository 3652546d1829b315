"""Texts beside tracks: a plugin whose vectors of texts are planted, from the command line to the record."""

import json
import sys
import types
from importlib.metadata import EntryPoint

import numpy as np
import polars as pl
import pytest

from bench import registry
from bench.errors import BenchError
from bench.protocols import TextTower
from bench.resolver import Resolver
from bench.run.options import Data
from bench.run.probe.request import ProbeRequest, resolve
from bench.run.text_vectors import check_text_space, text_vectors
from bench_extractors.mfcc import MFCC

WIDTH = 13


class Planted(MFCC, TextTower):
    """MFCC's vectors under two layers; each sentence has a random unit vector that depends on its letters alone."""

    name = "planted"
    text_layer = "joint"
    pooling = "mean"

    def __init__(self, settings):
        super().__init__(settings)
        self.layers = {"low": settings.n_mfcc, "joint": settings.n_mfcc}

    def frames(self, waves):
        ((_, found),) = super().frames(waves)
        yield "low", -found
        yield "joint", found

    def texts(self, texts):
        return np.stack([vector(text) for text in texts])


def vector(text):
    found = np.random.default_rng(list(text.encode())).standard_normal(WIDTH).astype(np.float32)
    return found / np.linalg.norm(found)


@pytest.fixture
def planted(monkeypatch):
    module = types.ModuleType("planted_of_a_test")
    module.Planted = Planted
    monkeypatch.setitem(sys.modules, module.__name__, module)
    real = registry.entry_points

    def points(group):
        more = [EntryPoint("planted", "planted_of_a_test:Planted", group)] if group == "bench.extractors" else []
        return [*real(group=group), *more]

    monkeypatch.setattr(registry, "entry_points", points)
    registry._points.cache_clear()
    yield
    registry._points.cache_clear()


TAGS = ("sad", "loud guitar")


@pytest.fixture
def world(world_folder, tmp_path):
    """Command-line words of a world in which each track has an artist of its own, a part and tags."""
    ids = pl.read_parquet(world_folder / "tracks.parquet").select("track_id")
    row = pl.int_range(pl.len())
    tags = pl.when(row % 4 < 2).then(pl.lit(TAGS[0])).otherwise(pl.lit(TAGS[1]))
    parts = pl.Series(["train", "valid", "test"] * (len(ids) // 3))
    key = pl.when(row % 4 < 2).then(pl.lit("C major")).otherwise(pl.lit("A minor"))
    ids.with_columns(artist="track_id", tags=tags, part=parts, key=key).write_parquet(tmp_path / "tracks.parquet")
    files = ["--listens", world_folder / "plays.csv", "--audio", world_folder / "audio"]
    return [*files, "--meta", tmp_path / "tracks.parquet", "--cache", tmp_path / "cache", "--device", "cpu"]


def test_scores_are_cosines_with_the_prompt(planted, bench, world, tmp_path):
    words = ["--extractor", "planted", "--task", "catalog-tags", "--probe", "zero-shot:prompt=A {} song"]
    said = bench("probe", *words, *world, "--results", tmp_path / "results")
    assert said.code == 0, said.err
    records = [json.loads(path.read_text()) for path in (tmp_path / "results").rglob("seed*.json")]
    by_spec = {record["extractor"]["spec"]: record for record in records}
    assert set(by_spec) == {"planted", "shuffled:of=planted"}
    record = by_spec["planted"]
    assert record["split"]["counts"]["used"] == {"train": 0, "test": 20}
    assert record["recommender"]["chosen"] == {"probe": "zero-shot", "prompt": "A {} song", "trained": False}
    (path,) = [one for one in (tmp_path / "results").rglob("*.parquet") if "shuffled" not in str(one)]
    answers = pl.read_parquet(path)
    truth, scores = (np.asarray(answers[name].to_list()) for name in ("truth", "prediction"))
    above = [(s[t][:, None] > s[~t][None]).mean() for t, s in zip(truth.T, scores.T, strict=True)]
    assert record["metrics"]["test"]["roc_auc"] == pytest.approx(np.mean(above))
    # The other command prints the same cosines.
    found = []
    for tag in TAGS:
        near = bench("similar", "--text", f"A {tag} song", "--extractor", "planted", "--k", "60", *world)
        assert near.code == 0, near.err
        rows = [line.replace("│", " ").split() for line in near.out.splitlines()]
        cosines = {row[1]: float(row[-1]) for row in rows if row and row[0].isdigit()}
        found.append([cosines[one] for one in answers["track_id"]])
    np.testing.assert_allclose(sorted(found), sorted(scores.T.tolist()), atol=1e-4)


def test_new_weights_of_the_text_tower_make_a_record_anew(planted, bench, world, tmp_path, monkeypatch):
    words = ["--extractor", "planted", "--task", "catalog-tags", "--probe", "zero-shot,knn", *world]

    def hashes():
        assert bench("probe", *words, "--results", tmp_path / "results").code == 0
        records = [json.loads(path.read_text()) for path in (tmp_path / "results").rglob("seed*.json")]
        return {(one["recommender"]["name"], one["control"]): one["inputs_sha256"] for one in records}

    monkeypatch.setattr(Planted, "text_fingerprint", lambda self: "first")
    first = hashes()
    monkeypatch.setattr(Planted, "text_fingerprint", lambda self: "second")
    changed = {key for key, value in hashes().items() if value != first[key]}
    assert changed == {("zero-shot", False), ("zero-shot", True)}


def test_only_the_layer_of_texts_is_compared(planted):
    resolver = Resolver()
    check_text_space(resolver.extractor("planted"))
    for spec in ("planted:layer=low", "planted+mfcc", "mfcc"):
        with pytest.raises(BenchError):
            text_vectors(resolver.extractor(spec), ["piano"])
    np.testing.assert_array_equal(
        text_vectors(resolver.extractor("planted"), ["sad"], "a {} song"), [vector("a sad song")]
    )
    with pytest.raises(BenchError, match="no words"):
        text_vectors(resolver.extractor("planted"), [" "])


@pytest.mark.parametrize(
    ("extractor", "changes"),
    [("mfcc", {}), ("planted:layer=low", {}), ("planted", {"treat": "l2"}), ("planted", {"layers": True})],
)
def test_vectors_without_texts_are_refused(planted, extractor, changes):
    request = {"data": Data(), "extractors": (extractor,), "tasks": ("catalog-tags",), "probes": ("zero-shot",)}
    with pytest.raises(BenchError):
        resolve(ProbeRequest(**request, **changes))
    resolve(ProbeRequest(**request | {"extractors": ("planted",)}))


def test_labels_that_are_no_words_are_refused(planted, bench, world):
    said = bench("probe", "--extractor", "planted", "--task", "catalog-key", "--probe", "zero-shot", *world)
    assert said.code == 1
    assert "no words" in said.err
