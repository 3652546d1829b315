"""Figures: what has points is drawn, names stand beside them, and the same records give the same bytes."""

import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from bench.report.format import MAIN
from bench.report.plots import absent, draw
from bench.report.plots.labels import both, spread_out
from bench.report.plots.plot import _DARK, INK
from bench.report.report import report
from bench.report.writers import html

pytest.importorskip("matplotlib")


@pytest.fixture
def full(results):
    for at, name in enumerate(("a", "b", "c", "d")):
        results.add(name, level=0.1 + at / 10, cost={"extract_s_per_1000": 10.0**at})
        for layer in ("1", "2", "10"):
            results.probe(name, value=0.5 + at / 10 + int(layer) / 100, layer=layer)
        results.probe(name, value=0.5 + at / 10)
    for seed in (0, 1):
        results.add("a", "net", level=0.2 + seed / 10, seed=seed, deterministic=False)
    results.add("none", "popularity", level=0.1, control=True)
    return results


def test_every_kind_of_figure_is_drawn_once_per_lane(full):
    made = report(full.read())
    plots = made.plots()
    names = [plot.name for plot in plots]
    assert [name.partition("-")[0] for name in names] == ["versus", "versus", "curves", "seeds", "cost", "layers"]
    assert len(set(names)) == len(names)
    for plot in plots:
        assert plot.png.startswith(b"\x89PNG")
        root = ET.fromstring(plot.svg)
        assert root.tag.endswith("svg")
        assert plot.alt
        assert plot.title
    again = {plot.name: plot for plot in report(full.read()).plots()}
    assert all(again[plot.name] == plot for plot in plots)
    text = html.page("Results", made.boards, made.chapters, plots, metrics=MAIN)
    assert text.count('<img src="data:image/svg+xml;base64,') == len(plots)


def test_figures_change_their_ink_on_a_dark_page(full):
    made = report(full.read())
    (plot,) = [p for p in made.plots() if p.name.startswith("seeds")]
    assert f"fill: {INK}" in plot.svg
    assert f'[style*="fill: {INK}"]{{fill:{_DARK[INK]}!important}}' in plot.svg


def test_nothing_is_drawn_without_points(results):
    assert draw([]) == []
    results.add(k=(10,), cost={})
    assert report(results.read()).plots() == []


def test_labels_keep_their_distance_and_order():
    places = spread_out([0.5, 0.5, 0.51, 2.0], 0.2)
    assert places == pytest.approx([0.3033, 0.5033, 0.7033, 2.0], abs=1e-3)
    assert spread_out([3.0, 1.0], 0.5) == [3.0, 1.0]
    assert spread_out([], 1.0) == []


def test_a_label_of_two_names_keeps_something_of_both():
    assert both("mfcc", "knn", 28) == "mfcc × knn"
    long = [both("jukebox:layer=36,treat=standardize", model, 28) for model in ("shallow", "bert4rec:embedding=frozen")]
    assert [len(label) for label in long] == [28, 28]
    assert long[0] == "jukebox:layer=36,… × shallow"
    assert long[1].partition(" × ")[2].startswith("bert4rec:")


def test_wide_figures_are_wider_on_the_page(full):
    plots = report(full.read()).plots()
    text = html.page("Results", [], [], plots, metrics=MAIN)
    for plot in plots:
        assert f'<figure style="width:{round(plot.width * 120)}px">' in text


def test_without_matplotlib_there_is_one_clear_line(results, tmp_path):
    results.add()
    code = f"""
import sys
sys.modules["matplotlib"] = None
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "matplotlib" else find(name, *rest)
from bench.cli import main
raise SystemExit(main(["report", {str(results.folder)!r}, "--out", {str(tmp_path / "out")!r}]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == (
        "no figures: matplotlib is not installed. pip install 'music-embedding-bench[report]'"
    )
    assert (tmp_path / "out" / "report.html").exists()
    assert absent() is None


def test_importing_the_report_imports_no_matplotlib():
    code = "import bench.report, bench.report.report, bench.report.plots, sys; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
