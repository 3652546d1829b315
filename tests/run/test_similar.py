import numpy as np
import pytest

from bench.errors import BenchError
from bench.items.item_table import Tables
from bench.resolver import Resolver
from bench.run.embed import Collection
from bench.run.options import Data, Environment
from bench.run.progress import Ui
from bench.run.similar import check, found, similar


@pytest.fixture(scope="module")
def collection(world_folder, tmp_path_factory):
    data = Data(
        listens=str(world_folder / "plays.csv"),
        audio=str(world_folder / "audio"),
        meta=str(world_folder / "tracks.parquet"),
    )
    environment = Environment(cache=tmp_path_factory.mktemp("cache"), device="cpu")
    made = Collection(data, ["mfcc"], "corrected", environment, Ui(log=lambda _line: None))
    made.fill()
    return made


def test_ranks_are_those_of_the_cosine(collection):
    ids = sorted(collection.audio.rows["track_id"].to_list())
    tables = Tables(collection.environment.cache, collection.audio.row_of)
    vectors = tables.joined(collection.entries[0], ids)[0].astype(np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = unit @ unit[7]
    cosine[7] = -2
    near = similar(collection, ids[7], None, 5)
    assert [one.track_id for one in near] == [ids[at] for at in np.argsort(-cosine)[:5]]
    np.testing.assert_allclose([one.cosine for one in near], np.sort(cosine)[::-1][:5], atol=1e-5)
    artists = dict(collection.meta.select("track_id", "artist").iter_rows())
    assert all(one.artist == artists[one.track_id] for one in near)


def test_a_track_is_found_by_id_path_and_file_name(collection):
    rows = collection.audio.rows
    paths = dict(rows.select("track_id", "path").iter_rows())
    one, path = rows.row(3)[:2]
    assert {found(name, paths) for name in (one, path, f"{one}.wav")} == {one}
    twice = {"a": "/x/song.mp3", "b": "/y/song.mp3"}
    with pytest.raises(BenchError, match="2 tracks"):
        found("song.mp3", twice)
    with pytest.raises(BenchError, match="no track"):
        found("zz", twice)


def test_words_have_the_pooling_that_the_extractor_declares(collection, monkeypatch):
    monkeypatch.setattr(collection, "entries", Resolver().extractors(["mfcc:pooling=max"]))
    with pytest.raises(BenchError, match="pooling="):
        check(collection, None, "rock")


def test_words_need_an_extractor_that_has_them(collection):
    with pytest.raises(BenchError, match="no vectors of words"):
        similar(collection, None, "piano", 5)


@pytest.mark.parametrize("asked", [["no-such-track"], ["--text", "piano"], []])
def test_a_wrong_question_is_refused_before_vectors_are_computed(bench, world_folder, tmp_path, asked):
    files = ["--audio", str(world_folder / "audio"), "--cache", str(tmp_path)]
    said = bench("similar", *asked, "--extractor", "mfcc", *files)
    assert said.code == 1
    assert "to embed" not in said.out + said.err
    assert not list(tmp_path.rglob("*.safetensors"))
