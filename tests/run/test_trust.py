"""A stranger's record does not choose which programs run and which files are read here."""

from dataclasses import fields
from pathlib import Path

import pytest

from bench.protocols import NAMES
from bench.registry import catalog
from bench.run.options import Data
from bench.run.probe.request import ProbeRequest
from bench.run.recommend.request import RecommendRequest
from bench.run.trust import named, with_data, without_data

DATA = Data(listens="/theirs/plays.csv", audio="/theirs/music")


@pytest.fixture
def record(base, altered, tmp_path):
    """A record as somebody else may write it: what it asks for is changed, and its hash fits."""

    def write(**asked):
        (path,) = base.results.rglob("mfcc-*/knn-*/seed0.json")
        copy = tmp_path / "theirs.json"
        copy.write_bytes(path.read_bytes())
        return altered(copy, lambda content: content["asked"].update(asked))

    return write


@pytest.fixture
def program(tmp_path):
    """A program that leaves a mark when it is run."""
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\nexit 1\n")
    path.chmod(0o755)
    return path


def test_every_program_and_file_of_a_request_is_named():
    request = RecommendRequest(
        data=DATA,
        extractors=("shuffled:of=(precomputed:path=/theirs/v.npy,ids=/theirs/i.txt)+mfcc",),
        models=("recbole:model=BPR,python=/theirs/python,params=(a=1)", "knn"),
        reference="precomputed:path=/theirs/r.npy",
    )
    assert {line.partition(" (")[0] for line in named(request)} == {
        "precomputed:path=/theirs/v.npy",
        "precomputed:ids=/theirs/i.txt",
        "precomputed:path=/theirs/r.npy",
        "recbole:params=a=1",
        "recbole:python=/theirs/python",
        "--listens /theirs/plays.csv",
        "--audio /theirs/music",
    }
    probing = ProbeRequest(data=Data(), extractors=("mfcc",), tasks=("gtzan",), root="/theirs/mir")
    assert len(named(probing)) == 1
    assert named(ProbeRequest(data=Data(data="demo"), extractors=("mfcc",), tasks=("links",))) == []


def test_data_that_is_typed_takes_the_place_of_the_records():
    request = RecommendRequest(data=DATA, extractors=("mfcc",), models=("knn",), reference=None)
    mine = Data(listens="/mine/plays.csv")
    assert named(without_data(request, mine)) == ["--audio /theirs/music (a file or folder)"]
    assert with_data(request, mine).data == Data(listens="/mine/plays.csv", audio="/theirs/music")
    probing = ProbeRequest(data=Data(), extractors=("mfcc",), tasks=("gtzan",), root="/theirs/mir")
    assert named(without_data(probing, Data(root="/mine"))) == []
    assert with_data(probing, Data(root="/mine")).root == "/mine"


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_a_program_in_a_record_is_not_run(bench, base, record, program, words):
    path = record(models=[f"recbole:model=BPR,python={program}"])
    own = base.words[:6]
    said = bench("run", "--from", path, *own, "--cache", base.cache, *words)
    assert said.code == 1
    assert f"recbole:python={program}" in said.err
    assert not (program.parent / "ran").exists()
    said = bench("run", "--from", path, *own, "--cache", base.cache, "--trust", *words)
    assert f"trusted: recbole:python={program}" in said.err
    assert (program.parent / "ran").exists()


def test_files_in_a_record_are_not_read(bench, base, record):
    said = bench("run", "--from", record(), "--cache", base.cache)
    assert said.code == 1
    assert "--trust" in said.err
    assert str(Path(base.words[1])) in said.err
    same = bench("run", "--from", record(), *base.words[:6], "--cache", base.cache, "--device", "cpu")
    assert same.code == 0, same.err
    assert "The numbers match" in same.out


def test_a_dry_run_of_a_record_computes_nothing(bench, base, record):
    said = bench("run", "--from", record(), "--trust", "--dry-run", "--cache", base.cache, "--device", "cpu")
    assert said.code == 0
    assert said.computed == []
    assert "to compute: mfcc x knn" in said.err


def test_settings_that_look_like_files_or_programs_are_declared():
    suspicious = {"path", "file", "folder", "dir", "directory", "python", "program", "command", "executable", "root"}
    for kind in ("extractors", "recommenders", "tasks"):
        for entry in catalog(kind):
            for field in fields(entry.plugin.Settings) if entry.plugin else ():
                assert field.name not in suspicious or NAMES in field.metadata, f"{entry.origin.name}:{field.name}"
