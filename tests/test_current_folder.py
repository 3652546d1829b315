"""Nothing in the folder where a command is started is run as code."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MARK = "import pathlib\npathlib.Path({mark!r}).touch()\nraise SystemExit(0)\n"


@pytest.fixture
def trap(tmp_path):
    """A folder with packages named pip and bench that leave a mark when they run."""
    for name in ("pip", "bench"):
        (tmp_path / name).mkdir()
        for file in ("__init__.py", "__main__.py"):
            (tmp_path / name / file).write_text(MARK.format(mark=str(tmp_path / "ran")))
    return tmp_path


def run(code, folder):
    """Run code in a fresh process whose own current folder is not searched for modules."""
    return subprocess.run([sys.executable, "-P", "-c", code], cwd=folder, capture_output=True, text=True, check=False)


def test_pip_of_the_current_folder_does_not_run(trap):
    code = (
        "from pathlib import Path\nfrom bench.weights.download import _pip\nfrom types import SimpleNamespace\n"
        f"_pip(SimpleNamespace(origin='pip:no-such-package-of-anybody==0.0.0', file='x'), Path({str(trap)!r}))"
    )
    environment = "import os\nos.environ['PIP_NO_INDEX'] = '1'\n"
    done = run(environment + code, trap)
    assert "pip could not download x" in done.stderr
    assert not (trap / "ran").exists()


def test_bench_of_the_current_folder_does_not_run(trap, world_folder):
    words = ["extract", "--extractor", "mfcc", "--audio", str(world_folder / "audio"), "--devices", "cpu,cpu"]
    words += ["--cache", str(trap / "cache")]
    done = run(f"from bench.cli import main\nraise SystemExit(main({words!r}))", trap)
    assert done.returncode == 0, done.stderr
    assert not (trap / "ran").exists()


def test_every_start_of_this_python_keeps_the_current_folder_out():
    for path in sorted((ROOT / "bench").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.List) and node.elts and ast.unparse(node.elts[0]) == "sys.executable":
                assert ast.unparse(node.elts[1]) == "'-P'", f"{path}:{node.lineno}"
