"""One run of the small world, asked in Python."""

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import pytest

import bench
from bench.cli import main


def command(*words):
    """Run ``bench WORDS`` in this process: exit code, standard output, standard error."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(word) for word in words])
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="session", name="command")
def _command():
    return command


@dataclass
class World:
    """The options of a call, the words of the same command, and what the call returned."""

    options: dict
    words: list
    results: object
    found: bench.Results


@pytest.fixture(scope="session")
def world(world_folder, small_world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    options = {
        "listens": world_folder / "plays.csv",
        "audio": world_folder / "audio",
        "meta": world_folder / "tracks.parquet",
        "split": small_world[-1],
        "k": (5, 3),
        "cache": folder / "cache",
        "device": "cpu",
    }
    words = [*small_world, "--k", "5,3", "--cache", folder / "cache", "--device", "cpu"]
    found = bench.run("mfcc", "knn", **options, results=folder / "results")
    return World(options, words, folder / "results", found)
