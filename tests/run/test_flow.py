"""A request is resolved once: each plugin is made once for an entry, and one that is not needed loads nothing."""

from collections import Counter

import pytest

from bench import registry
from bench.resolver import Resolver
from bench.run.options import Data, Environment
from bench.run.probe.experiment import ProbeExperiment
from bench.run.probe.request import ProbeRequest
from bench.run.progress import Ui
from bench.run.recommend.experiment import RecommendExperiment
from bench.run.recommend.request import RecommendRequest

QUIET = Ui(log=lambda line: None)


@pytest.fixture
def made(monkeypatch):
    """Counts the plugins that are made, by kind and settings, and what is loaded."""
    count = Counter()
    real = registry.get

    def counting(kind, name):
        plugin = real(kind, name)

        class Counted(plugin):
            def __init__(self, settings):
                super().__init__(settings)
                count[kind, name, str(settings)] += 1

            def load(self, device, dtype):
                count["loaded"] += 1
                super().load(device, dtype)

        Counted.__name__ = plugin.__name__
        return Counted if kind in ("extractors", "recommenders", "tasks") else plugin

    monkeypatch.setattr(registry, "get", counting)
    return count


@pytest.fixture
def asked(base, small_world):
    words = dict(zip(small_world[::2], small_world[1::2], strict=True))
    return {
        "data": Data(listens=words["--listens"], audio=words["--audio"], meta=words["--meta"]),
        "extractors": ("mfcc", "mfcc+random:dim=8"),
        "seeds": (0, 1),
    }, words["--split"]


def test_each_plugin_of_a_run_is_made_once(made, asked, base, tmp_path):
    common, split = asked
    request = RecommendRequest(**common, models=("knn", "knn:profile=max"), split=split, k=(5,))
    place = Environment(base.cache, tmp_path / "results", device="cpu")
    RecommendExperiment(request, place, QUIET)
    assert not made  # constructing an experiment is cheap
    first = RecommendExperiment(request, place, QUIET).open()
    assert first.plan() == list(first.cells)
    assert len(first.do().records) == len(first.cells) > 10
    assert set(made.values()) == {1}  # mfcc: an entry, part of a sum, behind shuffled rows, and the yardstick
    made.clear()
    again = RecommendExperiment(request, place, QUIET).open()
    assert again.plan() == []
    assert again.do().computed == 0
    assert set(made.values()) == {1}
    assert "loaded" not in made


def test_each_plugin_of_a_probing_is_made_once(made, asked, base, tmp_path):
    common, _ = asked
    request = ProbeRequest(**common, tasks=("catalog-genre:least=2,valid=0.4", "links:listeners=2"), probes=("knn",))
    place = Environment(base.cache, tmp_path / "results", device="cpu")
    done = ProbeExperiment(request, place, QUIET).open().do()
    assert done.computed == len(done.records) > 10
    assert made.pop("loaded", 1) == 1  # the sixtieth track was never played, and is asked about
    assert set(made.values()) == {1}
    made.clear()
    assert ProbeExperiment(request, place, QUIET).open().do().computed == 0
    assert set(made.values()) == {1}
    assert "loaded" not in made


def test_spellings_of_one_setting_share_a_plugin():
    resolver = Resolver()
    plain, spelt = resolver.extractor("mfcc"), resolver.extractor("mfcc:lane=corrected")
    assert plain.components[0].plugin is spelt.components[0].plugin
    assert resolver.extractor("shuffled:of=mfcc").audio == plain.audio
    assert resolver.extractor("mfcc") is plain
    assert resolver.extractor("mfcc:n_mfcc=20").audio != plain.audio
