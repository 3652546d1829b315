import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from bench.errors import BenchError
from bench.files.atomic import TEMPORARY, file_sha256
from bench.store import Failure, Vector, VectorSet, safetensors_shards

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


def test_an_array_can_be_filled_in_place(tmp_path):
    filled = open_set(tmp_path)
    done = [vector(f"r{i}") for i in range(10)]
    filled.append(done[:6], [])
    filled.append(done[6:], [])
    wanted = [*(f"r{i}" for i in range(10)), "nobody", "r3"]
    places = filled.find(pl.Series(wanted))
    whole = np.full((12, 8), np.nan, np.float32)
    for layer, out in (("low", whole[:, :3]), ("high", whole[:, 3:])):
        got, present = filled.read(layer, places, out)
        assert got is out
        assert present.tolist() == [row != "nobody" for row in wanted]
        assert np.array_equal(out, filled.read(layer, wanted)[0])
    assert np.array_equal(whole[3], whole[11])
    assert not whole[10].any()


def test_the_safetensors_library_reads_a_shard(tmp_path):
    filled = open_set(tmp_path, dtype="float16")
    done = [vector("a"), vector("a longer key", "short")]
    filled.append(done, [])
    (path,) = filled.folder.glob("ok-*")
    found = load_file(path)
    assert [row.tobytes().rstrip(b"\0").decode() for row in found["row"]] == ["a", "a longer key"]
    assert found["status"].tolist() == [0, 1]
    assert found["seconds"].tolist() == [2.5, 2.5]
    for layer in ("low", "high"):
        expected = np.stack([one.vectors[layer] for one in done]).astype(np.float16)
        assert np.array_equal(found[f"layer:{layer}"], expected)


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


def flip_in_r20(filled, layer):
    (shard,) = filled.folder.glob("ok-*")
    content = bytearray(shard.read_bytes())
    where = content.find(vector("r20").vectors[layer].astype(np.float32).tobytes())
    assert where > 0
    content[where + 1] ^= 0x10
    shard.write_bytes(content)
    return shard


def test_a_flipped_byte_is_refused_found_and_repaired(tmp_path):
    filled = open_set(tmp_path)
    filled.append([vector(f"r{i}") for i in range(50)], [])
    assert filled.read("high", ["r3"])[1].all()
    shard = flip_in_r20(filled, "high")
    assert open_set(tmp_path).missing(["r3"]) == []  # nothing has read the layer
    with pytest.raises(BenchError, match=r"damaged.*--verify"):  # it had been found sound before
        filled.read("high", ["r3"])
    for same in (filled, open_set(tmp_path)):
        assert same.missing(["r3"]) == ["r3"]
        assert not same.read("low", ["r3"])[1].any()
    assert open_set(tmp_path).verify() == ([shard.name], 0)
    assert not list(filled.folder.glob("ok-*"))


def test_a_layer_is_verified_alone(tmp_path):
    filled = open_set(tmp_path)
    filled.append([vector(f"r{i}") for i in range(50)], [])
    shard = flip_in_r20(filled, "high")
    assert np.array_equal(filled.read("low", ["r20"])[0][0], vector("r20").vectors["low"].astype(np.float32))
    assert open_set(tmp_path).verify() == ([shard.name], 0)


def test_a_sound_shard_under_anothers_name_counts_as_missing(tmp_path):
    filled, other = open_set(tmp_path), open_set(tmp_path / "other")
    filled.append([vector("a")], [])
    other.append([vector("a", "short")], [])
    (shard,), (stranger,) = (each.folder.glob("ok-*") for each in (filled, other))
    assert filled.missing(["a"]) == []
    shutil.copy2(stranger, shard)
    assert open_set(tmp_path).missing(["a"]) == ["a"]
    with pytest.raises(BenchError, match=r"damaged.*--verify"):
        filled.read("high", ["a"])


def test_each_state_of_a_layer_is_hashed_once(tmp_path, monkeypatch):
    filled = open_set(tmp_path)
    for row in "abc":
        filled.append([vector(row)], [])
    past = time.time() - 60
    for path in filled.folder.glob("ok-*"):
        os.utime(path, (past, past))
    hashed = []
    sha256 = safetensors_shards._sha256
    monkeypatch.setattr(safetensors_shards, "_sha256", lambda array: hashed.append(array.shape) or sha256(array))

    def layers_hashed(opened, layer):
        assert opened.read(layer, ["a", "b", "c"])[1].all()
        return sum(shape in ((1, 3), (1, 5)) for shape in hashed)

    assert layers_hashed(filled, "high") == 3
    assert layers_hashed(filled, "high") == 3
    assert layers_hashed(open_set(tmp_path), "high") == 3
    assert layers_hashed(open_set(tmp_path), "low") == 6
    os.utime(path, (past + 10, past + 10))
    assert layers_hashed(filled, "high") == 7
    assert layers_hashed(open_set(tmp_path), "high") == 7


def test_a_truncated_or_deleted_shard_counts_as_missing(tmp_path):
    filled = open_set(tmp_path)
    filled.append([vector("a")], [])
    filled.append([vector("b")], [])
    first, second = sorted(filled.folder.glob("ok-*"))
    first.write_bytes(first.read_bytes()[:-40])
    second.unlink()
    assert sorted(open_set(tmp_path).missing(["a", "b"])) == ["a", "b"]


def test_the_rate_is_known_while_another_process_removes_shards(tmp_path):
    filled = open_set(tmp_path)
    filled.append([vector("a"), vector("b")], [], {"device": "cpu", "seconds": "6.0", "tracks": "2"})
    (filled.folder / "ok-0.safetensors").symlink_to(tmp_path / "removed")
    assert filled.rate("cpu") == 3.0


@pytest.mark.parametrize("text", [b"[1, 2]", b"12", b'{"row": 1}', b'{"__metadata__": []}', b"[" * 100_000])
def test_a_shard_with_another_header_counts_as_missing(tmp_path, text):
    filled = open_set(tmp_path)
    filled.append([vector("a")], [])
    (shard,) = filled.folder.glob("ok-*")
    shard.write_bytes(len(text).to_bytes(8, "little") + text)
    assert open_set(tmp_path).missing(["a"]) == ["a"]
    assert open_set(tmp_path).verify() == ([shard.name], 0)


def test_only_abandoned_temporary_files_are_removed(tmp_path):
    filled = open_set(tmp_path)
    filled.append([vector("a")], [])
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    stale = filled.folder / f"{TEMPORARY}{gone.stdout.strip()}-0.safetensors"
    living = filled.folder / f"{TEMPORARY}{os.getpid()}-0.safetensors"
    stale.write_bytes(b"half")
    living.write_bytes(b"half")
    assert filled.verify() == ([stale.name], 0)
    assert living.exists()


def write_parquet(filled, kind, rows, status, reason, vectors, notes):
    """Write a shard as older versions did."""
    columns = {"row": rows, "status": status, "reason": reason, "seconds": [2.5] * len(rows)}
    for layer, matrix in vectors.items():
        columns[f"layer:{layer}"] = pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), matrix.shape[1])
    table = pa.table(columns).replace_schema_metadata({f"bench.{key}": value for key, value in notes.items()})
    path = filled.folder / f"{kind}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="none", write_page_checksum=True)
    return path.rename(filled.folder / f"{kind}-{file_sha256(path)}.parquet")


def test_old_shards_are_read_and_rewritten(tmp_path):
    filled = open_set(tmp_path, dtype="float16")
    vectors = {"low": np.arange(6, dtype=np.float16).reshape(2, 3), "high": np.ones((2, 5), np.float16)}
    notes = {"device": "cpu", "seconds": "6.0", "tracks": "2"}
    write_parquet(filled, "ok", ["a", "b"], ["ok", "short"], ["", ""], vectors, notes)
    write_parquet(filled, "failed", ["bad"], ["failed"], ["not audio é"], {}, {"reader": ""})
    damaged = write_parquet(filled, "ok", ["c"], ["ok"], [""], {k: v[:1] for k, v in vectors.items()}, {})
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    filled.append([vector("new")], [])
    before = filled.rows().drop("shard", "at").sort("row")
    assert before.select("row", "status", "reason").rows()[:3] == [
        ("a", "ok", ""),
        ("b", "short", ""),
        ("bad", "failed", "not audio é"),
    ]

    def check(opened):
        assert opened.missing(["a", "b", "c", "bad", "new"]) == ["c"]
        assert opened.read("low", ["b", "bad", "a"])[0].tolist() == [[3, 4, 5], [0, 0, 0], [0, 1, 2]]
        assert opened.rate("cpu") == 3.0
        assert opened.rows().drop("shard", "at").sort("row").equals(before)

    check(filled)
    assert filled.verify() == ([damaged.name], 2)
    assert not list(filled.folder.glob("*.parquet"))
    check(filled)
    check(open_set(tmp_path, dtype="float16"))
    assert filled.verify() == ([], 0)


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
