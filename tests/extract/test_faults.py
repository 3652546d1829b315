"""`bench extract` interrupted, killed, doubled, and run over files that move, change and break."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
import soundfile

from bench.cli import main
from bench.extract import open_set
from bench.files import TEMPORARY
from bench.registry import create
from bench.testing import clips

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked and killed")

SLOW = """
import os, time
from bench_extractors.mfcc import MFCC

class Slow(MFCC):
    "MFCC that takes its time and writes a byte for each batch."
    name = "slow"
    def frames(self, waves):
        with open(os.environ["SLOW_COUNT"], "ab") as file:
            file.write(b".")
        time.sleep(0.01)
        yield from super().frames(waves)
"""
ENTRY = """
# Imports torch once and forks a process for every job it reads; nothing with threads of its own is imported before.
import json, os, signal, sys
import numpy, torch
signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may have switched it off
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
    code = main(job["words"])
    sys.stdout.flush()
    os._exit(code)
"""
TRACKS = 60


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """A process that can start workers at once; it sees a package from outside with an extractor `slow`."""
    site = tmp_path_factory.mktemp("site")
    (site / "slow.py").write_text(SLOW)
    about = site / "slow_mfcc-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-mfcc\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text("[bench.extractors]\nslow = slow:Slow\n")
    (site / "entry.py").write_text(ENTRY)
    env = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}  # two workers on two cores spin otherwise
    words = [sys.executable, str(site / "entry.py")]
    with subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.stdin.close()


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """60 short tracks, one of them broken."""
    folder = tmp_path_factory.mktemp("music")
    clips.write(folder, [0.5 + 0.01 * (i % 17) for i in range(TRACKS)], 22_050)
    (folder / "clip30.wav").write_text("no sound at all")
    return folder


class Worker:
    """A `bench extract` in a process of its own."""

    def __init__(self, outside, folder, music, *, shard=4, words=()):
        self.outside, self.count, self.code = outside, folder / f"count{time.monotonic_ns()}", None
        self.texts = [self.count.with_suffix(".out"), self.count.with_suffix(".err")]
        given = ["extract", "--extractor", "slow", "--audio", str(music), "--cache", str(folder / "cache")]
        given += ["--batch", "2", "--workers", "1", "--device", "cpu", *words]
        out, err = map(str, self.texts)
        self.pid = int(self._ask(words=given, shard=shard, count=str(self.count), out=out, err=err))

    def _ask(self, **job):
        self.outside.stdin.write(json.dumps(job) + "\n")
        self.outside.stdin.flush()
        return self.outside.stdout.readline().strip()

    def running(self, *, block=False):
        if self.code is None:
            said = self._ask(wait=self.pid, block=block)
            self.code = None if said == "running" else int(said)
        return self.code is None

    def wait_for(self, batches, *, done=False):
        """Until the model has run so many batches, or the process has ended if that is fine (`done`)."""
        until = time.monotonic() + 60
        while not self.count.exists() or self.count.stat().st_size < batches:
            if not self.running():
                assert done, self.end()
                return
            assert time.monotonic() < until
            time.sleep(0.002)

    def signal(self, what):
        if self.running():
            os.kill(self.pid, what)

    def end(self):
        """Wait; return exit code, stdout and stderr."""
        self.running(block=True)
        return self.code, *(text.read_text() if text.exists() else "" for text in self.texts)


@pytest.fixture
def start(outside, music, tmp_path):
    """Start workers on the cache of this test; none outlives it."""
    begun = []

    def make(**settings):
        begun.append(Worker(outside, tmp_path, music, **settings))
        return begun[-1]

    yield make
    for worker in begun:
        worker.signal(signal.SIGKILL)
        worker.end()


@pytest.fixture(scope="module")
def whole_run(outside, music, tmp_path_factory):
    """Rows and vectors of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    code, out, err = Worker(outside, folder, music, shard=256).end()
    assert code == 0, out + err
    assert "59 of 60 tracks have vectors" in out
    return read(folder / "cache")


def folder_of(cache):
    found = list((cache / "store").glob("slow-*"))
    assert len(found) < 2
    return found[0] if found else cache / "nothing yet"


def read(cache):
    """Row -> (status, reason, seconds) and row -> vector, straight from the shards."""
    state, vectors = {}, {}
    for path in sorted(folder_of(cache).glob("*.parquet")):
        if path.name.startswith(TEMPORARY):
            continue
        frame = pl.read_parquet(path)
        for row in frame.iter_rows(named=True):
            known = state.setdefault(row["row"], (row["status"], row["reason"], row["seconds"]))
            assert known == (row["status"], row["reason"], row["seconds"])
            if row["status"] != "failed":
                vectors[row["row"]] = np.array(row["layer:mfcc"])
    return state, vectors


def same(left, right):
    assert left[0] == right[0]
    assert left[1].keys() == right[1].keys()
    for row, vector in left[1].items():
        assert np.abs(vector - right[1][row]).max() <= 1e-4 * np.abs(vector).max()


def temporaries(cache):
    return list(cache.rglob(f"{TEMPORARY}*"))


# -- Ctrl-C and kill -9 ---------------------------------------------------------------------------------


def test_ctrl_c_keeps_what_was_done_and_the_next_run_goes_on(start, whole_run, tmp_path):
    first = start(shard=256)
    first.wait_for(15)  # a trial of four tracks, then batches of two
    first.signal(signal.SIGINT)
    code, _, said = first.end()
    assert code == 130, said
    assert "What was finished is kept" in said
    assert "Traceback" not in said
    kept, _ = read(tmp_path / "cache")
    assert 10 <= len(kept) < 60
    assert temporaries(tmp_path / "cache") == []
    code, out, said = start().end()
    assert code == 0, said
    assert f"slow: {60 - len(kept)} recordings of 60 tracks to embed" in said
    assert "59 of 60 tracks have vectors" in out
    same(whole_run, read(tmp_path / "cache"))


def kill_and_resume(start, cache, kills, seed):
    """Kill `kills` runs at random moments, let the last one finish; return how many rows each had left behind."""
    moments = random.Random(seed)
    left = [0]
    for _ in range(kills):
        worker = start()
        if moments.random() < 0.85:  # in the midst of its work (after the trial, if there is one), else as it begins
            worker.wait_for(moments.randint(1, 12) + (0 if left[-1] else 8), done=True)
        time.sleep(moments.uniform(0.0, 0.03))
        worker.signal(signal.SIGKILL)
        worker.end()
        left.append(len(read(cache)[0]))
        assert left[-1] >= left[-2]  # what was written stays
    code, out, said = start(words=["--verify"]).end()
    assert code == 0, said
    assert "59 of 60 tracks have vectors" in out
    assert temporaries(cache) == [], out
    return left


def test_kill_9_at_random_moments_then_resume(start, whole_run, tmp_path):
    left = kill_and_resume(start, tmp_path / "cache", 6, seed=1)
    assert left[-1] > 0, "every kill came before the first shard"
    same(whole_run, read(tmp_path / "cache"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_kill_9_many_times(start, whole_run, tmp_path, seed):
    kill_and_resume(start, tmp_path / "cache", 24, seed=100 + seed)
    same(whole_run, read(tmp_path / "cache"))


def test_two_writers_at_once_fill_one_set(start, whole_run, tmp_path):
    for writer in [start(), start()]:
        code, out, said = writer.end()
        assert code == 0, said
        assert "59 of 60 tracks have vectors" in out
    assert temporaries(tmp_path / "cache") == []
    same(whole_run, read(tmp_path / "cache"))


def test_a_writer_is_killed_while_another_goes_on(start, whole_run, tmp_path):
    one, other = start(), start()
    one.wait_for(12)
    one.signal(signal.SIGKILL)
    code, out, said = other.end()
    assert code == 0, said
    assert "59 of 60 tracks have vectors" in out
    same(whole_run, read(tmp_path / "cache"))


# -- files that move, change, break and are mended -------------------------------------------------------


@pytest.fixture
def library(tmp_path):
    """Six tracks in a folder of their own."""
    folder = tmp_path / "library"
    folder.mkdir()
    clips.write(folder, [0.5, 0.6, 0.7, 0.5, 0.6, 0.7], 22_050)
    return folder


@pytest.fixture
def extract(library, tmp_path, capsys):
    """Run `bench extract` in this process; return exit code and what was printed."""

    def call(*words):
        code = main(["extract", "--extractor", "mfcc", "--audio", str(library), "--cache", str(tmp_path / "c"), *words])
        said = capsys.readouterr()
        return code, said.out + said.err

    return call


def embedded(cache):
    """How many vectors were ever computed, those computed twice counted twice."""
    return sum(len(pl.read_parquet(p)) for p in (cache / "c" / "store").rglob("ok-*.parquet"))


def test_renamed_moved_and_duplicated_files_are_not_embedded_again(extract, library, tmp_path):
    assert extract()[0] == 0
    assert embedded(tmp_path) == 6
    (library / "clip00.wav").rename(library / "other name.wav")
    (library / "deep" / "down").mkdir(parents=True)
    (library / "clip01.wav").rename(library / "deep" / "down" / "clip01.wav")
    (library / "twin.wav").write_bytes((library / "clip02.wav").read_bytes())
    os.utime(library / "clip03.wav", (1, 1))
    code, said = extract()
    assert code == 0
    assert "mfcc: 7 tracks are in the store" in said
    assert "7 of 7 tracks have vectors" in said
    assert embedded(tmp_path) == 6


def test_two_copies_in_a_new_library_are_embedded_once(extract, library, tmp_path):
    (library / "twin.wav").write_bytes((library / "clip02.wav").read_bytes())
    code, said = extract()
    assert (code, embedded(tmp_path)) == (0, 6)
    assert "7 of 7 tracks have vectors" in said


def test_a_changed_file_is_embedded_again(extract, library, tmp_path):
    extract()
    before = (library / "clip04.wav").stat()
    soundfile.write(library / "clip04.wav", clips.clip(0.6, 22_050, seed=99), 22_050, subtype="FLOAT")
    assert (library / "clip04.wav").stat().st_size == before.st_size
    code, said = extract()
    assert code == 0
    assert "1 recording of 6 tracks to embed" in said
    assert embedded(tmp_path) == 7


def test_a_part_of_a_file_is_a_track_of_its_own(library, tmp_path, capsys):
    listed = tmp_path / "parts.csv"
    path = library / "clip02.wav"
    listed.write_text(
        f"track_id,path,offset,duration\na,{path},0,0.35\nb,{path},0.35,0.35\nc,{path},,\nd,{path},0.0,\n"
    )
    words = ["extract", "--extractor", "mfcc", "--audio", str(listed), "--cache", str(tmp_path / "c")]
    assert main(words) == 0
    assert "4 of 4 tracks" in capsys.readouterr().out
    assert embedded(tmp_path) == 3  # c and d are the same sound


def test_failures_are_listed_and_tried_again_only_when_asked(extract, library, tmp_path):
    good = (library / "clip05.wav").read_bytes()
    (library / "clip05.wav").write_bytes(good[:200] + b"\0" * 10)
    (library / "zero.mp3").touch()
    (library / "link.wav").symlink_to(library / "nowhere.wav")
    code, said = extract()
    assert code == 0
    (csv,) = (tmp_path / "c" / "store").glob("mfcc-*/failures.csv")
    assert str(csv) in said
    listed = pl.read_csv(csv)
    assert listed.columns == ["track_id", "path", "reason"]
    reasons = {row["track_id"]: row["reason"] for row in listed.iter_rows(named=True)}
    assert reasons.keys() == {"clip05", "zero", "link"}
    assert (reasons["zero"], reasons["link"]) == ("empty file", "missing")
    assert listed.filter(track_id="zero")["path"].item() == str(library / "zero.mp3")
    for track, reason in reasons.items():
        assert f"{track}: {reason}" in said

    _, said = extract()
    assert "3 known to fail (--retry-failed tries again)" in said
    _, said = extract("--retry-failed")
    assert "1 recording of 8 tracks to embed" in said  # two have no audio to try
    assert extract("--max-failed", "2")[0] == 2
    assert extract("--max-failed", "3")[0] == 0

    (library / "clip05.wav").write_bytes(good)
    (library / "zero.mp3").unlink()
    (library / "link.wav").unlink()
    code, said = extract()
    assert code == 0
    assert "6 of 6 tracks have vectors" in said
    assert "0 failed" in said
    assert "known to fail" not in said
    assert not csv.exists()


def test_a_failure_that_was_not_the_files_is_mended_by_retrying(extract, library, tmp_path):
    extract()
    filled = open_set(tmp_path / "c", create("extractors", "mfcc"))
    vector = filled.rows().row(0, named=True)
    shard = pl.read_parquet(vector["shard"])
    for path in filled.folder.glob("*.parquet"):
        path.unlink()
    from bench.store import Failure

    filled.append([], [Failure(row, "out of memory even alone") for row in shard["row"]])
    code, said = extract()
    assert code == 1
    assert "all 6 tracks failed" in said
    assert "out of memory even alone" in said
    code, said = extract("--retry-failed")
    assert code == 0
    assert "6 of 6 tracks have vectors" in said


def test_verify_drops_damage_and_the_same_run_mends_it(extract, library, tmp_path):
    extract()
    (shard,) = (tmp_path / "c" / "store").rglob("ok-*.parquet")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    code, said = extract("--verify")
    assert code == 0
    assert "1 damaged or stale file" in said
    assert shard.name in said
    assert "6 of 6 tracks have vectors" in said
    assert "0 damaged or stale files removed" in extract("--verify")[1]


def test_a_dry_run_embeds_nothing(extract, tmp_path):
    code, said = extract("--dry-run")
    assert code == 0
    assert "6 recordings of 6 tracks to embed on cpu" in said
    assert not list((tmp_path / "c").rglob("*.parquet"))


def test_other_settings_are_another_set(extract, tmp_path, library, capsys):
    extract()
    words = ["extract", "--extractor", "mfcc:n_mfcc=20", "--audio", str(library), "--cache", str(tmp_path / "c")]
    assert main(words) == 0
    assert "mfcc 230" in capsys.readouterr().out
    assert len(list((tmp_path / "c" / "store").iterdir())) == 2
