"""Where extraction runs: parts of a catalogue, a process for each device, and engines of others."""

import os
import pickle
import signal
import subprocess
import sys
import time
from importlib.metadata import EntryPoint, entry_points

import polars as pl
import pytest
from safetensors.numpy import load_file

from bench import machine, registry
from bench.cli import main
from bench.errors import BenchError
from bench.extract import Extraction, loop
from bench.extract.engines import Local, LocalSettings
from bench.extract.processes import Processes, ProcessesSettings
from bench.extract.readers import Source
from bench.protocols import Engine
from bench.registry import create
from bench.testing import EngineContract, clips, task_fixtures
from bench.testing.engine import UNITS, Squares


class TestLocal(EngineContract):
    spec = "local"


class TestLocalJobs(EngineContract):
    spec = "local:jobs=2"


class TestProcesses(EngineContract):
    spec = "processes:devices=cpu|cpu"


class Shares(Squares):
    """Work that returns the cores of its process."""

    def __call__(self, unit):
        return machine.share()


@pytest.mark.parametrize(("devices", "units"), [("cpu|cpu", 6), ("cpu|cpu", 1)])
def test_processes_divide_the_cores(devices, units):
    everything = os.sched_getaffinity(0)
    processes = min(2, units)
    expected = max(1, machine.cores() // processes)
    found = list(create("engines", f"processes:devices={devices}").map(Shares(), [[i] for i in range(units)]))
    assert found == [expected] * units
    assert machine.share() == machine.cores() <= len(everything)


@pytest.mark.parametrize("processes", [1, 3, 64])
def test_a_process_decodes_with_its_part_of_the_cores(processes, music, tmp_path, monkeypatch):
    counts = []
    read_ahead = loop.read_ahead
    monkeypatch.setattr(machine, "cores", lambda: 12)
    monkeypatch.setattr(machine, "_processes", processes)
    monkeypatch.setattr(loop, "read_ahead", lambda e, s, workers: counts.append(workers) or read_ahead(e, s, 1))
    sources = [Source("a", str(next(music.iterdir())))]
    for workers in (None, 5):
        Extraction(create("extractors", "mfcc"), tmp_path, workers=workers)(sources)
    assert counts == [max(1, 12 // processes), 5]


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    folder = tmp_path_factory.mktemp("music")
    clips.write(folder, [0.5 + 0.1 * i for i in range(7)], 22_050)
    return folder


@pytest.fixture
def extract(music, tmp_path, capsys):
    def call(*words):
        places = ["--audio", str(music), "--cache", str(tmp_path / "cache"), "--extractor", "mfcc"]
        try:
            code = main(["extract", *words, *places])
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return call


def rows(cache):
    return sorted(row.tobytes().decode() for path in cache.rglob("ok-*") for row in load_file(path)["row"])


def test_parts_make_the_whole_each_track_once(extract, tmp_path):
    sizes = []
    for part in ("1/3", "2/3", "3/3"):
        code, out, err = extract("--shard", part, "--device", "cpu")
        assert code == 0
        sizes.append(int(err.partition(" tracks")[0].rpartition(" ")[2]))
    assert sizes == [3, 2, 2]
    found = rows(tmp_path / "cache")
    assert len(found) == len(set(found)) == 7
    code, out, err = extract("--device", "cpu")
    assert "7 of 7 tracks have vectors" in out
    assert len(rows(tmp_path / "cache")) == 7, "nothing was left"


@pytest.mark.parametrize(
    ("words", "tracks"),
    [(("--devices", "cpu,cpu"), 7), (("--engine", "processes:devices=cpu|cpu", "--shard", "1/3"), 3)],
)
def test_a_process_for_each_device(extract, tmp_path, words, tracks):
    code, out, _ = extract(*words)
    assert code == 0
    assert f"{tracks} of {tracks} tracks have vectors" in out
    found = rows(tmp_path / "cache")
    assert len(found) == len(set(found)) == tracks


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--shard", "0/3"], "'0/3' is not I/N"),
        (["--shard", "4/3"], "'4/3' is not I/N"),
        (["--shard", "x"], "'x' is not I/N"),
        (["--devices", ","], "devices names none"),
        (["--devices", "cuda:0,cuda:0"], "a device is named twice"),
        (["--devices", "cpu,cpu", "--engine", "processes:devices=cpu"], "--devices"),
        (["--engine", "locel"], "Did you mean 'local'"),
        (["--engine", "local:devices=cpu"], "local has no setting 'devices'"),
        (["--engine", "processes"], "processes needs devices="),
        (["--engine", "local:jobs=-1"], "jobs must be positive"),
    ],
)
def test_wrong_words_are_refused_before_any_work(extract, tmp_path, words, message):
    code, _, err = extract(*words)
    assert code == 1
    assert message in err
    assert not (tmp_path / "cache").exists()


def test_a_worker_without_its_device(extract):
    code, _, err = extract("--devices", "cuda:97")
    assert code == 1
    assert "the worker of cuda:97 failed" in err


# -- processes -------------------------------------------------------------------------------------------


class Fatal(Squares):
    """Kills the process of one device."""

    def __call__(self, unit, /):
        if self.device == "bad":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(unit)


def test_what_a_dead_process_was_at_is_done_by_another(capfd):
    engine = Processes(ProcessesSettings("bad|cpu"))
    found = list(engine.map(Fatal(), UNITS))
    assert sorted(squares for squares, _ in found) == sorted([n * n for n in unit] for unit in UNITS)
    assert {device for _, device in found} == {"cpu"}
    assert "the worker of bad failed: its process ended with exit code -9" in capfd.readouterr().err


def test_all_processes_dead_is_an_error():
    with pytest.raises(BenchError, match=r"every worker failed \(bad, bad\)"):
        list(Processes(type("Two", (), {"names": ["bad", "bad"]})()).map(Fatal(), UNITS))


def test_a_dead_job_ends_the_iteration_with_the_name_of_its_unit():
    with pytest.raises(BenchError, match=r"\[.*\]: its process ended with exit code -9"):
        list(Local(LocalSettings(jobs=2)).map(Fatal(device="bad"), UNITS))


def test_work_that_uses_all_cores_stays_in_this_process():
    done = Local(LocalSettings(jobs=2)).map(Here(at_once=1), [[0], [1]])
    assert set(done) == {os.getpid()}
    assert set(Local().map(Here(), UNITS)) == {os.getpid()}
    assert os.getpid() not in set(Local(LocalSettings(jobs=2)).map(Here(), UNITS))


class Here(Squares):
    """Says which process computes."""

    def __call__(self, unit, /):
        return os.getpid()


def test_each_process_has_its_device():
    engine = Processes(ProcessesSettings("one|two"))
    devices = {device for _, device in engine.map(Slow(), [[number] for number in range(6)])}
    assert devices == {"one", "two"}


class Slow(Squares):
    def __call__(self, unit, /):
        time.sleep(0.3)
        return super().__call__(unit)


INTERRUPTED = """
import os, pathlib, sys, time
from bench.extract.engines import Local, LocalSettings
from bench.extract.processes import Processes, ProcessesSettings
from dataclasses import dataclass

@dataclass
class Waits:
    folder: str
    device: str = "cpu"
    at_once: int = 2
    def __call__(self, unit, /):
        own = pathlib.Path(self.folder) / str(unit)
        own.write_text(str(os.getpid()))
        try:
            time.sleep(600)
        finally:
            own.write_text("stored")

if __name__ == "__main__":
    engines = {"processes": Processes(ProcessesSettings("cpu|cpu")), "jobs": Local(LocalSettings(jobs=2))}
    list(engines[sys.argv[2]].map(Waits(sys.argv[1]), [0, 1, 2]))
"""


@pytest.mark.parametrize(
    ("engine", "ending", "group"),
    [
        ("processes", signal.SIGINT, True),
        ("processes", signal.SIGINT, False),
        ("jobs", signal.SIGINT, True),
        ("jobs", signal.SIGKILL, False),
    ],
)
def test_ctrl_c_lets_all_processes_store_what_they_have_and_end(tmp_path, engine, ending, group):
    """Sent to the whole group, as by a terminal, or to the first process alone; or the first process is killed."""
    (tmp_path / "waits.py").write_text(INTERRUPTED)
    words = [sys.executable, str(tmp_path / "waits.py"), str(tmp_path), engine]
    started = subprocess.Popen(words, start_new_session=True, stderr=subprocess.PIPE)
    files = [tmp_path / "0", tmp_path / "1"]
    try:
        while not all(file.exists() and file.read_text() for file in files):
            assert started.poll() is None
            time.sleep(0.05)
        pids = [int(file.read_text()) for file in files]
        (os.killpg if group else os.kill)(started.pid, ending)
        _, said = started.communicate(timeout=120)
    finally:
        if started.poll() is None:
            os.killpg(started.pid, signal.SIGKILL)
    if ending == signal.SIGINT:
        assert said.decode().splitlines()[-1] == "KeyboardInterrupt"
        assert said.count(b"Traceback") == 1, said.decode()
    assert [file.read_text() for file in files] == ["stored", "stored"]
    assert not (tmp_path / "2").exists()
    for pid in pids if ending == signal.SIGINT else ():  # else they may wait to be buried, with their output closed
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_extraction_can_be_sent_on_after_its_model_was_loaded(music, tmp_path):
    work = Extraction(create("extractors", "mfcc"), tmp_path, log=lambda line: None)
    before = pickle.dumps(work)
    work.load()
    assert work.extractor.__dict__.keys() > create("extractors", "mfcc").__dict__.keys()
    assert pickle.dumps(work) == before
    work.unload()
    assert work.extractor.__dict__.keys() == create("extractors", "mfcc").__dict__.keys()


# -- an engine of somebody else -----------------------------------------------------------------------------


class Elsewhere(Engine):
    """Sends pickled copies, as a cluster would, and does the last unit first."""

    name = "elsewhere"
    workers = 2
    seen = []  # noqa: RUF012

    def map(self, work, units):
        for unit in reversed(list(units)):
            self.seen.append(unit)
            yield pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(work))(unit)))


@pytest.fixture
def elsewhere(monkeypatch):
    """Install the engine `elsewhere`; return the list of units it was given."""
    ours = EntryPoint("elsewhere", f"{__name__}:Elsewhere", "bench.engines")
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Elsewhere.__module__])

    def found(group):
        return [*entry_points(group=group), *([ours] if group == ours.group else [])]

    monkeypatch.setattr(registry, "entry_points", found)
    monkeypatch.setattr(Elsewhere, "seen", [])
    registry._points.cache_clear()
    yield Elsewhere.seen
    registry._points.cache_clear()


def tracks(seen):
    return sorted(os.path.basename(source.path) for unit in seen if isinstance(unit, list) for source in unit)


def cells(seen):
    return [str(unit) for unit in seen if not isinstance(unit, list)]


def test_extract_and_export_give_it_the_units(elsewhere, extract, music, tmp_path):
    code, out, _ = extract("--engine", "elsewhere", "--device", "cpu")
    assert code == 0
    assert "7 of 7 tracks have vectors" in out
    assert tracks(elsewhere) == sorted(os.listdir(music))
    assert len(elsewhere) > 1
    del elsewhere[:]
    places = ["--audio", str(music), "--cache", str(tmp_path / "other"), "--device", "cpu", "--engine", "elsewhere"]
    assert main(["export", "--extractor", "mfcc", "--out", str(tmp_path / "v.parquet"), *places]) == 0
    assert tracks(elsewhere) == sorted(os.listdir(music))
    assert len(pl.read_parquet(tmp_path / "v.parquet")) == 7


def test_run_gives_it_the_units_and_the_numbers_are_the_same(elsewhere, bench, small_world, tmp_path, records):
    words = ["run", "--extractor", "mfcc", "--model", "knn", "--no-controls", "--reference", "none", "--k", "5"]
    found = []
    for engine in ("elsewhere", "local"):
        places = ["--cache", tmp_path / engine, "--results", tmp_path / f"{engine}-results", "--device", "cpu"]
        assert bench(*words, *small_world, *places, "--engine", engine).code == 0
        found.append(records(tmp_path / f"{engine}-results"))
    assert len(tracks(elsewhere)) == len(set(tracks(elsewhere))) == len(rows(tmp_path / "local"))
    assert cells(elsewhere) == ["mfcc x knn"]
    (ours,), (theirs,) = (each.values() for each in found)
    assert ours["metrics"] == theirs["metrics"]


def test_probe_gives_it_the_units(elsewhere, bench, tmp_path):
    folder = task_fixtures.write("gtzan", tmp_path / "gtzan")
    places = ["--cache", tmp_path / "cache", "--results", tmp_path / "results", "--device", "cpu"]
    words = ["probe", "--extractor", "mfcc", "--task", "gtzan", "--probe", "knn", "--no-controls", "--root", folder]
    said = bench(*words, *places, "--engine", "elsewhere")
    assert said.code == 0, said.err
    assert tracks(elsewhere)
    assert len(tracks(elsewhere)) == len(rows(tmp_path / "cache"))
    assert cells(elsewhere) == ["gtzan: mfcc x knn"]
