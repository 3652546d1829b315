"""Hard faults end to end: kill -9, many writers, full and read-only disks, damaged files, vanished audio, odd clocks.

Whatever happens, the command ends with a clear message, and the next sound run has the same rows as one
that nothing disturbed, with vectors within the tolerance.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import polars as pl
import pytest
import soundfile
from safetensors.numpy import load_file

from bench.cli import main
from bench.files.atomic import TEMPORARY
from bench.run.embed import Collection
from bench.testing import clips

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked and killed")

TRACKS = 80
YEAR = 365 * 86_400

PLUGIN = """
import os, time
from bench_extractors.mfcc import MFCC

class Slow(MFCC):
    "MFCC that writes a byte for each batch and then takes its time."
    name = "slow"
    def frames(self, waves):
        with open(os.environ["SLOW_COUNT"], "ab") as file:
            file.write(b".")
        time.sleep(0.01)
        yield from super().frames(waves)
"""
SERVER = """
# Imports what is slow once, then forks a process for each job; nothing with threads of its own is imported before.
import ctypes, json, os, resource, signal, sys, time
import numpy, torch
from safetensors.numpy import load_file
signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may have switched it off

def without_privileges():
    # Root writes where it may not; without its capabilities it is a user like any other.
    header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None).capset(header, nothing) == 0

def small_files(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

def little_read_ahead():
    # Short tracks would otherwise all be decoded before the first batch is through the model.
    from bench.extract import readers
    readers.AHEAD = 0

def shifted_clock(seconds):
    now, now_ns = time.time, time.time_ns
    time.time, time.time_ns = lambda: now() + seconds, lambda: now_ns() + seconds * 10**9

for line in sys.stdin:
    job = json.loads(line)
    if "wait" in job:
        pid, status = os.waitpid(job["wait"], 0 if job["block"] else os.WNOHANG)
        print(os.waitstatus_to_exitcode(status) if pid else "running", flush=True)
        continue
    pid = os.fork()
    if pid:
        print(pid, flush=True)
        continue
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ["SLOW_COUNT"] = job["count"]
    from bench.cli import main
    from bench.extract import loop
    loop.SHARD_TRACKS = job["shard"]
    for name, words in job["first"].items():
        globals()[name](*words)
    code = main(job["words"])
    sys.stdout.flush()
    os._exit(code)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A process that starts `bench` at once; it sees a package from outside with an extractor `slow`."""
    if sys.platform != "linux":
        pytest.skip("forks, and takes capabilities away, as Linux does")
    site = tmp_path_factory.mktemp("site")
    (site / "slow.py").write_text(PLUGIN)
    (site / "server.py").write_text(SERVER)
    about = site / "slow_mfcc-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-mfcc\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text("[bench.extractors]\nslow = slow:Slow\n")
    env = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    words = [sys.executable, str(site / "server.py")]
    with subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.stdin.close()


class Worker:
    """A `bench extract` in a process of its own; `first` names what the process does to itself before."""

    def __init__(self, server, scratch, cache, music, *words, shard=2, **first):
        self.server, self.count, self.code = server, scratch / f"count{time.monotonic_ns()}", None
        self.texts = [self.count.with_suffix(".out"), self.count.with_suffix(".err")]
        given = ["extract", "--extractor", "slow", "--audio", str(music), "--cache", str(cache), "--device", "cpu"]
        given += ["--batch", "2", "--workers", "1", *words]
        out, err = map(str, self.texts)
        self.pid = int(self._ask(words=given, shard=shard, count=str(self.count), out=out, err=err, first=first))

    def _ask(self, **job):
        self.server.stdin.write(json.dumps(job) + "\n")
        self.server.stdin.flush()
        return self.server.stdout.readline().strip()

    def running(self, *, block=False):
        if self.code is None:
            said = self._ask(wait=self.pid, block=block)
            self.code = None if said == "running" else int(said)
        return self.code is None

    def wait_for(self, batches):
        """Until the model has run so many batches, or the process has ended."""
        until = time.monotonic() + 120
        while self.running() and not (self.count.exists() and self.count.stat().st_size >= batches):
            assert time.monotonic() < until
            time.sleep(0.002)

    def signal(self, what):
        if self.running():
            os.kill(self.pid, what)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.running(block=True)

    def end(self):
        """Wait; return exit code and what was said. No fault ever shows a traceback."""
        self.running(block=True)
        said = "".join(text.read_text() for text in self.texts if text.exists())
        assert "Traceback" not in said, said
        return self.code, said


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """Short tracks, one of them broken."""
    folder = tmp_path_factory.mktemp("music")
    clips.write(folder, [0.31 + 0.01 * (i % 5) for i in range(TRACKS)], 22_050)
    (folder / "clip30.wav").write_text("no sound at all")
    return folder


@pytest.fixture
def start(server, music, tmp_path):
    """Start workers, by default on the tracks above and the cache of this test; none outlives it."""
    begun = []

    def make(*words, cache=tmp_path / "cache", music=music, **how):
        begun.append(Worker(server, tmp_path, cache, music, *words, **how))
        return begun[-1]

    yield make
    for worker in begun:
        worker.kill()


@pytest.fixture(scope="module")
def undisturbed(server, music, tmp_path_factory):
    """Rows and vectors of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    code, said = Worker(server, folder, folder / "cache", music, shard=256).end()
    assert code == 0, said
    assert f"{TRACKS - 1} of {TRACKS} tracks have vectors" in said
    return read(folder / "cache")


def shards(cache):
    return sorted(p for p in (cache / "store").glob("*/*.safetensors") if not p.name.startswith(TEMPORARY))


def read(cache):
    """Row -> (status, reason, seconds) and row -> vector, straight from the shards."""
    state, vectors = {}, {}
    for path in shards(cache):
        shard = load_file(path)
        for at, row in enumerate(shard["row"]):
            about = (shard["status"][at], shard["reason"][at].tobytes().rstrip(b"\0"), shard["seconds"][at])
            assert state.setdefault(row.tobytes().decode(), about) == about
            if path.name.startswith("ok-"):
                vectors[row.tobytes().decode()] = shard["layer:mfcc"][at]
    return state, vectors


def finish(start, undisturbed, cache, *words):
    """Run once more with nothing in the way: everything must be there, as if nothing had happened."""
    code, said = start(*words, cache=cache).end()
    assert code == 0, said
    assert f"{TRACKS - 1} of {TRACKS} tracks have vectors" in said
    state, vectors = read(cache)
    assert state == undisturbed[0]
    for row, vector in undisturbed[1].items():
        assert np.abs(vector - vectors[row]).max() <= 1e-4 * np.abs(vector).max()
    return said


# -- Ctrl-C, kill -9, and many at once ------------------------------------------------------------------


def test_ctrl_c_keeps_what_was_done_and_the_next_run_goes_on(start, undisturbed, tmp_path):
    first = start(shard=256)
    first.wait_for(15)  # a trial of a few tracks, then batches of two
    first.signal(signal.SIGINT)
    code, said = first.end()
    assert code == 130, said
    assert "bench: interrupted" in said
    kept = read(tmp_path / "cache")[0]
    assert 10 <= len(kept) < TRACKS
    assert not list((tmp_path / "cache").rglob(f"{TEMPORARY}*"))
    said = finish(start, undisturbed, tmp_path / "cache")
    assert f"slow: {TRACKS - len(kept)} recordings of {TRACKS} tracks to embed" in said


def kill_at_random_moments(start, cache, kills, seed):
    """Kill so many runs; return how many of them left work to do."""
    moments = random.Random(seed)
    kept = [0]
    for _ in range(kills):
        worker = start(cache=cache)
        if moments.random() < 0.85:  # in the midst of its work (a first run begins with a trial), else as it begins
            worker.wait_for(moments.randint(1, 3) + (0 if kept[-1] else 6))
        time.sleep(moments.uniform(0.0, 0.02))
        worker.kill()
        kept.append(len(read(cache)[0]))
        assert kept[-1] >= kept[-2]  # what was written stays
    return sum(rows < TRACKS for rows in kept[1:])


def test_killed_twenty_times(start, undisturbed, tmp_path):
    interrupted = kill_at_random_moments(start, tmp_path / "cache", 20, seed=7)
    assert interrupted >= 10
    finish(start, undisturbed, tmp_path / "cache", "--verify")
    assert not list((tmp_path / "cache").rglob(f"{TEMPORARY}*"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_killed_a_hundred_times(start, undisturbed, tmp_path, seed):
    kill_at_random_moments(start, tmp_path / "cache", 20, seed=100 + seed)
    finish(start, undisturbed, tmp_path / "cache", "--verify")
    assert not list((tmp_path / "cache").rglob(f"{TEMPORARY}*"))


def test_eight_writers_on_one_set(start, undisturbed, tmp_path):
    writers = [start() for _ in range(8)]
    for writer in writers:
        code, said = writer.end()
        assert code == 0, said
        assert f"{TRACKS - 1} of {TRACKS} tracks have vectors" in said
    said = finish(start, undisturbed, tmp_path / "cache", "--verify")
    assert "0 damaged or stale files removed" in said


def test_a_writer_is_killed_while_another_goes_on(start, undisturbed, tmp_path):
    one, other = start(), start()
    one.wait_for(12)
    one.kill()
    code, said = other.end()
    assert code == 0, said
    finish(start, undisturbed, tmp_path / "cache", "--verify")


# -- disks ----------------------------------------------------------------------------------------------


@contextmanager
def disk(folder, size):
    """A file system of its own, in memory; only root may have one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        yield lambda size: subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_full_disk(start, undisturbed, tmp_path):
    cache = tmp_path / "disk"
    with disk(cache, "120k") as resize:
        code, said = start(cache=cache).end()
        assert (code, "No space left on device" in said) == (1, True), said
        assert "Free some space" in said
        kept = read(cache)[0]
        assert 0 < len(kept) < TRACKS
        assert not list((cache / "store").rglob(f"{TEMPORARY}*"))
        code, said = start(cache=cache).end()  # still full
        assert code == 1, said
        assert read(cache)[0].items() >= kept.items()
        resize("8m")
        finish(start, undisturbed, cache)


def test_too_little_disk_for_all_is_said_before_any_work(start, tmp_path):
    with disk(tmp_path / "disk", "24k"):
        code, said = start(cache=tmp_path / "disk").end()
        assert code == 1, said
        assert "free" in said.lower()
        assert not shards(tmp_path / "disk")


def test_files_may_not_grow(start, undisturbed, tmp_path):
    code, said = start(shard=256, small_files=[24_000]).end()
    assert (code, "cannot write" in said) == (1, True), said
    assert not shards(tmp_path / "cache")
    finish(start, undisturbed, tmp_path / "cache")


@contextmanager
def read_only(*folders):
    for folder in folders:
        folder.chmod(0o555)
    try:
        yield
    finally:
        for folder in folders:
            folder.chmod(0o755)


def test_read_only_cache(start, undisturbed, tmp_path):
    cache = tmp_path / "cache"
    worker = start(without_privileges=[])
    worker.wait_for(20)
    (store,) = (cache / "store").iterdir()
    with read_only(store):  # in the midst of the work
        code, said = worker.end()
    assert (code, "cannot write" in said) == (1, True), said
    kept = read(cache)[0]
    assert 0 < len(kept) < TRACKS
    with read_only(store, cache / "store", cache):  # from the start
        code, said = start(without_privileges=[]).end()
    assert (code, "Permission denied" in said, "--cache" in said) == (1, True, True), said
    assert read(cache)[0] == kept
    finish(start, undisturbed, cache)


# -- audio that goes away, clocks that go back -------------------------------------------------------------


def test_audio_vanishes_while_it_is_heard(start, undisturbed, music, tmp_path):
    away, folder = tmp_path / "away", tmp_path / "music"
    shutil.copytree(music, folder)
    worker = start(music=folder, little_read_ahead=[])
    worker.wait_for(16)
    folder.rename(away)
    code, said = worker.end()
    assert (code, "missing" in said) == (0, True), said
    kept = read(tmp_path / "cache")[0]
    assert 0 < len(kept) < TRACKS
    assert {reason for _, reason, _ in kept.values()} <= {reason for _, reason, _ in undisturbed[0].values()}
    listed = pl.read_csv(next((tmp_path / "cache").rglob("failures.csv")))
    assert len(listed) >= TRACKS - len(kept)
    code, said = start(music=folder).end()
    assert (code, "does not exist" in said) == (1, True), said
    away.rename(folder)
    finish(start, undisturbed, tmp_path / "cache")
    assert len(pl.read_csv(next((tmp_path / "cache").rglob("failures.csv")))) == 1


def test_audio_vanishes_between_plan_and_work(tmp_path, monkeypatch, capsys):
    folder, cache = tmp_path / "music", tmp_path / "cache"
    folder.mkdir()
    clips.write(folder, [0.4] * 6, 22_050)
    words = ["extract", "--extractor", "mfcc", "--audio", str(folder), "--cache", str(cache), "--device", "cpu"]
    fill = Collection.fill

    def unplugged(self):
        folder.rename(tmp_path / "away")
        return fill(self)

    with monkeypatch.context() as patch:
        patch.setattr(Collection, "fill", unplugged)
        assert main(words) == 1
    said = capsys.readouterr()
    assert "all 6 tracks failed" in said.err
    assert "missing" in said.out
    assert not shards(cache)
    (tmp_path / "away").rename(folder)
    assert main(words) == 0
    assert "6 of 6 tracks have vectors" in capsys.readouterr().out


@pytest.mark.parametrize("years", [-3, 3])
def test_the_clock_jumps(start, undisturbed, music, tmp_path, years):
    """A run is killed; then the clock is years off, for better or worse, and then it is set right again."""
    cache = tmp_path / "cache"
    worker = start()
    worker.wait_for(20)
    worker.kill()
    kept = read(cache)[0]
    assert 0 < len(kept) < TRACKS
    code, said = start("--verify", shifted_clock=[years * YEAR]).end()
    assert code == 0, said
    for path in [*shards(cache), *cache.glob("*.sqlite"), *list(music.iterdir())[:10]]:
        os.utime(path, (time.time() + years * YEAR,) * 2)  # as if written under that clock
    said = finish(start, undisturbed, cache, "--verify")
    assert "0 damaged or stale files removed" in said
    assert f"{TRACKS - 1} tracks are in the store" in said


# -- damage on disk -----------------------------------------------------------------------------------------


def flip(path, at=0.5):
    content = bytearray(path.read_bytes())
    content[int(at * (len(content) - 1))] ^= 0x10
    path.write_bytes(content)


DAMAGE = {
    "flipped byte in the header": lambda path: flip(path, 0.0),
    "flipped byte in the vectors": lambda path: flip(path, 0.4),
    "flipped byte near the end": lambda path: flip(path, 0.99),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "emptied": lambda path: path.write_bytes(b""),
    "overwritten": lambda path: path.write_bytes(b"\0" * path.stat().st_size),
    "deleted": lambda path: path.unlink(),
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A folder of music and a cache in which its vectors lie in three shards."""
    folder = tmp_path_factory.mktemp("filled")
    (folder / "music").mkdir()
    for part in range(3):
        for at in range(3):
            wave = clips.clip(0.4, 22_050, seed=100 + 3 * part + at)
            soundfile.write(folder / "music" / f"{part}{at}.wav", wave, 22_050)
        assert main(words_for(folder)) == 0
    assert len(shards(folder / "cache")) == 3
    return folder


def words_for(folder, *more):
    given = ["extract", "--extractor", "mfcc", "--audio", str(folder / "music"), "--cache", str(folder / "cache")]
    return [*given, "--device", "cpu", *more]


@pytest.mark.parametrize("damage", DAMAGE)
def test_verify_mends_a_damaged_shard(filled, tmp_path, capsys, damage):
    for name in ("music", "cache"):
        shutil.copytree(filled / name, tmp_path / name)
    before = read(tmp_path / "cache")
    victim = shards(tmp_path / "cache")[1]
    DAMAGE[damage](victim)
    if damage != "deleted" and "vectors" not in damage:
        with open(victim.parent / f"{TEMPORARY}{2**22 + 1}-abandoned.safetensors", "wb") as file:  # no such process
            file.write(b"half of a shard")
    code = main(words_for(tmp_path, "--verify"))
    said = capsys.readouterr().out
    assert code == 0
    removed = 0 if damage == "deleted" else 1 if "vectors" in damage else 2
    assert f"{removed} damaged or stale files removed" in said
    assert "9 of 9 tracks have vectors" in said
    after = read(tmp_path / "cache")
    assert after[0] == before[0]
    for row, vector in before[1].items():
        np.testing.assert_allclose(after[1][row], vector, rtol=1e-4)
    assert not list((tmp_path / "cache").rglob(f"{TEMPORARY}*"))
    assert main(words_for(tmp_path, "--verify")) == 0
    assert "0 damaged or stale files removed" in capsys.readouterr().out


def test_verify_mends_the_description_of_the_set(filled, tmp_path, capsys):
    for name in ("music", "cache"):
        shutil.copytree(filled / name, tmp_path / name)
    next((tmp_path / "cache").rglob("set.json")).write_text('{"key"')
    assert main(words_for(tmp_path, "--verify")) == 0
    said = capsys.readouterr().out
    assert "1 damaged or stale files removed\n  set.json" in said
    assert "9 of 9 tracks have vectors" in said
    assert json.loads(next((tmp_path / "cache").rglob("set.json")).read_text())["layers"]


# -- a thousand broken files --------------------------------------------------------------------------------

FORMATS = {
    "wav": {"format": "WAV", "subtype": "PCM_16"},
    "flac": {"format": "FLAC"},
    "ogg": {"format": "OGG", "subtype": "VORBIS"},
    "mp3": {"format": "MP3"},
}


def mutate(content, rng):
    """Flip, cut, repeat, blank or scramble a piece of a file."""
    content = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        # Headers are where decoders go wrong, so half of the harm is done there.
        reach = 200 if rng.random() < 0.5 else max(1, len(content))
        at, length = rng.randrange(reach), rng.randint(1, 400)
        match rng.randrange(6):
            case 0:
                content[at : at + 1] = bytes([content[at] ^ 1 << rng.randrange(8)]) if at < len(content) else b""
            case 1:
                del content[at:]
            case 2:
                del content[at : at + length]
            case 3:
                content[at:at] = content[at : at + length]
            case 4:
                content[at : at + length] = bytes(length)
            case 5:
                content[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\xff\xff\xff\x7f"])
    return bytes(content)


def broken_collection(folder, count, seed):
    rng = random.Random(seed)
    sound = clips.clip(0.5, 22_050, seed=1)
    for name, how in FORMATS.items():
        soundfile.write(folder / f"whole.{name}", sound, 22_050, **how)
    whole = {name: (folder / f"whole.{name}").read_bytes() for name in FORMATS}
    for at in range(count):
        name = rng.choice(list(FORMATS))
        (folder / f"{at:05d}.{name}").write_bytes(mutate(whole[name], rng))


@pytest.mark.slow
def test_a_thousand_mutated_files(server, tmp_path):
    count, folder = 1_200, tmp_path / "music"
    folder.mkdir()
    broken_collection(folder, count, seed=11)
    worker = Worker(server, tmp_path, tmp_path / "cache", folder, shard=64)
    code, said = worker.end()
    assert code == 0, said
    failed = pl.read_csv(next((tmp_path / "cache").rglob("failures.csv")), infer_schema=False)
    assert f"{count + 4 - len(failed)} of {count + 4} tracks have vectors" in said
    assert failed["track_id"].is_unique().all()
    assert (failed["reason"].str.len_chars() > 3).all()
    assert not failed["track_id"].str.contains("whole").any()
    assert len(failed) > count // 10
    _, vectors = read(tmp_path / "cache")
    assert all(np.isfinite(vector).all() for vector in vectors.values())
    assert "known to fail" in Worker(server, tmp_path, tmp_path / "cache", folder).end()[1]
