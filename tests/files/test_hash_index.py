import hashlib
import multiprocessing
import os
import sqlite3
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest

from bench.audio.row_key import row_key, row_keys
from bench.errors import TrackError
from bench.files import hash_index
from bench.files.hash_index import HashIndex

OLD = time.time() - 1000


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def write(path, data, mtime=OLD):
    path.write_bytes(data)
    os.utime(path, (mtime, mtime))
    return str(path)


def sha(data):
    return hashlib.sha256(data).hexdigest()


def reasons(values):
    return [str(v) if isinstance(v, TrackError) else v for v in values]


def plant(index, value="planted"):
    """Replace every remembered hash, so that a hit shows."""
    connection = sqlite3.connect(index.path)
    with connection:
        count = connection.execute("UPDATE files SET sha256 = ?", (value,)).rowcount
    connection.close()
    return count


def test_hashes_and_reasons(tmp_path):
    a, b = write(tmp_path / "a.wav", b"one"), write(tmp_path / "日本.wav", b"two" * 100_000)
    empty, folder = write(tmp_path / "e.wav", b""), str(tmp_path)
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    index = HashIndex(tmp_path / "cache" / "hashes.sqlite")
    found = index.hashes([a, b, empty, a, str(tmp_path / "no"), a + "/no", folder, pipe, "\0"], 2)
    assert found[:2] == [sha(b"one"), sha(b"two" * 100_000)]
    assert found[3] == found[0]
    assert reasons(found)[2:8] == [
        "empty file", sha(b"one"), "missing", "missing", "cannot be read: it is not a file",
        "cannot be read: it is not a file",
    ]  # fmt: skip
    assert reasons(found)[8].startswith("cannot be read: ")
    assert found[4] is found[5]  # one error for all missing files
    assert index.hashes([]) == []


def test_only_changed_files_are_read_again(tmp_path):
    index = HashIndex(tmp_path / "hashes.sqlite")
    paths = [write(tmp_path / f"{n}.wav", bytes([n])) for n in range(1, 6)]
    index.hashes(paths)
    assert plant(index) == 5
    assert index.hashes(paths) == ["planted"] * 5
    write(tmp_path / "1.wav", b"\1\1")  # another size
    write(tmp_path / "2.wav", b"x", OLD + 5)  # same size, later
    write(tmp_path / "3.wav", b"y", OLD - 5)  # same size, earlier: the clock went back
    assert index.hashes(paths) == [sha(b"\1\1"), sha(b"x"), sha(b"y"), "planted", "planted"]
    assert HashIndex(index.path).hashes(paths[:1]) == [sha(b"\1\1")]


@pytest.mark.parametrize("shift", [0, 3600])
def test_files_changed_just_now_or_in_the_future_are_not_remembered(tmp_path, shift):
    index = HashIndex(tmp_path / "hashes.sqlite")
    path = write(tmp_path / "a.wav", b"one", time.time() + shift)
    assert index.hashes([path]) == [sha(b"one")]
    status = os.stat(path)
    (tmp_path / "a.wav").write_bytes(b"two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert index.hashes([path]) == [sha(b"two")]


@pytest.mark.parametrize("how", ["replace", "rewrite"])
def test_another_file_with_the_same_size_and_time_is_read(tmp_path, how):
    index = HashIndex(tmp_path / "hashes.sqlite")
    path, other = write(tmp_path / "a.csv", b"one"), write(tmp_path / "b.csv", b"two")
    assert index.hashes([path]) == [sha(b"one")]
    if how == "replace":
        os.replace(other, path)  # as `cp -p`, `rsync -t` and tar do it
    else:
        time.sleep(0.02)  # a tick of the file system's clock
        write(tmp_path / "a.csv", b"two")
    assert (os.stat(path).st_size, os.stat(path).st_mtime) == (3, OLD)
    assert index.hashes([path]) == [sha(b"two")]


def test_a_relative_path_is_another_file_in_another_folder(tmp_path, monkeypatch):
    index = HashIndex(tmp_path / "hashes.sqlite")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "a.csv", name.encode())
    found = []
    for name in ("one", "two"):
        monkeypatch.chdir(tmp_path / name)
        found += [*index.hashes(["a.csv"]), hash_index.sha256_once(Path("a.csv"))]
    assert found == [sha(b"one")] * 2 + [sha(b"two")] * 2
    connection = sqlite3.connect(index.path)
    assert {row[0] for row in connection.execute("SELECT path FROM files")} == {
        os.fsencode(tmp_path / name / "a.csv") for name in ("one", "two")
    }
    connection.close()


def test_a_file_is_hashed_again_in_a_process_when_another_one_took_its_place(tmp_path):
    path = Path(write(tmp_path / "a.csv", b"one"))
    assert hash_index.sha256_once(path) == sha(b"one")
    os.replace(write(tmp_path / "b.csv", b"two"), path)
    assert hash_index.sha256_once(path) == sha(b"two")


@pytest.mark.parametrize("damage", ["text", "cut", "version", "middle"])
def test_damaged_index_is_rebuilt(tmp_path, damage):
    index = HashIndex(tmp_path / "hashes.sqlite")
    paths = [write(tmp_path / f"{n}.wav", str(n).encode()) for n in range(300)]
    right = index.hashes(paths)
    data = index.path.read_bytes()
    if damage == "text":
        index.path.write_bytes(b"this is not a database, it is a sentence" * 100)
    elif damage == "cut":
        index.path.write_bytes(data[: len(data) // 2])
    elif damage == "middle":
        index.path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    else:
        connection = sqlite3.connect(index.path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
    assert index.hashes(paths) == right
    assert plant(index) == 300
    assert index.hashes(paths) == ["planted"] * 300


def test_no_place_for_the_index_warns_once(tmp_path):
    path = write(tmp_path / "a.wav", b"one")
    index = HashIndex(tmp_path / "a.wav" / "hashes.sqlite")
    with pytest.warns(RuntimeWarning, match="cannot be used"):
        assert index.hashes([path] * 3) == [sha(b"one")] * 3
    assert index.hashes([path]) == [sha(b"one")]


@contextmanager
def unprivileged():
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_read_only_index_is_read(tmp_path):
    folder = tmp_path / "cache"
    index = HashIndex(folder / "hashes.sqlite")
    paths = [write(tmp_path / f"{n}.wav", bytes([n])) for n in (1, 2)]
    index.hashes(paths[:1])
    plant(index)
    private = [parent for parent in (tmp_path, *tmp_path.parents) if "pytest-of-" in str(parent)]
    for parent in private:
        parent.chmod(0o755)
    index.path.chmod(0o444)
    folder.chmod(0o555)
    try:
        with unprivileged(), pytest.warns(RuntimeWarning, match="cannot be used") as caught:
            found = [index.hashes(paths), index.hashes(paths)]
        assert found == [["planted", sha(b"\2")]] * 2
        assert len(caught) == 1
    finally:
        folder.chmod(0o755)


def _work(index, paths):
    assert HashIndex(index).hashes(paths) == [sha(os.path.basename(p).encode()) for p in paths]


def test_several_processes_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(hash_index, "BATCH", 16)
    paths = [write(tmp_path / f"{n}.wav", f"{n}.wav".encode()) for n in range(200)]
    spawn = multiprocessing.get_context("fork" if os.name == "posix" else "spawn")
    crowd = [spawn.Process(target=_work, args=(tmp_path / "hashes.sqlite", paths)) for _ in range(4)]
    for process in crowd:
        process.start()
    for process in crowd:
        process.join()
    assert [process.exitcode for process in crowd] == [0] * 4
    assert plant(HashIndex(tmp_path / "hashes.sqlite")) == 200


def test_row_keys():
    value = sha(b"audio")
    key = row_key(value, 1.5, 30.0)
    assert key == hashlib.sha256(f"{value}:1.5:30.0".encode()).hexdigest()
    assert row_key(value, None, None) == row_key(value, 0, None) == row_key(value, -0.0, None)
    assert row_key(value, None, None) == hashlib.sha256(f"{value}:0.0:".encode()).hexdigest()
    assert row_key(value, 1, 30) == row_key(value, 1.0, 30.0)
    assert len({key, row_key(value, None, None), row_key(value, 1.5, None), row_key(value, None, 30.0)}) == 4
    rows = pl.DataFrame({"offset": [1.5, None, None], "duration": [30.0, None, None]})
    gone = TrackError("missing")
    assert row_keys(rows, [value, gone, value]) == [key, gone, row_key(value, None, None)]
