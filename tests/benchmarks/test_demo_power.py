"""The demo can tell what it was made to tell: the true order of vectors, and what each of them knows."""

import importlib
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from bench import weights
from bench.datasets.demo import Demo
from bench.registry import get
from bench.synthetic import WorldSize

FOLDER = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(FOLDER))
try:
    power = importlib.import_module("demo_power")
finally:
    sys.path.remove(str(FOLDER))

ORDER = ("planted", "MusiCNN", "MFCC", "shuffled MFCC")


@pytest.fixture
def cache(real_cache, tmp_path, monkeypatch):
    """An empty cache with MusiCNN's trained weights."""
    if real_cache is not None:
        monkeypatch.setenv("BENCH_CACHE", str(real_cache))
    found = weights.folder(get("extractors", "musicnn").weights[0])
    shutil.copytree(found, tmp_path / "cache" / "weights" / found.name)
    return tmp_path / "cache"


def in_order(found):
    for where in ("hot", "cold"):
        values = [found.ndcg[where, row] for row in ORDER]
        assert values == sorted(values, reverse=True), where
    assert found.ndcg["hot", "MusiCNN"] > found.ndcg["hot", "popularity"]
    assert found.accuracy["MusiCNN", "attack"] > 0.95


def test_a_small_world_has_the_order_that_was_planted(cache, tmp_path, monkeypatch):
    """A third of the audio of the demo; few hot tracks, so that not all pairs are told apart there."""
    size = WorldSize(tracks=300, artists=100, cold=120, seconds=3.0, listeners=1_000, plays=144_000, seed=2019)
    monkeypatch.setattr(Demo, "size", size)
    found = power.measure("demo", cache, tmp_path)
    in_order(found)
    for _, a, b in (key for key in found.p if key[0] == "cold"):
        assert found.p["cold", a, b] < 0.02, (a, b)
    assert found.p["hot", "MusiCNN", "MFCC"] < 0.01
    for key in (("MFCC", "attack"), ("MFCC", "scene"), ("MusiCNN", "scene")):
        assert abs(found.accuracy[key] - 0.5) < 0.15, key


@pytest.mark.slow
def test_five_worlds_tell_apart_what_was_planted(cache, tmp_path):
    worlds = []
    for data in ("demo", *(f"demo:seed={seed}" for seed in (1, 2, 3, 4))):
        folder = tmp_path / data.replace(":", "-")
        folder.mkdir()
        found = power.measure(data, cache, folder)
        worlds.append(found)
        in_order(found)
        assert len(found.p) == 2 * len(power.PAIRS) - 1  # popularity ranks no cold tracks
        assert max(found.p.values()) < 0.01, data
    for key in (("MFCC", "attack"), ("MFCC", "scene"), ("MusiCNN", "scene")):
        # 120 artists: the standard deviation of one world is about .04. Attack and scene are balanced over all artists,
        # so that those of nine tenths say the opposite of the last tenth: means are a little below .5.
        assert 0.42 < np.mean([one.accuracy[key] for one in worlds]) < 0.55, key
