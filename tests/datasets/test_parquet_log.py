"""Yambda and ListenBrainz as they lie on disk, in small."""

import os
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from bench.datasets.base import FolderDataset
from bench.datasets.listenbrainz import ListenBrainz
from bench.datasets.yambda import Yambda, YambdaSettings
from bench.errors import BenchError
from bench.protocols import Dataset
from bench.registry import get


def put(frame: pl.DataFrame, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(path)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    return path


def refusal(call, *arguments) -> str:
    with pytest.raises(BenchError) as caught:
        call(*arguments)
    return str(caught.value)


# -- Yambda --------------------------------------------------------------------------------------------------

PLAYS = pl.DataFrame(
    {
        "uid": [100, 100, 100, 9, 9],
        "timestamp": [0, 5, 5, 25_999_990, 26_000_000],
        "item_id": [8326270, 1441281, 286361, 8326270, 7],
        "is_organic": [0, 1, 1, 0, 1],
        "played_ratio_pct": [95, 49, 50, 250, None],
        "track_length_seconds": [170, 105, 185, 170, 60],
    },
    schema={
        "uid": pl.UInt32,
        "timestamp": pl.UInt32,
        "item_id": pl.UInt32,
        "is_organic": pl.UInt8,
        "played_ratio_pct": pl.UInt16,
        "track_length_seconds": pl.UInt32,
    },
)


@pytest.fixture
def yambda(tmp_path):
    put(PLAYS, tmp_path / "y" / "flat" / "50m" / "listens.parquet")
    put(PLAYS.head(1), tmp_path / "y" / "flat" / "500m" / "listens.parquet")
    artists = {"artist_id": [12, 5, 5, 1], "item_id": [8326270, 8326270, 286361, 99]}
    put(pl.DataFrame(artists), tmp_path / "y" / "artist_item_mapping.parquet")
    put(pl.DataFrame({"album_id": [3, 3], "item_id": [8326270, 286361]}), tmp_path / "y" / "album_item_mapping.parquet")
    return tmp_path / "y"


def test_yambda(yambda, tmp_path):
    data = Yambda()
    assert isinstance(data, Dataset)
    assert data.name == "yambda-50m"
    root = data.prepare(yambda, tmp_path / "cache")
    assert data.listens(root).collect().rows() == [
        (100, 8326270, datetime(1970, 1, 1, tzinfo=UTC)),
        (100, 286361, datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC)),
        (9, 8326270, datetime(1970, 10, 28, 22, 13, 10, tzinfo=UTC)),
    ]
    assert data.notes(root) == ["2 of 5 plays do not count: under 50 % heard, 1 of them of unknown length"]
    assert data.meta(root).sort("track_id").rows() == [("286361", "5", "3"), ("8326270", "5,12", "3")]
    assert data.catalog(root) is None
    assert data.labels(root, "catalog-genre") is None


def test_yambda_settings(yambda, tmp_path):
    loose = Yambda(YambdaSettings(min_ratio=0))
    assert loose.name == "yambda-50m-ratio0"
    assert loose.listens(loose.prepare(yambda, tmp_path / "cache")).collect().height == 4
    large = Yambda(YambdaSettings(size="500m"))
    assert large.listens(large.prepare(yambda, tmp_path / "cache")).collect().height == 1
    prints = [data.fingerprint(data.prepare(yambda, tmp_path / "cache")) for data in (loose, large, Yambda())]
    assert len({str(found) for found in prints}) == 3
    small = Yambda()
    assert small.prepare(yambda / "flat" / "50m", tmp_path / "cache") == yambda / "flat" / "50m"
    missing = Yambda(YambdaSettings(size="5b"))
    assert "hold no flat/5b/listens.parquet" in refusal(missing.prepare, yambda, tmp_path / "cache")
    with pytest.raises(BenchError, match="min_ratio=101"):
        YambdaSettings(min_ratio=101)


def test_yambda_organic(yambda, tmp_path):
    data = Yambda(YambdaSettings(plays="organic"))
    assert data.name == "yambda-50m-organic"
    root = data.prepare(yambda, tmp_path / "cache")
    assert data.listens(root).collect().select("user", "item").rows() == [(100, 286361)]
    assert data.notes(root) == [
        "4 of 5 plays do not count: under 50 % heard, 1 of them of unknown length; 2 others followed a recommendation"
    ]
    assert len(data.caveats(root)) == 1
    plain = Yambda()
    whole = plain.fingerprint(plain.prepare(yambda, tmp_path / "cache"))["settings"]
    assert whole == {"size": "50m", "min_ratio": 50}, "old fingerprints stay"
    assert data.fingerprint(root)["settings"] == whole | {"plays": "organic"}
    assert plain.caveats(root) == []


def test_yambda_surprises(yambda, tmp_path):
    log = yambda / "flat" / "50m" / "listens.parquet"

    def heard(frame):
        put(frame, log)
        data = Yambda()
        return refusal(data.listens, data.prepare(yambda, tmp_path / "cache"))

    message = heard(PLAYS.drop("played_ratio_pct"))
    assert f"{log}: no column played_ratio_pct; expected uid, item_id, timestamp, played_ratio_pct" in message
    nulls = PLAYS.with_columns(uid=pl.Series([1, 2, None, 4, 5], dtype=pl.UInt32))
    assert f"{log}, row 3: the user (column 'uid') is None" in heard(nulls)
    assert "must be text or an integer" in heard(PLAYS.with_columns(pl.col("uid").cast(pl.Float64)))
    log.write_text("uid\titem_id\n")
    data = Yambda()
    assert "is not Parquet" in refusal(data.listens, data.prepare(yambda, tmp_path / "cache"))


def test_a_data_set_without_a_method_is_named_when_it_is_made():
    class Half(FolderDataset):
        def listens(self, root):
            return PLAYS.lazy()

        def missing(self, root):
            return []

    with pytest.raises(TypeError, match="sources"):
        Half()


# -- ListenBrainz --------------------------------------------------------------------------------------------


def listens(rows) -> pl.DataFrame:
    """Rows of (second, user, mbid, artist, release, title) in the schema of the dumps."""
    columns = ["listened_at", "user_id", "recording_mbid", "artist_name", "release_name", "recording_name"]
    frame = pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        pl.from_epoch("listened_at", time_unit="s").cast(pl.Datetime("ms")),
        recording_msid=pl.lit("m"),
        artist_credit_mbids=pl.lit(None, dtype=pl.List(pl.String)),
    )
    return frame.with_columns(created=pl.col("listened_at"))


@pytest.fixture
def dumps(tmp_path):
    root = tmp_path / "lb"
    full = [(1_578_152_311, 1, "aa", "Ott", "Blumenkraft", "Jack's"), (1_578_152_400, 2, None, "?", None, "?")]
    put(listens(full), root / "full-dump-1" / "0.parquet")
    put(listens([(1_578_152_500, 2, "bb", "New Order", None, "Dream")]), root / "full-dump-1" / "10.parquet")
    put(listens([(1_578_152_450, 1, "aa", "OTT", "Blumenkraft", "jack's")]), root / "full-dump-1" / "2.parquet")
    increment = listens([(1_578_152_600, 3, "aa", "Ott", None, "Jack's"), (1_578_152_601, 3, "", "x", "x", "x")])
    put(increment, root / "incremental-dump-2" / "0.parquet")
    put(listens(full), root / "mapped_listens.parquet")  # not numbered: not a dump
    tags = {"recording_mbid": ["aa", "aa", "aa", "cc"], "tag": ["b", "a", "c", "z"], "tag_count": [1, 4, 4, 1]}
    put(pl.DataFrame(tags), root / "recording_tag.parquet")
    put(
        pl.DataFrame({"recording_mbid": ["aa", "aa"], "genre": ["psybient", "dub"], "genre_count": [2, 2]}),
        root / "recording_genre.parquet",
    )
    credit = [{"artist_credit_name": "Ott", "join_phrase": " & "}, {"artist_credit_name": "Bix", "join_phrase": ""}]
    put(pl.DataFrame({"recording_mbid": ["aa"], "artists": [credit]}), root / "recording_artist.parquet")
    return root


def test_listenbrainz(dumps, tmp_path):
    data = ListenBrainz()
    root = data.prepare(dumps, tmp_path / "cache")
    rows = data.listens(root).collect()
    assert rows.schema == {"user": pl.Int64, "item": pl.String, "time": pl.Datetime("us", "UTC")}
    assert rows.select("user", "item").rows() == [(1, "aa"), (1, "aa"), (2, "bb"), (3, "aa")]
    assert rows["time"][0] == datetime(2020, 1, 4, 15, 38, 31, tzinfo=UTC)
    assert data.notes(root) == ["left out 2 of 6 listens without a recording MBID"]
    described = [
        ("aa", "Ott & Bix", "Blumenkraft", "Jack's", ["a", "c", "b"], "dub"),
        ("bb", "New Order", None, "Dream", None, None),
    ]
    assert data.meta(root).rows() == described
    assert data.meta(root).rows() == described  # from the cache
    assert data.labels(root, "catalog-genre").rows() == [("aa", "dub")]
    assert data.labels(root, "catalog-tags").rows() == [("aa", ["a", "c", "b"]), ("cc", ["z"])]
    assert data.labels(root, "catalog-key") is None
    assert len(data.fingerprint(root)["files"]) == 7


def test_listenbrainz_dumps_alone(dumps, tmp_path):
    data = ListenBrainz()
    root = data.prepare(dumps / "full-dump-1", tmp_path / "cache")
    assert data.listens(root).collect().height == 3
    assert data.meta(root).columns == ["track_id", "artist", "album", "title"]
    assert "hold no 0.parquet" in refusal(data.prepare, tmp_path / "cache", tmp_path / "cache")


def test_listenbrainz_surprises(dumps, tmp_path):
    odd = listens([(1_578_152_500, 2, "bb", "a", "b", "c"), (-(10**10), 2, "bb", "a", "b", "c")])
    path = put(odd, dumps / "full-dump-1" / "3.parquet")
    data = ListenBrainz()
    root = data.prepare(dumps, tmp_path / "cache")
    message = refusal(data.listens, root)
    assert f"{path}, row 2: the time (column 'listened_at')" in message
    assert "between 1900 and 2200" in message
    put(odd.drop("user_id"), path)
    assert "no column user_id; expected user_id, recording_mbid, listened_at" in refusal(data.listens, root)


@pytest.mark.parametrize("name", ["music4all-onion", "music4all", "yambda", "lastfm-1k", "lastfm-2k", "listenbrainz"])
def test_each_is_installed_and_says_what_it_needs(name):
    cls = get("datasets", name)
    assert name == cls.name
    assert cls.layout
    assert cls.license
    assert cls.source
    assert not cls.builtin
    assert cls.__doc__.partition("\n")[0].endswith((".", "plays=organic."))


def test_a_table_of_listenbrainz_that_changes_its_role_is_read_anew(dumps, tmp_path):
    for name in ("recording_tag", "recording_genre"):
        (dumps / f"{name}.parquet").unlink()
    named = {kind: ["dub"] for kind in ("tag", "genre")} | {f"{kind}_count": [1] for kind in ("tag", "genre")}
    put(pl.DataFrame({"recording_mbid": ["aa"], **named}), dumps / "recording_tag.parquet")
    data = ListenBrainz()
    root = data.prepare(dumps, tmp_path / "cache")
    assert "tags" in data.meta(root).columns
    (dumps / "recording_tag.parquet").rename(dumps / "recording_genre.parquet")
    assert data.meta(root).filter(track_id="aa")["genre"].to_list() == ["dub"]


def test_what_was_kept_belongs_to_the_version_of_the_data_set(yambda, dumps, tmp_path, monkeypatch):
    for data, folder in ((Yambda(), yambda), (ListenBrainz(), dumps)):
        root = data.prepare(folder, tmp_path / "cache")
        data.listens(root)
        kept = set((tmp_path / "cache" / "datasets").glob("*/*"))
        monkeypatch.setattr(type(data), "version", "2")
        data.listens(root)
        assert len(set((tmp_path / "cache" / "datasets").glob("*/*")) - kept) == 1
