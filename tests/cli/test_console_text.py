"""What commands print, word for word: a change of the code behind them must not change it unnoticed.

The expected text stands in tests/cli/console/NAME.txt. After a change that is meant, write it anew with
``BENCH_WRITE_CONSOLE=1 pytest tests/cli/test_console_text.py`` and read the difference.
"""

import os
import re
from pathlib import Path

import pytest

from bench.cli import main

EXPECTED = Path(__file__).parent / "console"
DECIMAL = re.compile(r"\d+\.\d+")
TOLERANCE = 0.005
"""Another processor may round a vector otherwise, and so swap two tracks of a list."""


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A cache and a results folder that the commands below share, in the order in which they stand."""
    return tmp_path_factory.mktemp("console")


@pytest.fixture
def check(capfd, places, world_folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.delenv("BENCH_CACHE", raising=False)

    def call(name, *words):
        work = () if words[0] in ("report", "power", "ls") else ("--cache", str(places / "cache"), "--device", "cpu")
        try:
            code = main([*map(str, words), *work])
        except SystemExit as end:
            code = end.code
        out, err = capfd.readouterr()
        found = plain(f"exit code {code}\n--- stdout\n{out}--- stderr\n{err}", places, world_folder)
        path = EXPECTED / f"{name}.txt"
        if os.environ.get("BENCH_WRITE_CONSOLE"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(found, encoding="utf-8")
        expected = path.read_text(encoding="utf-8")
        assert DECIMAL.sub("#.#", found) == DECIMAL.sub("#.#", expected)
        pairs = zip(DECIMAL.findall(found), DECIMAL.findall(expected), strict=True)
        assert [(a, b) for a, b in pairs if abs(float(a) - float(b)) > TOLERANCE] == []

    return call


def plain(text, places, world):
    """Put words in place of what differs from run to run: folders, times, widths of progress bars."""
    text = text.replace(str(places), "PLACES").replace(str(world), "WORLD")
    text = re.sub(r"about \d+(\.\d+)? (s|min|h)\b", "about TIME", text)
    text = re.sub(r"\b\d+(\.\d+)? (s|min|h)(?= of| left|$)", "TIME", text, flags=re.M)
    text = re.sub(r"(trial \d+: [\d.]+), \d+ s", r"\1, TIME", text)
    text = re.sub(r"-[0-9a-f]{8}(?=[/ \n])", "-HASH", text)
    text = re.sub(r"(fingerprint|sha256) [0-9a-f]{8,}", r"\1 HASH", text)
    text = re.sub(r"^.* \d+ of \d+ tracks, [\d.]+/s.*\n", "", text, flags=re.M)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    # Time of a search, the last but one column of its table.
    text = re.sub(r"│ \d+ s +(│ \w+ +│\n)", r"│ TIME \1", text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


RUN = ("run", "--extractor", "mfcc", "--model", "knn,shallow:epochs=2,ease", "--k", "5")
TUNE = ("tune", "--extractor", "mfcc", "--model", "shallow:epochs=2", "--space", "lr=0.001|0.01")
TASKS = "catalog-genre:least=2,valid=0.4,links:listeners=4"
PROBE = ("probe", "--extractor", "mfcc", "--task", TASKS, "--probe", "knn")
WRONG = {
    "unknown_model": ("run", "--extractor", "mfcc", "--model", "kn"),
    "unknown_setting": ("run", "--extractor", "mfcc:n_mfc=3", "--model", "knn"),
    "no_layer": ("run", "--extractor", "mfcc:layer=x", "--model", "knn"),
    "no_vectors": ("run", "--extractor", "none", "--model", "knn"),
    "bad_treatment": ("run", "--extractor", "mfcc", "--model", "knn", "--treat", "pca:x"),
    "no_split": ("run", "--extractor", "mfcc", "--model", "knn", "--split", "leave_one"),
    "no_lane": ("run", "--extractor", "musicfm", "--model", "knn:lane=x"),
    "unknown_task": ("probe", "--extractor", "mfcc", "--task", "catalog-genres"),
    "unknown_probe": ("probe", "--extractor", "mfcc", "--task", "catalog-genre", "--probe", "knnn"),
    "no_vectors_to_probe": ("probe", "--extractor", "none", "--task", "catalog-genre"),
}


def test_a_run_its_repetition_and_its_dry_run(check, small_world, places):
    words = [*RUN, *small_world, "--results", places / "results", "--seeds", "2"]
    check("run_dry", *words, "--dry-run")
    check("run", *words)
    check("run_again", *words)


def test_joined_and_treated_tables(check, small_world, places):
    words = ["run", "--extractor", "mfcc+random", "--model", "knn", "--k", "5,10", "--treat", "l2+pca:8"]
    check("run_joined", *words, *small_world, "--results", places / "results", "--reference", "none")


def test_a_search(check, small_world, places):
    words = [*TUNE, *small_world, "--k", "5", "--sampler", "random", "--budget", "2"]
    check("tune", *words, "--results", places / "tuned")


def test_probes(check, small_world, places):
    words = [*PROBE, *small_world[:-2], "--results", places / "results"]
    check("probe", *words)
    check("probe_again", *words)


def test_vectors_alone(check, world_folder, places):
    audio = ["--audio", world_folder / "audio"]
    check("extract", "extract", "--extractor", "mfcc", *audio)
    check("export", "export", "--extractor", "mfcc", *audio, "--out", places / "vectors.parquet")


def test_tables(check, places):
    check("report", "report", places / "results")
    check("power", "power", places / "results", "--difference", "0.2")


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input(check, small_world, places, name):
    words = WRONG[name]
    given = small_world if words[0] == "run" and "--split" not in words else small_world[:-2]
    check(f"wrong_{name}", *words, *given, "--results", places / "wrong")


def test_all_folds(check, small_world, places):
    words = ["run", "--extractor", "mfcc", "--model", "knn", "--k", "3", "--split", "cold_random:folds=3,share=0.2"]
    words += [*small_world[:-2], "--results", places / "folds", "--folds", "all"]
    check("folds_dry", *words, "--dry-run")
    check("folds", *words)
