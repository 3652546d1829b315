import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from bench import registry
from bench.errors import BenchError


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(BenchError, match="Did you mean 'mfcc'"):
        registry.get("extractors", "mfc")


def test_origin_names_the_distribution():
    assert registry.origin("extractors", "mfcc").package == "music-embedding-bench"


def test_every_builtin_plugin_loads():
    for kind in ("extractors", "recommenders", "datasets", "engines"):
        assert [entry for entry in registry.catalog(kind) if entry.error] == []


def points(*pairs):
    return lambda group: [EntryPoint(name, target, group) for name, target in pairs]


@pytest.fixture
def fresh(monkeypatch):
    registry._points.cache_clear()
    yield monkeypatch
    registry._points.cache_clear()


def test_a_broken_plugin_is_a_row(fresh):
    fresh.setattr(registry, "entry_points", points(("bad", "no_such_module:Thing")))
    (entry,) = registry.catalog("extractors")
    assert entry.plugin is None
    assert "no_such_module" in entry.error


def test_two_packages_with_one_name_are_an_error(fresh):
    fresh.setattr(registry, "entry_points", points(("x", "a:B"), ("x", "c:D")))
    with pytest.raises(BenchError, match="claimed by"):
        registry.get("extractors", "x")
    assert "claimed" in registry.catalog("extractors")[0].error


def test_a_lane_a_plugin_does_not_have_is_refused():
    with pytest.raises(BenchError, match="no published lane"):
        registry.create("extractors", "mfcc", lane="published")
    with pytest.raises(BenchError, match="not one of"):
        registry.create("recommenders", "knn:lane=paper")


def test_the_lane_reaches_the_settings():
    knn = registry.create("recommenders", "knn", lane="published")
    assert knn.settings.lane == "published"
    assert registry.lane_of(knn) == "published"


@pytest.mark.parametrize("verb", [["ls"], ["doctor"], ["--help"], ["report", "no-such-folder"], ["run", "--help"]])
def test_light_verbs_never_import_torch(verb):
    code = (
        "import sys; from bench.cli import main\n"
        f"try: main({verb!r})\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'pandas'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
