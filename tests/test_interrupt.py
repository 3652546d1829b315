"""Ctrl-C while the command line is still being imported."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

SCRIPT = """
import runpy, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
sys.argv = ["bench", "ls"]
{start}
"""
STARTS = {
    "module": "runpy.run_module('bench', run_name='__main__')",
    "script": "from importlib.metadata import EntryPoint\nsys.exit(EntryPoint('bench', {point!r}, '').load()())",
}
POINTS = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]["scripts"]


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("name", ["bench.cli", "bench.errors", "argparse", "bench.cli.ls"])
def test_ctrl_c_during_imports_ends_without_a_traceback(name, start):
    script = SCRIPT.format(name=name, start=STARTS[start].format(point=POINTS["bench"]))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert "interrupted" in done.stderr
