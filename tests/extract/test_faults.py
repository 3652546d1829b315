"""`bench extract` over files that are moved, changed, damaged and repaired."""

import os

import polars as pl
import pytest
import soundfile
from safetensors.numpy import load_file

from bench.cli import main
from bench.extract import open_set
from bench.registry import create
from bench.testing import clips


@pytest.fixture
def library(tmp_path):
    """Write six tracks into a separate folder."""
    folder = tmp_path / "library"
    folder.mkdir()
    clips.write(folder, [0.5, 0.6, 0.7, 0.5, 0.6, 0.7], 22_050)
    return folder


@pytest.fixture
def extract(library, tmp_path, capsys):
    """Return a function that runs `bench extract` in this process and returns exit code and output."""

    def call(*words):
        code = main(["extract", "--extractor", "mfcc", "--audio", str(library), "--cache", str(tmp_path / "c"), *words])
        said = capsys.readouterr()
        return code, said.out + said.err

    return call


def embedded(cache):
    """Return the number of computed vectors, including repeated computations."""
    return sum(len(load_file(p)["row"]) for p in (cache / "c" / "store").rglob("ok-*"))


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


def test_sections_of_a_file_are_separate_tracks(library, tmp_path, capsys):
    listed = tmp_path / "parts.csv"
    path = library / "clip02.wav"
    listed.write_text(
        f"track_id,path,offset,duration\na,{path},0,0.35\nb,{path},0.35,0.35\nc,{path},,\nd,{path},0.0,\n"
    )
    words = ["extract", "--extractor", "mfcc", "--audio", str(listed), "--cache", str(tmp_path / "c")]
    assert main(words) == 0
    assert "4 of 4 tracks" in capsys.readouterr().out
    assert embedded(tmp_path) == 3  # c and d have the same audio


def test_failures_are_retried_only_with_retry_failed(extract, library, tmp_path):
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
    assert "1 recording of 8 tracks to embed" in said  # two have no audio
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


def test_a_stored_failure_is_repaired_by_a_retry(extract, library, tmp_path):
    extract()
    filled = open_set(tmp_path / "c", create("extractors", "mfcc"))
    rows = filled.rows()["row"].to_list()
    for path in filled.folder.glob("*.safetensors"):
        path.unlink()
    from bench.store import Failure

    filled.append([], [Failure(row, "the model failed: ValueError: x") for row in rows])
    code, said = extract()
    assert code == 1
    assert "all 6 tracks failed" in said
    assert "the model failed: ValueError: x" in said
    code, said = extract("--retry-failed")
    assert code == 0
    assert "6 of 6 tracks have vectors" in said


def test_verify_removes_damaged_shards_and_the_next_run_repairs_them(extract, library, tmp_path):
    extract()
    (shard,) = (tmp_path / "c" / "store").rglob("ok-*")
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
    assert not list((tmp_path / "c").rglob("*.safetensors"))


def test_other_settings_are_another_set(extract, tmp_path, library, capsys):
    extract()
    words = ["extract", "--extractor", "mfcc:n_mfcc=20", "--audio", str(library), "--cache", str(tmp_path / "c")]
    assert main(words) == 0
    assert "mfcc 230" in capsys.readouterr().out
    assert len(list((tmp_path / "c" / "store").iterdir())) == 2
