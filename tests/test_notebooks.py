"""Every notebook of `examples/notebooks` runs from its first cell to its last.

The cells are plain Python, so they need no kernel: one process runs them one after the other, and shows what a notebook
would show, as text and as HTML.
"""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples" / "notebooks").glob("*.ipynb"))
RUNNER = """
import ast, json, sys
shown = {"__name__": "__main__"}
for number, cell in enumerate(json.load(open(sys.argv[1], encoding="utf-8"))["cells"]):
    if cell["cell_type"] != "code":
        continue
    tree = ast.parse("".join(cell["source"]))
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, f"cell {number}", "exec"), shown)
    if last is not None:
        value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), shown)
        if value is not None:
            print("shown:", len(getattr(value, "_repr_html_", lambda: "")() or repr(value)))
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def code(path):
    return ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == ["demo", "new_encoder", "own_vectors"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_not_committed(path):
    """Numbers in a file would be those of an older version."""
    content = json.loads(path.read_text())
    assert content["nbformat"] == 4
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in content["cells"])
    assert len({cell["id"] for cell in content["cells"]}) == len(content["cells"])


@pytest.mark.parametrize(
    "path", [pytest.param(path, marks=[] if path.stem == "own_vectors" else [pytest.mark.slow]) for path in NOTEBOOKS],
    ids=lambda path: path.stem,
)  # fmt: skip
def test_a_notebook_runs(path, cache, tmp_path):
    env = {**os.environ, "BENCH_CACHE": str(cache)}
    words = [sys.executable, "-c", RUNNER, str(path)]
    done = subprocess.run(words, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("shown: ")]
    wanted = [isinstance(ast.parse(text).body[-1], ast.Expr) and "print(" not in text for text in code(path)]
    assert len(shown) == sum(wanted)
    assert min(shown) > 100
    assert list(tmp_path.glob("results/**/seed0.json"))
