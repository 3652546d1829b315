"""`bench` in this process, with everything it prints, and one run of the small world to compare with."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import pytest

from bench.cli import main


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def computed(self):
        """The cells that were computed, in order."""
        return [line.removeprefix("computing ") for line in self.err.splitlines() if line.startswith("computing ")]


def bench(*words):
    """Run ``bench WORDS``; exit code and texts."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:
            code = end.code
    return Said(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session", name="bench")
def _bench():
    return bench


@pytest.fixture(scope="session")
def records():
    """Read every record below a folder: (extractor spec, model spec, seed) -> content."""

    def read(folder):
        found = {}
        for path in sorted(folder.rglob("seed*.json")):
            content = json.loads(path.read_text())
            key = (content["extractor"]["spec"], content["recommender"]["spec"], content["seed"])
            assert key not in found
            found[key] = content
        return found

    return read


@dataclass
class Base:
    """The words of a run, where it keeps vectors and records, and what it said."""

    words: list
    cache: object
    results: object
    said: Said


@pytest.fixture(scope="session")
def base(small_world, tmp_path_factory):
    """`bench run --extractor mfcc --model knn` on the small world."""
    folder = tmp_path_factory.mktemp("base")
    words = [*small_world, "--k", "5", "--cache", str(folder / "cache"), "--device", "cpu"]
    said = bench("run", "--extractor", "mfcc", "--model", "knn", *words, "--results", folder / "results")
    assert said.code == 0, said.err
    return Base(words, folder / "cache", folder / "results", said)
