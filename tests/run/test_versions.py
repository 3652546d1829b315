"""A record's key holds the version of each plugin, split, probe and metric: raise one, and only its cells go again."""

from dataclasses import replace

import pytest

import bench.metrics
import bench.treatments
from bench.metrics import BEYOND, METRICS, MIR, find
from bench.probes.presets import PROBES
from bench.registry import get, names
from bench.splits.temporal import GlobalTemporal
from bench.splits.untimed import ColdRandom, LeaveLastOut
from bench.testing import task_fixtures

ALL = ["mfcc x knn", "random x knn", "shuffled:of=mfcc x knn", "none x popularity", "none x random"]


@pytest.fixture(scope="module")
def ran(bench, small_world, tmp_path_factory):
    """A run and a probe of several cells each, and the words that repeat them."""
    folder = tmp_path_factory.mktemp("versions")
    place = ["--cache", folder / "cache", "--results", folder / "results", "--device", "cpu"]
    run = ["run", "--extractor", "mfcc", "--model", "knn", *small_world, "--k", "5", *place]
    for name in ("gtzan", "giantsteps"):
        task_fixtures.write(name, folder / "mir" / name)
    probe = ["probe", "--extractor", "mfcc", "--task", "gtzan,giantsteps:seconds=0.5", "--probe", "knn"]
    probe += ["--root", folder / "mir", "--no-controls", *place]
    for words in (run, probe):
        said = bench(*words)
        assert said.code == 0, said.err
        assert bench(*words).computed == []
    return run, probe


def todo(bench, words):
    """Return the cells that the plan names to compute, controls included."""
    said = bench(*words, "--dry-run")
    assert said.code == 0, said.err
    lines = [line for line in said.err.splitlines() if line.startswith(("to compute: ", "controls: "))]
    return sorted(cell for line in lines for cell in line.partition(": ")[2].split(", "))


@pytest.mark.parametrize(
    ("kind", "name", "cells"),
    [
        ("recommenders", "knn", ["mfcc x knn", "random x knn", "shuffled:of=mfcc x knn"]),
        ("recommenders", "popularity", ["none x popularity"]),
        ("extractors", "random", ["random x knn"]),
        ("extractors", "shuffled", ["shuffled:of=mfcc x knn"]),
    ],
)
def test_a_raised_plugin_recomputes_its_own_cells(bench, ran, monkeypatch, kind, name, cells):
    run, _ = ran
    monkeypatch.setattr(get(kind, name), "version", "99")
    assert todo(bench, run) == sorted(cells)


def test_a_raised_split_recomputes_its_cells(bench, ran, monkeypatch):
    run, probe = ran
    monkeypatch.setattr(LeaveLastOut, "version", "99")
    assert todo(bench, run) == []
    monkeypatch.setattr(GlobalTemporal, "version", "99")
    assert todo(bench, run) == sorted(ALL)
    assert todo(bench, probe) == []


def test_a_raised_metric_recomputes_what_is_measured_by_it(bench, ran, monkeypatch):
    run, probe = ran
    monkeypatch.setitem(MIR, "weighted", replace(MIR["weighted"], version="2"))
    assert todo(bench, run) == []
    assert todo(bench, probe) == ["giantsteps:seconds=0.5: mfcc x knn"]
    monkeypatch.setitem(BEYOND, "gini", replace(BEYOND["gini"], version="2"))
    assert todo(bench, run) == sorted(ALL)


def test_a_raised_task_or_probe_recomputes_its_cells(bench, ran, monkeypatch):
    run, probe = ran
    with monkeypatch.context() as patched:
        patched.setattr(get("tasks", "gtzan"), "version", "99")
        assert todo(bench, probe) == ["gtzan: mfcc x knn"]
    monkeypatch.setattr(PROBES["knn"][0], "version", "other")
    assert len(todo(bench, probe)) == 2
    assert todo(bench, run) == []


def test_the_version_of_the_package_recomputes_nothing(bench, ran, monkeypatch):
    monkeypatch.setattr("bench.__version__", "99")
    assert [todo(bench, words) for words in ran] == [[], []]


def test_everything_that_makes_numbers_has_a_version():
    for kind in ("extractors", "recommenders", "tasks", "datasets"):
        for name in names(kind):
            assert get(kind, name).version.isdigit()
    assert all(cls.version.isdigit() for cls, _ in PROBES.values())
    assert all(cls().version.isdigit() for cls in (GlobalTemporal, ColdRandom, LeaveLastOut))
    assert all(find(f"{name}@5").version for name in METRICS)
    assert bench.treatments.VERSION
