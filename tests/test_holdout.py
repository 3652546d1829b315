"""The hold-out of recordings: groups, shares, equal files, and lists of what a model heard."""

import hashlib
import wave
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import soundfile

from bench.errors import BenchError
from bench.holdout import hold_out
from bench.protocols import Dataset, Heard, HoldOut


class Tracks(Dataset):
    """A data set with the given metadata, audio and log."""

    name = "tracks"
    default_split = "global_temporal"
    default_k = 10

    def __init__(self, meta=None, catalog=None, items=()):
        super().__init__()
        self.frame, self.files, self.items = meta, catalog, list(items)

    def prepare(self, root, cache):
        return cache

    def listens(self, root):
        return pl.LazyFrame({"user": ["u"] * len(self.items), "item": self.items, "time": [0] * len(self.items)})

    def fingerprint(self, root):
        return {}

    def meta(self, root):
        return self.frame

    def catalog(self, root):
        return self.files


def piece(seed, seconds=8):
    """Random chords at 16 kHz, four a second, (n,)."""
    rng = np.random.default_rng(seed)
    clock = np.arange(4_000) / 16_000
    notes = 220 * 2 ** (rng.integers(0, 36, (4 * seconds, 3)) / 12)
    chords = [np.sin(2 * np.pi * chord[:, None] * clock).sum(axis=0) * np.exp(-6 * clock) for chord in notes]
    return 0.2 * np.concatenate(chords)


def named(n=200, **columns):
    ids = [f"t{i:03d}" for i in range(n)]
    return pl.DataFrame({"track_id": ids, "artist": [f"a{i // 4}" for i in range(n)], **columns})


def drawn(dataset, tmp_path, **options):
    return hold_out(dataset, tmp_path, tmp_path, **options)


def test_a_share_of_the_artists_is_held_out_whole(tmp_path):
    found = drawn(Tracks(named()), tmp_path, share=0.3)
    groups = found.tracks.group_by("group").agg(held=pl.col("held").all(), some=pl.col("held").any(), n=pl.len())
    assert groups["held"].equals(groups["some"], check_names=False)
    assert groups["held"].sum() == 15
    assert (groups["n"] == 4).all()
    assert len(found.held) == 60
    assert found.groups["t004"] == "a1"
    assert len(drawn(Tracks(named()), tmp_path, share=0.1).held) == 20
    # By default a tenth, but at least 20 artists or a third of few.
    assert [len(drawn(Tracks(named(4 * n)), tmp_path).held) for n in (300, 100, 30)] == [120, 80, 40]


def test_equal_tracks_give_equal_files_in_any_order(tmp_path):
    meta = named()
    one = drawn(Tracks(meta), tmp_path / "a")
    other = drawn(Tracks(meta.sample(fraction=1, shuffle=True, seed=1)), tmp_path / "b")
    assert one.sha256 == other.sha256
    assert one.path.name == other.path.name
    assert pl.read_parquet(one.path).equals(pl.read_parquet(other.path))
    assert pl.read_parquet(one.path).equals(one.tracks)
    assert drawn(Tracks(meta), tmp_path / "a", seed=1).held != one.held


def test_tracks_with_the_same_audio_are_one_group(tmp_path):
    paths = []
    for i in range(6):
        path = tmp_path / f"{i}.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(np.full(100, i % 4, np.int16).tobytes())  # 0 = 4 and 1 = 5
        paths.append(str(path))
    null = pl.Series([None] * 6, dtype=pl.Float64)
    files = pl.DataFrame({"track_id": list("abcdef"), "path": paths, "offset": null, "duration": null})
    groups = drawn(Tracks(catalog=files), tmp_path, share=0.5).groups
    assert groups == {"a": "a", "b": "b", "c": "c", "d": "d", "e": "a", "f": "b"}
    meta = pl.DataFrame({"track_id": list("abcdef"), "artist": [None, "x", "X ", "y", "y", None]})
    assert drawn(Tracks(meta, files), tmp_path, share=0.5).groups == dict(zip("abcdef", "yXXyyX", strict=True))


def test_a_recording_in_another_encoding_under_another_artist_is_in_the_same_group(tmp_path):
    """Whatever was computed before: another cache gives the same hold-out."""
    paths = []
    for at in range(4):
        paths.append(str(tmp_path / f"{at}.wav"))
        soundfile.write(paths[-1], piece(at % 3), 16_000)
    paths[3] = str(tmp_path / "3.mp3")
    soundfile.write(paths[3], 0.5 * piece(0)[5_000:], 16_000)
    null = pl.Series([None] * 4, dtype=pl.Float64)
    files = pl.DataFrame({"track_id": list("abcd"), "path": paths, "offset": null, "duration": null})
    meta = pl.DataFrame({"track_id": list("abcd"), "artist": list("xyzw")})
    one, other = (drawn(Tracks(meta, files), tmp_path / name, share=0.5) for name in "12")
    assert one.groups == {"a": "w", "b": "y", "c": "z", "d": "w"}
    assert (one.sha256, one.held) == (other.sha256, other.held)
    again = drawn(Tracks(meta, files), tmp_path / "1", share=0.5)
    assert again.sha256 == one.sha256


def test_a_part_column_replaces_the_draw(tmp_path):
    part = ["Testing" if i < 10 else None if i == 50 else "train" for i in range(200)]
    found = drawn(Tracks(named(part=part)), tmp_path)
    assert sorted(found.held) == [f"t{i:03d}" for i in range(10)]


def test_a_log_alone_has_a_hold_out(tmp_path):
    found = drawn(Tracks(items=["a", "b", "b", "c", "d"]), tmp_path, share=0.5)
    assert found.tracks["track_id"].to_list() == ["a", "b", "c", "d"]
    order = sorted("abcd", key=lambda one: hashlib.sha256(f"0:{one}".encode()).hexdigest())
    assert found.held == frozenset(order[:2])


def test_one_artist_and_impossible_shares_are_refused(tmp_path):
    meta = named(4)
    with pytest.raises(BenchError, match="one artist"):
        drawn(Tracks(meta), tmp_path)
    with pytest.raises(BenchError, match="share 1 must be"):
        drawn(Tracks(named()), tmp_path, share=1.0)


def test_a_list_of_tracks_is_read_again_and_checked(tmp_path):
    path = tmp_path / "model.tracks.parquet"
    heard = Heard.write(path, ["b", "a", "b"], data="demo", cutoff=None, signals=["tags"])
    assert Heard("demo", None, ("tags",), heard.sha256, path).ids == {"a", "b"}
    with pytest.raises(BenchError, match="sha256"):
        _ = replace(heard, sha256="0" * 64).ids
    with pytest.raises(BenchError, match="cannot be read"):
        _ = replace(heard, path=tmp_path / "none.parquet").ids


def test_a_hold_out_says_who_is_held():
    tracks = pl.DataFrame({"track_id": ["a", "b"], "group": ["x", "y"], "held": [True, False]})
    assert HoldOut(tracks, "", None).held == {"a"}
