"""One version: `bench.__version__`. Metadata reads it, and the files that repeat it agree."""

import re
import tomllib
from pathlib import Path

import pytest

from bench import __version__

ROOT = Path(__file__).parents[1]


def test_metadata_reads_it():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in project["project"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "bench.__version__"}
    assert re.findall(r"^__version__ = \"(.+)\"$", (ROOT / "bench/__init__.py").read_text(), re.MULTILINE) == [
        __version__
    ], "setuptools can only read a literal without importing bench"


@pytest.mark.parametrize(("name", "pattern"), [("CITATION.cff", r"^version: (\S+)$"), ("CHANGELOG.md", r"^## (\S+)")])
def test_files_name_it(name, pattern):
    assert re.search(pattern, (ROOT / name).read_text(), re.MULTILINE)[1] == __version__
