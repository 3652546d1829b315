import subprocess
import sys
import types
from importlib.metadata import EntryPoint
from typing import ClassVar

import pytest

from bench import registry
from bench.errors import BenchError
from bench.protocols import Dataset, Engine, Extractor, Recommender, TableSource, Task, Window


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(BenchError, match="Did you mean 'mfcc'"):
        registry.get("extractors", "mfc")


def test_origin_names_the_distribution():
    assert registry.origin("extractors", "mfcc").package == "music-embedding-bench"


def test_every_builtin_plugin_loads():
    for kind in registry.KINDS:
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


# -- a plugin that lacks something says so when it is made --------------------------------------------------


class Sound:
    """What makes a class of each kind complete: methods (never called) and declarations."""

    METHODS: ClassVar = {
        "extractors": (Extractor, ("fingerprint", "load", "frames")),
        "tables": (TableSource, ("fingerprint", "present", "table")),
        "recommenders": (Recommender, ("fit", "score")),
        "tasks": (Task, ("prepare", "read", "evaluate")),
        "datasets": (Dataset, ("prepare", "listens", "fingerprint")),
        "engines": (Engine, ("map",)),
    }
    DECLARED: ClassVar = {
        "extractors": {"name": "mine", "sample_rate": 8_000, "layers": {"one": 4}, "window": Window(length=None)},
        "tables": {"name": "mine"},
        "recommenders": {"name": "mine"},
        "tasks": {"name": "mine", "kind": "tags", "primary": "roc_auc"},
        "datasets": {"name": "mine", "default_split": "global_temporal", "default_k": 10},
        "engines": {"name": "mine"},
    }


def offer(fresh, kind, /, **changes):
    """Install a plugin called `mine`, sound but for `changes`: None leaves a method or a declaration out."""
    base, methods = Sound.METHODS[kind]
    body = {name: lambda self, *_: None for name in methods} | Sound.DECLARED[kind] | changes
    module = types.ModuleType("mine_of_a_test")
    module.Mine = type("Mine", (base,), {name: value for name, value in body.items() if value is not None})
    fresh.setitem(sys.modules, module.__name__, module)
    fresh.setattr(registry, "entry_points", points(("mine", "mine_of_a_test:Mine")))
    registry._points.cache_clear()
    return "extractors" if kind == "tables" else kind


@pytest.mark.parametrize("kind", Sound.METHODS)
def test_a_plugin_that_lacks_nothing_is_made(fresh, kind):
    assert registry.create(offer(fresh, kind), "mine").version == "1"


@pytest.mark.parametrize(("kind", "name"), [(k, name) for k, (_, names) in Sound.METHODS.items() for name in names])
def test_an_unwritten_method_is_named_with_its_signature(fresh, kind, name):
    offered = offer(fresh, kind, **{name: None})
    with pytest.raises(BenchError, match=rf"'mine' .* lacks {name}\..* def {name}\(self"):
        registry.create(offered, "mine")
    (entry,) = registry.catalog(offered)  # `bench ls` and `bench doctor` say so, too
    assert entry.plugin is None
    assert name in entry.error


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, all_ in Sound.DECLARED.items() for name in all_])
def test_a_missing_declaration_is_named_with_an_example(fresh, kind, name):
    offered = offer(fresh, kind, **{name: None})
    with pytest.raises(BenchError, match=rf"Mine does not declare {name}\..*: {name} = "):
        registry.create(offered, "mine")


def test_everything_that_lacks_is_named_at_once(fresh):
    kind = offer(fresh, "extractors", load=None, frames=None)
    with pytest.raises(BenchError, match="lacks frames and load"):
        registry.create(kind, "mine")
    kind = offer(fresh, "extractors", name=None, layers=None, window=None)
    with pytest.raises(BenchError, match="does not declare name, layers and window"):
        registry.create(kind, "mine")


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, all_ in Sound.DECLARED.items() for name in all_])
def test_declarations_can_be_made_by_the_instance(fresh, kind, name):
    base, _ = Sound.METHODS[kind]

    def init(self, settings):
        base.__init__(self, settings)
        setattr(self, name, Sound.DECLARED[kind][name])

    made = registry.create(offer(fresh, kind, **{name: None, "__init__": init}), "mine")
    assert getattr(made, name) == Sound.DECLARED[kind][name]


@pytest.mark.parametrize("kind", Sound.METHODS)
def test_settings_must_be_a_dataclass_and_be_taken(fresh, kind):
    with pytest.raises(BenchError, match=r"Settings of .* is no dataclass"):
        registry.create(offer(fresh, kind, Settings=dict), "mine")
    with pytest.raises(BenchError, match=r"Mine takes no settings .* def __init__\(self, settings\)"):
        registry.create(offer(fresh, kind, __init__=lambda self: None), "mine")


@pytest.mark.parametrize("kind", registry.KINDS)
@pytest.mark.parametrize("thing", ["Alike", "function"])
def test_what_inherits_from_no_contract_is_refused(fresh, kind, thing):
    module = types.ModuleType("mine_of_a_test")
    module.Alike, module.function = type("Alike", (), {"name": "mine"}), len
    fresh.setitem(sys.modules, module.__name__, module)
    fresh.setattr(registry, "entry_points", points(("mine", f"mine_of_a_test:{thing}")))
    with pytest.raises(BenchError, match=f"does not inherit from {registry.BASES[kind][0].__name__}"):
        registry.create(kind, "mine")
