"""Rows of benchmarks/peers.py and work of benchmarks/growth.py at tiny sizes: they run, and their sides agree."""

import importlib
import math
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(FOLDER))
try:
    peers, growth, row = (importlib.import_module(name) for name in ("peers", "growth", "rows.row"))
finally:
    sys.path.remove(str(FOLDER))


@pytest.fixture(autouse=True)
def beside(monkeypatch):
    """Rows import other benchmarks when they are prepared."""
    monkeypatch.syspath_prepend(str(FOLDER))


@pytest.mark.parametrize("name", peers.ROWS)
def test_rows_agree_with_their_peers(name, tmp_path):
    one = peers.ROWS[name]
    if absent := one.absent():
        pytest.skip(absent)
    found = row.measure(one, tmp_path, tiny=True)
    assert "bench" in found["spent"]
    assert all(math.isfinite(value) for value in found["spent"].values())
    cells = peers.line(one, found).split("|")[1:-1]
    assert len(cells) == len(peers.HEAD)
    assert cells[0].strip() == name


def test_sides_take_turns_and_a_side_may_measure_itself(tmp_path):
    turns = []

    def side(name, *values):
        left = iter(values)
        return lambda: turns.append(name) or row.Cost(next(left), name)

    def prepare(folder, n):
        return row.Case(side("a", 5, 1, 3), {"b": side("b", 2, 9, 2)}, lambda found: f"{found['bench']}{found['b']}")

    one = row.Row("made", "nothing", 2.0, prepare, {"n": 2}, {"n": 1}, 1)
    found = row.measure(one, tmp_path)
    assert turns == ["a", "b", *"ababab"]
    assert found == {"spent": {"bench": 3, "b": 2}, "check": "ab"}
    assert "| 1.50 | 2.00 | yes | ab |" in peers.line(one, found)
    assert "**no**" in peers.line(one, found | {"spent": {"bench": 5, "b": 2}})


def test_a_missing_peer_says_what_to_install():
    one = row.Row("made", "nothing", 1.0, lambda: None, {}, {}, 1, needs={"no_such_module": "pip install it"})
    assert one.absent() == "no_such_module is missing: pip install it"


@pytest.mark.parametrize("name", growth.WORK)
def test_growth_of_tiny_work(name, tmp_path):
    one = growth.WORK[name]
    one.prepare(tmp_path, max(20, one.sizes[0] // 500))()


def test_exponents():
    assert growth.slope((10, 100, 1_000), [0.1, 10.0, 1_000.0]) == "N^2.00"
    assert growth.slope((10, 100, 1_000), [5.0, 5.0, 5.0]).lstrip("N^-") == "0.00"
    assert growth.slope((1, 2), [0.0, 1.0]) == "–"
