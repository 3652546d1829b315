"""``bench train head:of=SPEC``: the same training on frozen vectors, and what uses its weights."""

import numpy as np
import polars as pl
import pytest

from bench.cli import main
from bench.registry import create

OBJECTIVE = "objective=(tags:steps=8,least=2)"


@pytest.fixture(scope="module")
def tones(make_tones):
    return make_tones(72)


@pytest.fixture(scope="module")
def head(tones, words_of, tmp_path_factory):
    """The weights of a head on MFCC, and the folder of the cache."""
    folder = tmp_path_factory.mktemp("head")
    out = folder / "head.safetensors"
    words = ["train", f"head:of=mfcc,kind=mlp,{OBJECTIVE}", *words_of(tones), "--epochs", "6", "--batch", "36"]
    assert main([*words, "--device", "cpu", "--cache", str(folder / "cache"), "--out", str(out)]) == 0
    return out, folder / "cache"


def nearest(capsys, *words):
    capsys.readouterr()
    assert main(["similar", *words, "--k", "12"]) == 0
    lines = capsys.readouterr().out.splitlines()
    return [word for line in lines for word in line.split() if word.startswith("r0")]


def test_it_learns_from_the_recordings_that_are_not_held_out(head, tones):
    out, _ = head
    source = create("extractors", f"head:weights={out}")
    meta = pl.read_csv(tones / "tracks.csv")
    expected = meta.filter((pl.col("part") != "test") & (pl.col("track_id") < "r068"))["track_id"].to_list()
    (heard,) = source.heard
    assert heard.ids == frozenset(expected)
    told = source.trained(out)
    assert (told["of"], told["of_fingerprint"]) == ("mfcc", [create("extractors", "mfcc").fingerprint()])
    assert "`mfcc`" in out.with_suffix(".md").read_text(encoding="utf-8")


def test_its_words_are_near_the_tracks_that_have_them(head, tones, capsys):
    out, cache = head
    place = ["--audio", str(tones / "audio"), "--cache", str(cache), "--device", "cpu", "--quiet"]
    right = []
    for at, word in enumerate(("low", "middle", "high")):
        found = nearest(capsys, "--text", word, "--extractor", f"head:weights={out}", *place)
        assert len(found) == 12
        right += [int(one[1:]) % 3 == at for one in found]
    assert np.mean(right) > 0.6  # by chance a third


def test_a_run_takes_it_and_refuses_it_where_it_has_heard_the_cold_tracks(head, tones, words_of, tmp_path, capsys):
    out, cache = head
    data, at = words_of(tones)[:-2], words_of(tones)[-2:]
    words = ["run", "--extractor", f"head:weights={out}", "--model", "knn", *data, "--cache", str(cache)]
    words += ["--device", "cpu", "--k", "5", "--results", str(tmp_path), "--quiet"]
    assert main([*words, *at]) == 0
    assert "head:weights=" in capsys.readouterr().out
    assert main([*words, "--split", "cold_random"]) == 1
    assert "was trained on" in capsys.readouterr().err
