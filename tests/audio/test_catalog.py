import os

import polars as pl
import pytest

from bench.audio import catalog
from bench.errors import BenchError


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def ids(found):
    return found.rows["track_id"].to_list()


def test_folder_lists_audio_sorted_and_counts_the_rest(tmp_path):
    touch(tmp_path, "b/Two.MP3", "a/one.wav", "a/x.y.flac", "cover.jpg", "b/cover.JPG", "README")
    touch(tmp_path, ".hidden.wav", ".git/three.wav", "a/日本 ñ.ogg")
    found = catalog.read(tmp_path)
    assert ids(found) == sorted(["a/one", "a/x.y", "a/日本 ñ", "b/Two"])
    assert found.skipped == {".jpg": 2, catalog.NO_EXTENSION: 1}
    assert found.source == str(tmp_path)
    assert dict(found.rows.schema) == catalog.SCHEMA
    assert all(os.path.isabs(p) and os.path.isfile(p) for p in found.rows["path"])
    assert found.rows["offset"].null_count() == found.rows["duration"].null_count() == 4


def test_shared_names_keep_their_extension(tmp_path):
    touch(tmp_path, "song.mp3", "song.wav", "song.mp3.flac", "other.mp3", "d/song.wav", "trap.wav.ogg")
    found = catalog.folder(tmp_path)
    assert set(ids(found)) == {"song.mp3", "song.wav", "song.mp3.flac", "other", "d/song", "trap.wav"}
    rows = dict(found.rows.select("track_id", "path").iter_rows())
    assert rows["song.mp3"].endswith("/song.mp3")
    assert rows["song.mp3.flac"].endswith("/song.mp3.flac")


def test_links_are_followed_once_and_loops_end(tmp_path):
    root = tmp_path / "music"
    touch(root, "real/a.wav")
    touch(tmp_path, "outside/b.wav")
    (root / "aaa_link").symlink_to(root / "real", target_is_directory=True)
    (root / "real" / "loop").symlink_to(root, target_is_directory=True)
    (root / "more").symlink_to(tmp_path / "outside", target_is_directory=True)
    (root / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    (root / "linked.wav").symlink_to(root / "real" / "a.wav")
    assert ids(catalog.folder(root)) == ["gone", "linked", "more/b", "real/a"]


def test_links_that_lead_nowhere_are_tracks_that_cannot_be_read(tmp_path):
    touch(tmp_path, "fine.wav")
    (tmp_path / "self.wav").symlink_to("self.wav")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "through.wav").symlink_to("self/x.wav")
    found = catalog.folder(tmp_path)
    assert ids(found) == ["fine", "self", "through"]
    assert found.skipped == {catalog.NO_EXTENSION: 1}


def test_folder_names_that_are_not_utf8_are_reported(tmp_path):
    touch(tmp_path, "fine.wav")
    try:
        with open(os.fsencode(tmp_path) + b"/bad\xff.wav", "wb"):
            pass
    except OSError:
        pytest.skip("this file system only takes UTF-8")
    found = catalog.folder(tmp_path)
    assert ids(found) == ["fine"]
    assert found.skipped == {catalog.NOT_UTF8: 1}


def test_empty_and_missing_folders(tmp_path):
    with pytest.raises(BenchError, match="no audio files"):
        catalog.read(tmp_path)
    touch(tmp_path, "notes.txt")
    with pytest.raises(BenchError, match=r"other extensions: 1"):
        catalog.folder(tmp_path)
    with pytest.raises(BenchError, match="does not exist"):
        catalog.read(tmp_path / "nowhere")
    with pytest.raises(BenchError, match="cannot read folder"):
        catalog.folder(tmp_path / "nowhere")


@pytest.mark.parametrize("separator", [",", "\t", ";"])
def test_listed_text(tmp_path, separator):
    lines = [
        ["track_id", "path", "offset", "duration", "artist"],
        ["007", "b/x.wav", "1.5", "30", "A"],
        ["é", "/abs/y.wav", "", "", "B"],
        ["a", "~/z.wav", "NaN", " 2 ", "C"],
    ]
    path = tmp_path / "list.csv"
    path.write_text("\ufeff" + "\n".join(separator.join(line) for line in lines) + "\n", encoding="utf-8")
    found = catalog.read(path)
    assert dict(found.rows.schema) == catalog.SCHEMA
    assert found.rows.rows() == [
        ("007", str(tmp_path / "b/x.wav"), 1.5, 30.0),
        ("a", os.path.expanduser("~/z.wav"), None, 2.0),
        ("é", "/abs/y.wav", None, None),
    ]


def test_listed_parquet_with_numeric_ids(tmp_path):
    frame = pl.DataFrame({"id": [20, 3], "path": ["x.wav", "y.wav"], "offset": [float("nan"), 1.0]})
    frame.write_parquet(tmp_path / "list.parquet")
    found = catalog.listed(tmp_path / "list.parquet")
    assert found.rows["track_id"].to_list() == ["20", "3"]
    assert found.rows["offset"].to_list() == [None, 1.0]
    assert found.rows["duration"].to_list() == [None, None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("track_id,path\na,x\nb,y\na,z\n", r"row 3 \(track_id 'a'\) repeats"),
        ("track_id,path,offset\na,x,\nb,y,-1\n", r"row 2 \(track_id 'b'\) needs offset.*'-1'"),
        ("track_id,path,offset\na,x,soon\n", "'soon'"),
        ("track_id,path,offset\na,x,inf\n", "'inf'"),
        ("track_id,path,duration\na,x,0\n", "more than zero"),
        ("track_id,path\na,\n", "row 1 .*empty path"),
        ("track_id,path\n,x\n", "empty track_id"),
        ("name,path\na,x\n", "has no column track_id. Found: name, path. Expected: track_id"),
        ("track_id,path\n", "lists no tracks"),
        ("", "cannot read the list"),
        ("track_id,path\na,b,c\n", "cannot read the list"),
    ],
)
def test_listed_refuses(tmp_path, text, message):
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(BenchError, match=message) as caught:
        catalog.listed(path)
    assert str(path) in str(caught.value)


def test_binary_list_is_refused(tmp_path):
    path = tmp_path / "song.wav"
    path.write_bytes(bytes(range(256)) * 10)
    with pytest.raises(BenchError, match="cannot read the list"):
        catalog.read(path)
