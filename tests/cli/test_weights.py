"""``bench weights``, ``bench ls extractors``, and runs with and without weights and network."""

import json
import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from bench import weights
from bench.files.atomic import file_sha256
from bench.registry import get

DECLARED = get("extractors", "musicnn").weights[0]


@pytest.fixture
def untouchable(monkeypatch):
    """No network, and no pip either."""

    def refuse(*_args, **_kwargs):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    real = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda words, *a, **k: refuse() if "pip" in words else real(words, *a, **k))


def pretend(cache, tensors):
    """Put a file into a cache as if it were MusiCNN's."""
    folder = cache / "weights" / "musicnn"
    folder.mkdir(parents=True)
    weights.write_safetensors(folder / "msd.safetensors", tensors)
    found = file_sha256(folder / "msd.safetensors")
    pinned = {name: sha256 for source in DECLARED.sources for name, sha256 in source.contents.items()}
    manifest = {"members": pinned, "parts": {"msd": {"sha256": found, "bytes": 1, "values": 1}}}
    (folder / "weights.json").write_text(json.dumps(manifest))
    return found


def test_ls_says_what_is_here_and_what_brings_the_rest(bench, tmp_path):
    code, out, _ = bench("weights", "ls", "--cache", tmp_path)
    assert code == 0
    for word in ("musicnn", "ISC", "29.3 MB", "PyPI (musicnn==0.1.0)", "not msd, mtt", "bench weights pull musicnn"):
        assert word in out
    pretend(tmp_path, {"x": np.zeros(1, np.float32)})
    assert "msd, not mtt" in bench("weights", "ls", "--cache", tmp_path)[1]


def test_ls_extractors_describes_the_models(bench, tmp_path):
    code, out, _ = bench("ls", "extractors", "--cache", tmp_path)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 100
    models = out.partition("models")[2]
    for word in ("16000", "penultimate 200", "2.98 s", "0.79 M", "ISC", "on first use", "pull musicfm-msd"):
        assert word in " ".join(models.split())
    assert "mfcc 104" in models
    if "needs essentia" in out:
        assert "music-embedding-bench[essentia]" in out


def test_an_unknown_name_is_answered_with_the_nearest(bench):
    code, _, err = bench("weights", "pull", "muscnn")
    assert code == 1
    assert "Did you mean 'musicnn'" in err
    assert bench("weights")[0] == 1


def test_verifying_nothing_says_so(bench, tmp_path):
    code, out, _ = bench("weights", "verify", "--cache", tmp_path)
    assert code == 0
    assert "`bench weights ls`" in out


def test_adding_something_else_is_refused(bench, tmp_path):
    (tmp_path / "musicnn-0.1.0-py3-none-any.whl").write_bytes(b"PK not really")
    code, _, err = bench("weights", "add", "musicnn", tmp_path / "musicnn-0.1.0-py3-none-any.whl", "--cache", tmp_path)
    assert code == 1
    assert DECLARED.sources[0].sha256 in err
    assert file_sha256(tmp_path / "musicnn-0.1.0-py3-none-any.whl") in err
    code, _, err = bench("weights", "add", "musicnn", tmp_path / "nothing", "--cache", tmp_path)
    assert code == 1
    assert "there is no" in err


def test_a_substituted_file_is_found_and_refused(bench, small_world, tmp_path):
    found = pretend(tmp_path / "c", {"x": np.zeros(1, np.float32)})
    code, out, _ = bench("weights", "verify", "--cache", tmp_path / "c")
    assert code == 1
    assert found in out
    words = ["run", "--extractor", "musicnn", "--model", "knn", *small_world, "--k", "5"]
    code, _, err = bench(*words, "--cache", tmp_path / "c", "--results", tmp_path / "r")
    assert code == 1
    for word in ("msd.safetensors", DECLARED.part("msd").sha256, found, "refused", "bench weights pull musicnn"):
        assert word in err


@pytest.mark.parametrize("verb", ["run", "extract"])
def test_absent_weights_are_named_within_seconds_and_before_any_work(bench, tmp_path, untouchable, verb):
    words = [verb, "--extractor", "musicnn", "--offline", "--cache", tmp_path / "c"]
    words += ["--model", "knn", "--results", tmp_path / "r"] if verb == "run" else []
    started = time.monotonic()
    code, _, err = bench(*words)
    assert time.monotonic() - started < 30
    assert code == 1
    for word in ("musicnn-0.1.0-py3-none-any.whl", "PyPI (musicnn==0.1.0)", "bench weights pull musicnn", "ISC"):
        assert word in err
    assert not (tmp_path / "c" / "datasets").exists()
    assert "BENCH_OFFLINE" not in os.environ


def test_random_weights_walk_the_whole_way_without_network(bench, small_world, tmp_path, untouchable):
    words = ["run", "--extractor", "musicnn:weights=random", "--model", "knn", *small_world, "--k", "5"]
    words += ["--no-controls", "--reference", "none", "--cache", tmp_path / "c", "--results", tmp_path / "r"]
    code, out, err = bench(*words)
    assert code == 0, err
    assert "random weights" in out
    (path,) = (tmp_path / "r").rglob("seed0.json")
    record = json.loads(path.read_text())
    assert record["extractor"]["untrained"] is True
    assert record["extractor"]["non_commercial"] is False
    assert record["extractor"]["width"] == 200


@pytest.mark.skipif(not weights.present(DECLARED, "msd"), reason="needs MusiCNN's weights: bench weights pull musicnn")
def test_once_here_a_run_needs_no_network(bench, small_world, tmp_path, untouchable, monkeypatch):
    kept = weights.folder(DECLARED)
    (tmp_path / "c" / "weights").mkdir(parents=True)
    (tmp_path / "c" / "weights" / "musicnn").symlink_to(kept, target_is_directory=True)
    words = ["run", "--extractor", "musicnn", "--model", "knn", *small_world, "--k", "5", "--no-controls"]
    code, _, err = bench(*words, "--cache", tmp_path / "c", "--results", tmp_path / "r")
    assert code == 0, err
    (path,) = (tmp_path / "r").rglob("seed0.json")
    about = json.loads(path.read_text())["extractor"]
    assert about["fingerprint"][0]["sha256"] == DECLARED.part("msd").sha256
    assert about["license"] == "ISC"
    assert about["trained_on"] == ["msd"]


def test_stored_vectors_need_no_weights(bench, small_world, tmp_path, untouchable, monkeypatch):
    place = ["--cache", tmp_path / "c", "--results", tmp_path / "r"]
    words = [
        "run",
        "--extractor",
        "musicnn:weights=random",
        "--model",
        "knn",
        *small_world,
        *place,
        "--k",
        "5",
        "--no-controls",
    ]
    assert bench(*words)[0] == 0
    plugin = get("extractors", "musicnn")
    monkeypatch.setattr(plugin, "unready", lambda self: "the weights are gone")
    monkeypatch.setattr(plugin, "prepare", lambda self: pytest.fail("weights were asked for"))
    assert bench(*words, "--again")[0] == 0


def test_the_verbs_leave_torch_alone():
    code = "import sys; from bench.cli import main\nmain(['weights', 'ls']); main(['weights', 'verify'])\n"
    code += "heavy = {'torch', 'transformers', 'pandas'} & set(sys.modules); assert not heavy, heavy"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
