"""Ids that are written in two ways find one another, and only where nothing else could be meant."""

import unicodedata

import numpy as np
import polars as pl
import pytest

from bench.items.matching import last_part, match

NFC, NFD = (unicodedata.normalize(form, "Björk") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("wanted", "offered"),
    [
        (NFC, NFD),
        (NFD, NFC),
        ("37.0", "37"),
        ("37", "37.0"),
        ("7", "00007"),
        ("0", "000"),
        (" t036", "t036"),
        ("x", "electro/x"),
        ("electro/x", "x"),
        ("x", "electro\\deep\\x"),
        ("x", "electro/x.MP3"),
        ("2", "000/000002.mp3"),
        (f"{NFC}.flac", f"A/{NFD}"),
    ],
)
def test_two_spellings_of_one_id_match(wanted, offered):
    assert wanted != offered
    found = match(["a", wanted], {"id": ["b", offered, "a"]})
    assert found.rows.tolist() == [2, 1]
    assert found.unused.to_list() == ["b"]


@pytest.mark.parametrize(
    ("wanted", "offered"),
    [
        ("12.5", "12"),
        ("1e2", "100"),
        ("t07", "t7"),
        ("A", "a"),
        ("x.old", "x"),  # no extension of audio
        ("x", "x (live)"),
        ("①", "1"),  # compatibility forms are other characters
        ("", "electro/"),
    ],
)
def test_what_is_no_spelling_of_one_id_does_not(wanted, offered):
    assert match([wanted], {"id": [offered]}).rows.tolist() == [-1]


@pytest.mark.parametrize(
    ("wanted", "offered", "rows"),
    [
        (["x"], ["electro/x", "rock/x"], [-1]),  # two could be meant
        (["12", "012"], ["12.0"], [-1, -1]),  # so could two ids of the log
        (["12", "012"], ["12", "012"], [0, 1]),  # equal ids are no question
        (["12", "012"], ["12"], [0, -1]),  # a row is given once
        (["x", "electro/x"], ["electro/x", "x"], [1, 0]),
        (["x", "y"], ["electro/x", "x", "rock/y"], [1, 2]),
    ],
)
def test_an_id_that_could_mean_two_matches_neither(wanted, offered, rows):
    assert match(wanted, {"id": offered}).rows.tolist() == rows


def test_the_kind_of_name_that_fits_most_comes_first():
    """A file named t0.wav.flac has the id t0.wav; the log means the file t0.wav, as its other ids show."""
    kinds = {
        "id": ["t0.wav", "t0", "t1", "t2", "u"],
        "file name": ["t0.wav.flac", "t0.wav", "t1.wav", "t2.wav", "u.wav"],
    }
    found = match(["t0.wav", "t1.wav", "t2.wav", "u"], kinds)
    assert found.rows.tolist() == [1, 2, 3, 4]
    assert {rule: at.tolist() for rule, at in found.rules.items()} == {"file name": [0, 1, 2], "id": [3]}


def test_ids_that_are_the_same_by_definition_match_as_they_are_written():
    assert match(["7", "a"], {"id": ["07", "a"]}, exact=True).rows.tolist() == [-1, 1]


def test_both_sides_are_described_with_examples():
    found = match(["a", "b", "7"], {"id": ["a", "07", "x\x1b[2J", "y"]})
    assert np.array_equal(found.found, [True, False, True])
    assert (found.missing.to_list(), found.unused.to_list()) == (["b"], ["x\x1b[2J", "y"])
    line = found.describe("audio", "track", "file")
    assert line == (
        "audio: 2 of 3 tracks found; 1 by spelling ('7' = '07'); 1 not found ('b'); "
        "2 of 4 files not used ('x\\x1b[2J', 'y')"
    )
    assert match(["a"], {"id": ["a"]}).describe("audio", "track", "file") == ""


def test_folders_are_those_of_posix_and_of_windows():
    paths = ["/music/a/x.wav", "C:\\music\\a\\x.wav", "\\\\host\\share\\x.wav", "x.wav", "a/b\\x.wav"]
    assert last_part(pl.Series(paths)).to_list() == ["x.wav"] * 5


def test_many_ids_match_in_any_order():
    rng = np.random.default_rng(0)
    numbers = rng.permutation(20_000)
    found = match([str(n) for n in numbers], {"id": [f"{n:06d}" for n in range(20_000)]})
    assert np.array_equal(found.rows, numbers)
