"""Parts of a catalogue, and a process for each device."""

import polars as pl
import pytest

from bench.cli import main
from bench.run.processes import _without
from bench.testing import clips


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
    shards = cache.rglob("ok-*.parquet")
    return sorted(pl.concat([pl.read_parquet(path, columns=["row"]) for path in shards])["row"].to_list())


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


def test_a_process_for_each_device(extract, tmp_path):
    code, out, _ = extract("--devices", "cpu,cpu")
    assert code == 0
    assert "7 of 7 tracks have vectors" in out
    found = rows(tmp_path / "cache")
    assert len(found) == len(set(found)) == 7


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--shard", "0/3"], "'0/3' is not I/N"),
        (["--shard", "4/3"], "'4/3' is not I/N"),
        (["--shard", "x"], "'x' is not I/N"),
        (["--devices", ","], "--devices names none"),
        (["--devices", "cuda:0,cuda:0"], "a device is named twice"),
    ],
)
def test_wrong_words(extract, words, message):
    code, _, err = extract(*words)
    assert code == 1
    assert message in err


def test_a_worker_without_its_device(extract):
    code, _, err = extract("--devices", "cuda:97")
    assert code == 1
    assert "the worker of cuda:97 failed" in err


def test_options_are_left_out_with_their_values():
    words = ["--devices", "a,b", "--audio", "x", "--shard=1/2", "--device", "cpu", "--quiet"]
    assert _without(words, ("--devices", "--device", "--shard")) == ["--audio", "x", "--quiet"]
