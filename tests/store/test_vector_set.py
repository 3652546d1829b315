import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from bench.errors import BenchError
from bench.files import hash_index
from bench.files.atomic import TEMPORARY
from bench.store import Failure, Vector, VectorSet

KEY = {"extractor": "x", "fingerprint": {"weights": "abc"}}


def open_set(folder, key=KEY, dtype="float32"):
    return VectorSet(folder, "x", key, {"low": 3, "high": 5}, dtype)


def vector(row, status="ok"):
    rng = np.random.default_rng(abs(hash(row)) % 2**32)
    return Vector(row, 2.5, {"low": rng.normal(size=3), "high": rng.normal(size=5)}, status)


def test_vectors_are_read_in_the_requested_order(tmp_path):
    filled = open_set(tmp_path)
    done = [vector(f"r{i}") for i in range(10)]
    filled.append(done[:6], [])
    filled.append(done[6:], [Failure("bad", "not audio")])
    got, present = filled.read("high", ["r7", "bad", "r0", "nobody"])
    assert present.tolist() == [True, False, True, False]
    assert np.array_equal(got[0], done[7].vectors["high"].astype(np.float32))
    assert np.array_equal(got[1], np.zeros(5))


def test_half_floats_round_once(tmp_path):
    filled = open_set(tmp_path, dtype="float16")
    one = vector("r")
    filled.append([one], [])
    assert np.array_equal(filled.read("low", ["r"])[0][0], one.vectors["low"].astype(np.float16).astype(np.float32))


def test_missing_excludes_failures_unless_they_are_retried(tmp_path):
    filled = open_set(tmp_path)
    filled.append([vector("a")], [Failure("b", "empty")])
    assert filled.missing(["a", "b", "c", "c"]) == ["c"]
    assert filled.missing(["a", "b", "c"], retry_failed=True) == ["b", "c"]
    filled.append([vector("b")], [])
    assert filled.missing(["b"], retry_failed=True) == []
    assert filled.read("low", ["b"])[1].all()


def test_different_keys_are_different_sets(tmp_path):
    other = {**KEY, "fingerprint": {"weights": "def"}}
    assert open_set(tmp_path).folder != open_set(tmp_path, other).folder


def test_a_flipped_byte_is_refused_found_and_repaired(tmp_path):
    filled = open_set(tmp_path)
    filled.append([vector(f"r{i}") for i in range(50)], [])
    (shard,) = filled.folder.glob("ok-*.parquet")
    content = bytearray(shard.read_bytes())
    where = content.find(vector("r20").vectors["high"].astype(np.float32).tobytes())
    assert where > 0
    content[where + 1] ^= 0x10
    assert filled.missing(["r3"]) == []
    shard.write_bytes(content)
    with pytest.raises(BenchError, match=r"damaged.*--verify"):  # it had been found sound before
        filled.read("high", ["r3"])
    again = open_set(tmp_path)
    assert again.missing(["r3"]) == ["r3"]
    assert again.verify() == [shard.name]


def test_a_sound_shard_under_anothers_name_counts_as_missing(tmp_path):
    filled, other = open_set(tmp_path), open_set(tmp_path / "other")
    filled.append([vector("a")], [])
    other.append([vector("a", "short")], [])
    (shard,), (stranger,) = (each.folder.glob("ok-*.parquet") for each in (filled, other))
    assert filled.missing(["a"]) == []
    shutil.copy2(stranger, shard)
    assert open_set(tmp_path).missing(["a"]) == ["a"]
    with pytest.raises(BenchError, match=r"damaged.*--verify"):
        filled.read("high", ["a"])


def test_each_state_of_a_shard_is_hashed_once(tmp_path, monkeypatch):
    filled = open_set(tmp_path)
    for row in "abc":
        filled.append([vector(row)], [])
    past = time.time() - 60
    for path in filled.folder.glob("*.parquet"):
        os.utime(path, (past, past))
    read = []
    hashed = hash_index._hash
    monkeypatch.setattr(hash_index, "_hash", lambda path: read.append(path) or hashed(path))
    for _ in range(2):
        assert filled.read("high", ["a", "b", "c"])[1].all()
    assert len(read) == 3
    assert open_set(tmp_path).read("low", ["a", "b", "c"])[1].all()
    assert len(read) == 3
    os.utime(path, (past + 10, past + 10))
    assert open_set(tmp_path).read("low", ["a"])[1].all()
    assert len(read) == 4


def test_a_truncated_or_deleted_shard_counts_as_missing(tmp_path):
    filled = open_set(tmp_path)
    filled.append([vector("a")], [])
    filled.append([vector("b")], [])
    first, second = sorted(filled.folder.glob("ok-*.parquet"))
    first.write_bytes(first.read_bytes()[:-40])
    second.unlink()
    assert sorted(open_set(tmp_path).missing(["a", "b"])) == ["a", "b"]


def test_only_abandoned_temporary_files_are_removed(tmp_path):
    filled = open_set(tmp_path)
    filled.append([vector("a")], [])
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    stale = filled.folder / f"{TEMPORARY}{gone.stdout.strip()}-0.parquet"
    living = filled.folder / f"{TEMPORARY}{os.getpid()}-0.parquet"
    stale.write_bytes(b"half")
    living.write_bytes(b"half")
    assert filled.verify() == [stale.name]
    assert living.exists()


def write_some(args):
    folder, start = args
    filled = open_set(folder)
    for i in range(start, start + 20, 5):
        filled.append([vector(f"r{j}") for j in range(i, i + 5)], [])
    return len(filled.rows())


def test_several_processes_write_to_one_set(tmp_path):
    with ProcessPoolExecutor(4, get_context("spawn")) as pool:  # overlapping ranges: each row must appear once
        list(pool.map(write_some, [(tmp_path, start) for start in (0, 10, 20, 30)]))
    filled = open_set(tmp_path)
    rows = filled.rows()
    assert len(rows) == 50
    assert rows["row"].n_unique() == 50
    assert filled.read("low", [f"r{i}" for i in range(50)])[1].all()


def test_an_unknown_layer_is_named(tmp_path):
    with pytest.raises(BenchError, match="no layer 'middle'"):
        open_set(tmp_path).read("middle", ["a"])


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="here everybody may write everywhere")
def test_a_read_only_folder_is_a_clear_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(BenchError, match="cannot write"):
        open_set(tmp_path).append([vector("a")], [])


def test_a_file_in_the_way_is_a_clear_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(BenchError, match="cannot write"):
        open_set(blocked).append([vector("a")], [])
