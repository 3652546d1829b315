"""``bench train``: what it reads, writes and repeats; a killed training goes on and gives the same file."""

import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import soundfile

from bench.cli import main
from bench.errors import BenchError
from bench.protocols import Heard, HoldOut
from bench.registry import create
from bench.run.inputs import held_out, open_data
from bench.run.options import Data, Environment
from bench.run.train.recordings import MOST_VALID, _validation, choose

SPEC = "cnn:arch=small,objective=(tags:steps=2,least=2)"
QUICK = ["--epochs", "3", "--batch", "16", "--device", "cpu"]


@pytest.fixture(scope="module")
def tones(make_tones):
    return make_tones()


@pytest.fixture(scope="module")
def trained(tones, words_of, tmp_path_factory):
    """The weights of one training, and the folder of its cache."""
    folder = tmp_path_factory.mktemp("trained")
    out = folder / "tones.safetensors"
    words = ["train", SPEC, *words_of(tones), *QUICK, "--cache", str(folder / "cache"), "--out", str(out)]
    assert main(words) == 0
    return out, words


def tensors(path):
    from safetensors.numpy import load_file

    return load_file(path)


def test_the_weights_are_those_of_an_extractor_that_knows_what_it_heard(trained, tones):
    out, _ = trained
    cnn = create("extractors", f"cnn:weights={out}")
    (heard,) = cnn.heard
    meta = pl.read_csv(tones / "tracks.csv")
    expected = meta.filter((pl.col("part") != "test") & (pl.col("track_id") < "r044"))["track_id"].to_list()
    assert heard.ids == frozenset(expected)
    assert (heard.cutoff, tuple(heard.signals)) == ("2020-02-01T00:00:00Z", ("tags",))
    assert isinstance(heard, Heard)
    words, vectors = cnn.words()
    assert sorted(words) == ["high", "low", "middle"]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert out.with_suffix(".md").read_text(encoding="utf-8").startswith("# tones\n")
    random = create("extractors", "cnn:arch=small,weights=random")
    assert cnn.fingerprint() != random.fingerprint()
    assert (cnn.untrained, random.untrained) == (False, True)


def test_the_same_command_again_trains_nothing(trained, capsys):
    out, words = trained
    before = out.stat().st_mtime_ns
    capsys.readouterr()
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"cnn:weights={out}"
    assert out.stat().st_mtime_ns == before
    assert main([*words, "--seed", "1"]) == 1  # other weights must not replace these
    assert out.stat().st_mtime_ns == before


def test_a_killed_training_goes_on_and_gives_the_same_file(trained, tmp_path):
    out, words = trained
    again = tmp_path / "again.safetensors"
    command = [*words[:-3], str(tmp_path / "cache"), "--out", str(again)]
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", *command], stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    for line in process.stderr:
        if line.startswith("epoch 1 "):
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not again.exists()
    done = subprocess.run([sys.executable, "-m", "bench", *command], capture_output=True, text=True, check=True)
    assert "training goes on after epoch 1" in done.stderr
    assert again.read_bytes() == out.read_bytes()
    assert not any((tmp_path / "cache" / "checkpoints").iterdir())


def poison(tones, folder, ids):
    """Copy the collection with other audio for some recordings, and other plays after the cut-off."""
    shutil.copytree(tones, folder)
    rng = np.random.default_rng(9)
    for one in ids:
        soundfile.write(folder / "audio" / f"{one}.wav", rng.uniform(-1, 1, 48_000), 16_000, subtype="PCM_16")
    plays = pl.read_csv(folder / "plays.csv")
    late = pl.col("time") > 1_580_515_200
    other = pl.Series(rng.permutation(plays["user"].to_list()))
    plays.with_columns(user=pl.when(late).then(other).otherwise(pl.col("user"))).unique(maintain_order=True).write_csv(
        folder / "plays.csv"
    )
    return folder


@pytest.mark.parametrize("heard", [False, True])
def test_neither_held_out_recordings_nor_what_is_after_the_cutoff_is_read(trained, tones, words_of, tmp_path, heard):
    out, _ = trained
    meta = pl.read_csv(tones / "tracks.csv")
    unheard = meta.filter((pl.col("part") == "test") | (pl.col("track_id") >= "r044"))["track_id"].to_list()
    poisoned = poison(tones, tmp_path / "poisoned", ["r000"] if heard else unheard)
    again = tmp_path / "again.safetensors"
    words = [*words_of(poisoned), *QUICK, "--cache", str(tmp_path / "cache"), "--out", str(again)]
    assert main(["train", SPEC, *words]) == 0
    same = [np.array_equal(value, tensors(again)[name]) for name, value in tensors(out).items()]
    assert all(same) is not heard


def test_what_cannot_be_decoded_is_left_out(tones, words_of, tmp_path):
    broken = poison(tones, tmp_path / "broken", [])
    (broken / "audio" / "r000.wav").write_bytes(b"RIFF" + bytes(100))
    out = tmp_path / "out.safetensors"
    words = [*words_of(broken), *QUICK, "--cache", str(tmp_path / "cache"), "--out", str(out)]
    assert main(["train", SPEC, *words]) == 0
    (heard,) = create("extractors", f"cnn:weights={out}").heard
    assert "r000" not in heard.ids
    assert "r001" in heard.ids


def test_training_ends_at_its_time_limit_and_goes_on_with_more(tones, words_of, tmp_path, capsys):
    out = tmp_path / "out.safetensors"
    words = ["train", SPEC, *words_of(tones), *QUICK, "--cache", str(tmp_path / "cache"), "--out", str(out)]
    assert main([*words, "--max-time", "0.001s"]) == 0
    assert create("extractors", f"cnn:weights={out}").trained(out)["stopped"] == "deadline"
    assert main(words) == 0
    told = create("extractors", f"cnn:weights={out}").trained(out)
    assert (told["stopped"], told["epochs_trained"]) == ("epochs", 3)


def test_validation_recordings_are_some_groups_without_a_part(world_folder, tmp_path):
    data = Data(
        listens=str(world_folder / "plays.csv"),
        audio=str(world_folder / "audio"),
        meta=str(world_folder / "tracks.parquet"),
    )
    split = "global_temporal:cut=2020-02-20,start=2019-02-20,end=2020-03-21"
    chosen = choose(data, split, Environment(tmp_path), lambda _line: None, 0)
    artist = dict(pl.read_parquet(world_folder / "tracks.parquet").select("track_id", "artist").iter_rows())
    by = [{artist[one] for one in np.array(chosen.ids)[mask]} for mask in (chosen.valid, ~chosen.valid)]
    held = {artist[one] for one in chosen.hold_out.held}
    assert not by[0] & by[1]
    assert not held & (by[0] | by[1])
    assert all([by[0], by[1], held])
    pairs = chosen.data.interactions
    cut = 1_582_156_800
    assert int(pairs.last.max()) < cut
    log = pl.read_csv(world_folder / "plays.csv").filter(
        (pl.col("time") < cut) & pl.col("item").is_in(chosen.ids) & (pl.col("time") >= cut - 365 * 86_400)
    )
    assert len(pairs) == log.select("user", "item").n_unique()


def test_weights_trained_further_say_what_was_heard_before(trained, tmp_path):
    out, words = trained
    (first,) = create("extractors", f"cnn:weights={out}").heard
    meta = pl.read_csv(next(word for word in words if word.endswith("tracks.csv")))
    fewer = tmp_path / "tracks.csv"
    kept = sorted(first.ids)[::2]
    meta.with_columns(
        part=pl.when(pl.col("track_id").is_in(sorted(first.ids - set(kept))[:4])).then(pl.lit("test")).otherwise("part")
    ).write_csv(fewer)
    again = tmp_path / "again.safetensors"
    spec = f"cnn:weights={out},objective=(tags:steps=2,least=2)"
    swapped = {SPEC: spec, str(out): str(again)}
    new = [str(fewer) if word.endswith("tracks.csv") else swapped.get(word, word) for word in words]
    assert main(new) == 0
    second, before = create("extractors", f"cnn:weights={again}").heard
    assert (before.ids, before.sha256) == (first.ids, first.sha256)
    assert len(first.ids - second.ids) == 4
    assert "again.before1.parquet" in again.with_suffix(".md").read_text(encoding="utf-8")
    out.with_suffix(".tracks.parquet").rename(tmp_path / "list")
    try:
        assert main([*new[:-1], str(tmp_path / "third.safetensors")]) == 1
    finally:
        (tmp_path / "list").rename(out.with_suffix(".tracks.parquet"))


def test_no_artist_of_many_is_in_both_training_and_validation(tmp_path):
    ids = [f"t{at:05}" for at in range(30_000)]
    artist = np.array([f"a{at % 1000}" for at in range(30_000)])
    tracks = pl.DataFrame({"track_id": ids, "group": artist, "held": [False] * len(ids)})
    valid = _validation(ids, HoldOut(tracks, "", tmp_path), {}, 0)
    assert MOST_VALID - 30 < valid.sum() <= MOST_VALID
    assert not set(artist[valid]) & set(artist[~valid])
    part = dict.fromkeys(ids[:4000], "valid")
    assert _validation(ids, HoldOut(tracks, "", tmp_path), part, 0).sum() == 4000


def test_wrong_requests_are_refused(tones, words_of, tmp_path, capsys):
    cache = ["--cache", str(tmp_path)]
    for spec in ("mfcc", "cnn:objective=nonsense", "cnn:arch=nonsense", "cnn:objective=(tags:least=999)"):
        assert main(["train", spec, *words_of(tones), *cache]) == 1
    assert main(["train", SPEC, *words_of(tones), *cache, "--out", "weights.bin"]) == 1
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"no weights")
    with pytest.raises(BenchError, match="weights"):
        create("extractors", f"cnn:weights={other}")


def test_folders_that_cannot_be_written_are_refused_before_the_plan(tones, words_of, tmp_path, capsys):
    (tmp_path / "file").write_bytes(b"")
    words = ["train", SPEC, *words_of(tones), *QUICK, "--cache", str(tmp_path / "cache"), "--dry-run"]
    for option, path in (("--out", tmp_path / "file" / "a.safetensors"), ("--log-dir", tmp_path / "file" / "log")):
        assert main([*words, option, str(path)]) == 1
        assert str(path.parent if option == "--out" else path) in capsys.readouterr().err
    assert main([*words, "--out", str(tmp_path / "new" / "a.safetensors")]) == 0


def test_many_new_recordings_are_announced_when_audio_and_log_are_given_apart(world_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.audio.fingerprint.BATCH", 8)
    lines = []
    environment = Environment(tmp_path)
    opened = open_data(Data(listens=str(world_folder / "plays.csv"), audio=str(world_folder / "audio")), environment)
    first = held_out(opened, environment, lines.append)
    assert [line.startswith("hears the first minute of") for line in lines] == [True]
    assert held_out(opened, environment, lines.append).sha256 == first.sha256
    assert len(lines) == 1  # heard once
