"""Music4All, Music4All-Onion and Last.fm 1K as they lie on disk, in small."""

import bz2
import gzip
import os
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from bench.datasets.lastfm import LastFM1K, LastFM1KSettings
from bench.datasets.music4all import Music4All, Music4AllOnion
from bench.errors import BenchError
from bench.files import hash_index
from bench.listening import parquet_cache, text_blocks
from bench.protocols import Dataset
from bench.splits.cache import asked

ONION = """\
user_id\ttrack_id\ttimestamp
1003\t0009fFIM1eYThaPg\t2020-03-19 23:59:59
1003\tzzz9fFIM1eYThaPg\t2020-02-20 00:00:00
1003\t0009fFIM1eYThaPg\t2013-01-27 21:42:38
7\tzzz9fFIM1eYThaPg\t2020-02-19 23:59:59
7\t"quoted" in a tsv\t2019-02-20 00:00:00
"""
TRACKS = ("0009fFIM1eYThaPg", "zzz9fFIM1eYThaPg")


def put(path: Path, text: str, pack=bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pack(text.encode()))
    old = 1_600_000_000
    os.utime(path, (old, old))  # as old as real files are: hashes of fresh ones are not remembered
    return path


def refusal(call, *arguments) -> str:
    with pytest.raises(BenchError) as caught:
        call(*arguments)
    return str(caught.value)


def music4all_tables(root: Path, ending: str = ".csv") -> None:
    """Tab-separated although named .csv; titles with quotes and commas; empty values."""
    a, b = TRACKS
    put(
        root / f"id_information{ending}",
        f'id\tartist\tsong\talbum_name\n{a}\tA, B & C\t"Heroes" (live)\tX\n{b}\tD\tY\t\n',
    )
    put(root / f"id_tags{ending}", f"id\ttags\n{b}\trock, indie rock,\n{a}\t\n")
    put(root / f"id_genres{ending}", f"id\tgenres\n{a}\tpop,rock\n{b}\tjazz\n")
    rows = [(a, "9", "0"), (b, "-1", "1"), ("third0000000000x", "3.0", "1")]
    head = "id\tspotify_id\tpopularity\tkey\tmode\n"
    put(root / f"id_metadata{ending}", head + "".join(f"{i}\ts\t1\t{k}\t{m}\n" for i, k, m in rows))


@pytest.fixture
def onion(tmp_path):
    root = tmp_path / "onion"
    put(root / "userid_trackid_timestamp.tsv.bz2", ONION, bz2.compress)
    music4all_tables(root / "music4all")
    for name in TRACKS:
        put(root / "music4all" / "audios" / f"{name}.mp3", "not heard here")
    return root


def test_onion_log(onion, tmp_path, capsys):
    data = Music4AllOnion()
    assert isinstance(data, Dataset)
    root = data.prepare(onion, tmp_path / "cache")
    assert root == onion
    frame = data.listens(root)
    assert frame.collect_schema() == {"user": pl.String, "item": pl.String, "time": pl.Datetime("us", "UTC")}
    rows = frame.collect().rows()
    assert len(rows) == 5
    assert rows[0] == ("1003", TRACKS[0], datetime(2020, 3, 19, 23, 59, 59, tzinfo=UTC))
    assert rows[4][1] == '"quoted" in a tsv'
    assert "converting" in capsys.readouterr().err
    again = Music4AllOnion()
    again.prepare(onion, tmp_path / "cache")
    assert again.listens(root).collect().rows() == rows
    assert capsys.readouterr().err == "", "the log is converted once"
    assert (data.default_split, data.default_k, data.builtin) == ("recsys2024", 50, False)


@pytest.mark.parametrize(("name", "pack"), [(".tsv", bytes), (".tsv.gz", gzip.compress), (".tsv.bz2", bz2.compress)])
def test_every_packing_gives_the_same_rows(tmp_path, name, pack):
    put(tmp_path / f"userid_trackid_timestamp{name}", ONION, pack)
    data = Music4AllOnion()
    assert (
        data.listens(data.prepare(tmp_path, tmp_path / "cache")).collect()["user"].to_list() == ["1003"] * 3 + ["7"] * 2
    )


def test_tables_of_tracks(onion, tmp_path):
    data = Music4AllOnion()
    root = data.prepare(onion, tmp_path / "cache")
    meta = data.meta(root)
    assert meta.columns == ["track_id", "artist", "album", "title", "tags", "genre"]
    assert meta.row(0) == (TRACKS[0], "A, B & C", "X", '"Heroes" (live)', None, "pop,rock")
    assert meta.row(1) == (TRACKS[1], "D", None, "Y", ["rock", "indie rock"], "jazz")
    assert data.labels(root, "catalog-genre").rows() == [(TRACKS[0], "pop"), (TRACKS[1], "jazz")]
    assert data.labels(root, "catalog-tags").rows() == [(TRACKS[1], ["rock", "indie rock"])]
    assert data.labels(root, "catalog-key").rows() == [(TRACKS[0], "A minor"), ("third0000000000x", "D# major")]
    assert data.labels(root, "gtzan") is None
    assert data.notes(root) == []


def test_audio(onion, tmp_path):
    data = Music4AllOnion()
    root = data.prepare(onion, tmp_path / "cache")
    catalog = data.catalog(root)
    assert catalog["track_id"].to_list() == list(TRACKS)
    assert catalog["path"][0] == str(onion / "music4all" / "audios" / f"{TRACKS[0]}.mp3")
    assert catalog.schema == {"track_id": pl.String, "path": pl.String, "offset": pl.Float64, "duration": pl.Float64}
    put(onion / "music4all" / "audios" / f"{TRACKS[0]}.wav", "the same track twice")
    assert all(f"{TRACKS[0]}{suffix}" in refusal(data.catalog, root) for suffix in (".mp3", ".wav"))
    for path in (onion / "music4all" / "audios").iterdir():
        path.unlink()
    assert "holds no audio" in refusal(data.catalog, root)


def test_a_log_alone_is_enough(tmp_path):
    put(tmp_path / "userid_trackid_timestamp.tsv", ONION + "\n")
    data = Music4AllOnion()
    root = data.prepare(tmp_path, tmp_path / "cache")
    assert data.listens(root).collect().height == 5
    assert data.meta(root) is None
    assert data.catalog(root) is None
    assert data.labels(root, "catalog-key") is None
    assert data.notes(root) == [
        "userid_trackid_timestamp.tsv: left out 1 blank lines",
        "no id_information.csv: artists, titles are unknown",
        "no id_tags.csv: tags are unknown",
        "no id_genres.csv: genres are unknown",
    ]


def test_music4all_minutes_and_the_edition_for_teaching(tmp_path):
    put(
        tmp_path / "listening_history.csv", "user\tsong\ttimestamp\nuser_007XIjOr\t0009fFIM1eYThaPg\t2019-02-20 12:28\n"
    )
    music4all_tables(tmp_path, "_mmsr.tsv")
    data = Music4All()
    root = data.prepare(tmp_path, tmp_path / "cache")
    assert data.listens(root).collect().rows() == [
        ("user_007XIjOr", TRACKS[0], datetime(2019, 2, 20, 12, 28, tzinfo=UTC))
    ]
    assert data.meta(root).height == 2


def test_what_is_missing_is_named(tmp_path):
    data = Music4AllOnion()
    assert "needs --root DIR" in refusal(data.prepare, None, tmp_path)
    assert "is not a folder" in refusal(data.prepare, tmp_path / "nowhere", tmp_path)
    message = refusal(data.prepare, tmp_path, tmp_path)
    assert "userid_trackid_timestamp.tsv" in message
    assert str(tmp_path) in message
    for place in ("a", "b"):
        put(tmp_path / place / "userid_trackid_timestamp.tsv", ONION)
    assert "is there twice" in refusal(data.prepare, tmp_path, tmp_path)
    with pytest.raises(BenchError, match="was not prepared"):
        Music4AllOnion().listens(tmp_path / "a")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("7\tx\tyesterday\n", "line 2: the time (column 'timestamp') is 'yesterday'; expected a time such as"),
        ("7\tx\t2019-01-01 00:00:00\n7\t\t2019-01-01 00:00:00\n", "line 3: the item (column 'track_id') is None"),
        ("7\tx\t2019-01-01 00:00:00\n\n\tx\t2019-01-01 00:00:00\n", "line 4: the user (column 'user_id') is None"),
        ("7\tx\t2019-01-01 00:00:00\n7\tx\t0012-01-01 00:00:00\n", "line 3: the time (column 'timestamp') is '0012"),
        ("7\tx\t2019-01-01 00:00:00\t5\n", "line 2: 4 values, but there are 3 columns"),
        ("", "holds no plays"),
    ],
)
@pytest.mark.parametrize("block", [20, 1 << 26])
def test_surprises_name_the_line(tmp_path, monkeypatch, rows, expected, block):
    monkeypatch.setattr(text_blocks, "BLOCK", block)
    path = put(tmp_path / "userid_trackid_timestamp.tsv.bz2", "user_id\ttrack_id\ttimestamp\n" + rows, bz2.compress)
    data = Music4AllOnion()
    root = data.prepare(tmp_path, tmp_path / "cache")
    message = refusal(data.listens, root)
    assert str(path) in message
    assert expected in message
    assert not list((tmp_path / "cache").rglob("*.parquet")), "nothing half done is left"


def test_other_columns_and_keys_are_refused(tmp_path):
    put(tmp_path / "userid_trackid_timestamp.tsv", ONION.replace("track_id", "song"))
    data = Music4AllOnion()
    root = data.prepare(tmp_path, tmp_path / "cache")
    assert "no column track_id; its columns are user_id, song, timestamp" in refusal(data.listens, root)
    pl.DataFrame({"user_id": [1]}).write_parquet(tmp_path / "userid_trackid_timestamp.tsv")
    assert "is Parquet; expected text" in refusal(data.listens, root)
    put(tmp_path / "id_metadata.csv", "id\tkey\tmode\na\t5\t1\nb\t12\t1\n")
    message = refusal(data.labels, root, "catalog-key")
    assert "line 3: the key is '12'; expected a whole number from -1 to 11" in message


def test_hashes_are_remembered(onion, tmp_path, monkeypatch):
    def fingerprint():
        data = Music4AllOnion()
        return data.fingerprint(data.prepare(onion, tmp_path / "cache"))

    first = fingerprint()
    assert set(first["files"]) == {
        "userid_trackid_timestamp.tsv.bz2",
        *(f"music4all/id_{kind}.csv" for kind in ("information", "tags", "genres", "metadata")),
    }
    with monkeypatch.context() as patch:
        patch.setattr(hash_index, "_hash", lambda path, _: pytest.fail(f"{path} was read again"))
        assert fingerprint() == first
    (tmp_path / "cache" / "hashes.sqlite").write_text("{")
    assert fingerprint() == first
    put(onion / "userid_trackid_timestamp.tsv.bz2", ONION + "9\tx\t2020-01-01 00:00:00\n", bz2.compress)
    assert fingerprint() != first
    data = Music4AllOnion()
    assert data.listens(data.prepare(onion, tmp_path / "cache")).collect().height == 6, "a changed log is read anew"


# -- Last.fm 1K ----------------------------------------------------------------------------------------------

LASTFM = """\
user_000639\t2009-04-08T01:57:47Z\tm1\tMF DOOM\tt1\tDeep Fried Frenz
user_000639\t2009-04-08T01:53:56Z\t\tMF "DOOM"\t\tHold On
user_000001\t2006-08-13T14:59:59Z\tm2\t坂本龍一\tt2\tRain "live, 1999"
user_000001\t2006-08-13T13:59:59Z\tm1\tMF Doom\tt1\tDeep fried frenz
"""
LASTFM_NAME = "userid-timestamp-artid-artname-traid-traname.tsv"


def test_lastfm(tmp_path, monkeypatch):
    for at, block in enumerate((70, 1 << 26)):
        monkeypatch.setattr(text_blocks, "BLOCK", block)
        put(tmp_path / "lastfm-dataset-1K" / LASTFM_NAME, LASTFM)
        data = LastFM1K()
        root = data.prepare(tmp_path, tmp_path / f"cache{at}")
        rows = data.listens(root).collect().rows()
        assert rows == [
            ("user_000639", "t1", datetime(2009, 4, 8, 1, 57, 47, tzinfo=UTC)),
            ("user_000001", "t2", datetime(2006, 8, 13, 14, 59, 59, tzinfo=UTC)),
            ("user_000001", "t1", datetime(2006, 8, 13, 13, 59, 59, tzinfo=UTC)),
        ]
        assert data.meta(root).rows() == [
            ("t1", "MF DOOM", "Deep Fried Frenz"),
            ("t2", "坂本龍一", 'Rain "live, 1999"'),
        ]
        assert data.notes(root) == [f"{LASTFM_NAME}: left out 1 plays without the id of an item"]
        assert data.catalog(root) is None


def test_lastfm_ends_where_its_description_says(tmp_path):
    """A clock of 2013 neither moves the cut nor is tested, and is found in the file, blank ids and all."""
    days = [f"user_{user:06}\t2009-0{month}-{day:02}T12:00:00Z\tm\tn\tt{(user + 3 * month + day) % 9}\ta"
            for user in range(3) for month in (1, 2, 3, 4) for day in range(1, 29)]  # fmt: skip
    odd = "user_000001\t2013-09-29T18:32:04Z\tm\tn\tt0\ta"
    nameless = "user_000001\t2013-09-29T18:32:04Z\t\tn\t\ta"
    put(tmp_path / LASTFM_NAME, "\n".join([nameless, *days[:5], odd, *days[5:]]) + "\n")
    data = LastFM1K()
    root = data.prepare(tmp_path, tmp_path / "cache")
    name, settings = asked(data.default_split)
    assert (name, settings.end) == ("global_temporal", "2009-05-06")
    resolved = settings.resolve(1_230_811_200, 1_380_479_524)  # of January 2009, of September 2013
    assert resolved.cut == "2009-04-24T00:00:00Z"
    assert data.places(root, 1_380_000_000, 1_390_000_000) == [
        f"{tmp_path / LASTFM_NAME}, line {line}" for line in (1, 7)
    ]


def test_lastfm_without_its_columns(tmp_path):
    put(tmp_path / LASTFM_NAME, "user\titem\ttime\n")
    data = LastFM1K()
    root = data.prepare(tmp_path, tmp_path / "cache")
    assert "line 1: 3 values between tabs; expected 6" in refusal(data.listens, root)
    put(tmp_path / LASTFM_NAME, "userid\ttimestamp\tartid\tartname\ttraid\ttraname\n" + LASTFM)
    assert "line 1: the time (column 'timestamp') is 'timestamp'" in refusal(data.listens, root)
    put(tmp_path / LASTFM_NAME, LASTFM + "user_1\t2009-04-08T01:57:47Z\tm\tn\tt\ta\tb\n")
    assert "line 5: 7 values, but there are 6 columns" in refusal(data.listens, root)


def test_lastfm_by_names(tmp_path, monkeypatch):
    """Plays without a MusicBrainz id have a name; the same names in other letters are one item."""
    for at, block in enumerate((70, 1 << 26)):
        monkeypatch.setattr(text_blocks, "BLOCK", block)
        nameless = "user_000001\t2006-08-13T12:59:59Z\tm1\tMF DOOM\tt9\t \n"
        put(tmp_path / LASTFM_NAME, LASTFM + nameless)
        data = LastFM1K(LastFM1KSettings(items="names"))
        root = data.prepare(tmp_path, tmp_path / f"cache{at}")
        items = ["mf doom||deep fried frenz", 'mf "doom"||hold on', '坂本龍一||rain "live, 1999"']
        assert data.listens(root).collect()["item"].to_list() == [*items, items[0]]
        assert data.meta(root).sort("track_id").rows() == [
            (items[1], 'MF "DOOM"', "Hold On"),
            (items[0], "MF DOOM", "Deep Fried Frenz"),
            (items[2], "坂本龍一", 'Rain "live, 1999"'),
        ]
        assert data.notes(root) == [f"{LASTFM_NAME}: left out 1 plays without the id of an item"]
        seconds = int(datetime(2006, 8, 13, 14, 59, 59, tzinfo=UTC).timestamp())
        assert data.places(root, seconds, seconds) == [f"{tmp_path / LASTFM_NAME}, line 3"]
        plain = LastFM1K()
        assert plain.name != data.name
        assert plain.fingerprint(plain.prepare(tmp_path, tmp_path / f"cache{at}"))["settings"] == {}


# -- conversion ----------------------------------------------------------------------------------------------


def test_an_interrupted_conversion_starts_anew(tmp_path, monkeypatch):
    path = put(tmp_path / "log.tsv", ONION)
    log = parquet_cache.Log(path, {"user": "user_id", "item": "track_id", "time": "timestamp"})

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(parquet_cache, "write_text", stop)
        with pytest.raises(KeyboardInterrupt):
            parquet_cache.convert(log, tmp_path / "done")
    assert parquet_cache.read_counts(tmp_path / "done") is None
    assert parquet_cache.convert(log, tmp_path / "done") == {
        "plays": 5,
        "blank": 0,
        "without_item": 0,
        "first": "2013-01-27T21:42:38Z",
        "last": "2020-03-19T23:59:59Z",
    }
    assert sorted(p.name for p in (tmp_path / "done").iterdir()) == [parquet_cache.COUNTS, parquet_cache.LISTENS]
