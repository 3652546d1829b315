import bz2
import gzip
import lzma
import os
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from bench.errors import BenchError
from bench.files import hash_index
from bench.listening import log_dataset, parquet_cache, text_blocks
from bench.listening.log_dataset import FileDataset, check, fingerprint, parse_columns, scan
from bench.listening.metadata import read_meta
from bench.protocols import Dataset

LOG = "user,item,time\n007,b,2019-02-20 12:28\n7,a b,2009-04-08T01:57:47Z\n10,c,1550664480\n"
ROWS = [
    ("007", "b", datetime(2019, 2, 20, 12, 28, tzinfo=UTC)),
    ("7", "a b", datetime(2009, 4, 8, 1, 57, 47, tzinfo=UTC)),
    ("10", "c", datetime(2019, 2, 20, 12, 8, tzinfo=UTC)),
]


def zstd(text: bytes) -> bytes:
    buffer = pa.BufferOutputStream()
    with pa.CompressedOutputStream(buffer, "zstd") as stream:
        stream.write(text)
    return buffer.getvalue().to_pybytes()


def put(folder: Path, text: str | bytes, name: str = "log.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refusal(call, *arguments) -> str:
    with pytest.raises(BenchError) as caught:
        call(*arguments)
    return str(caught.value)


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress, zstd])
def test_text_in_every_wrapping(tmp_path, separator, pack):
    path = put(tmp_path, pack(LOG.replace(",", separator).encode()), "log.anything")
    frame = scan(path)
    assert frame.collect_schema() == {
        "user": pl.String,
        "item": pl.String,
        "time": pl.Datetime("us", "UTC"),
    }
    assert frame.collect().rows() == ROWS
    assert check(path) == {
        "plays": 3,
        "users": 3,
        "items": 3,
        "blank": 0,
        "first": ROWS[1][2],
        "last": ROWS[0][2],
    }


@pytest.mark.parametrize("block", [1, 7, 40, 1 << 20])
def test_streamed_text_is_cut_between_rows(tmp_path, monkeypatch, block):
    text = '\n\nuser,item,time,note\n1,a,2019-01-01,"x\ny"\n\n2,"b,""c",2019-01-02,z\n3,d,2019-01-03,'
    monkeypatch.setattr(text_blocks, "BLOCK", block)
    plain, packed = put(tmp_path, text), put(tmp_path, bz2.compress(text.encode()), "log.csv.bz2")
    assert scan(packed).collect().equals(scan(plain).collect())
    assert scan(packed).select("item").collect()["item"].to_list() == ["a", 'b,"c', "d"]
    assert scan(packed).filter(pl.col("user") > "1").head(1).collect()["user"].to_list() == ["2"]
    assert check(packed) == check(plain)


def test_byte_order_mark_line_ends_and_blank_lines(tmp_path):
    path = put(tmp_path, b"\xef\xbb\xbf" + LOG.replace("\n", "\r\n").encode() + b"\r\n\r\n")
    assert scan(path).collect().rows() == ROWS
    assert check(path)["blank"] == 2


def test_quotes_are_text_in_tab_separated_files(tmp_path):
    text = 'user\titem\ttime\tname\n1\t"a\t2019-01-01\t"Heroes" (live)\n2\tb"\t2019-01-02\t7" mix\n'
    assert scan(put(tmp_path, text)).collect()["item"].to_list() == ['"a', 'b"']


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2019-02-20 12:28", datetime(2019, 2, 20, 12, 28)),
        ("2013-01-27 21:42:38", datetime(2013, 1, 27, 21, 42, 38)),
        ("2009-04-08T01:57:47Z", datetime(2009, 4, 8, 1, 57, 47)),
        ("2009-04-08T01:57:47.25", datetime(2009, 4, 8, 1, 57, 47, 250_000)),
        ("2009-04-08T01:57:47+02:00", datetime(2009, 4, 7, 23, 57, 47)),
        ("2009-04-08 01:57-0130", datetime(2009, 4, 8, 3, 27)),
        ("2009-04-08 01:57:47 UTC", datetime(2009, 4, 8, 1, 57, 47)),
        ("2009-04-08", datetime(2009, 4, 8)),
        ("1550664480", datetime(2019, 2, 20, 12, 8)),
        ("1550664480.5", datetime(2019, 2, 20, 12, 8, 0, 500_000)),
        ("1550664480123", datetime(2019, 2, 20, 12, 8, 0, 123_000)),
        ("1550664480123456", datetime(2019, 2, 20, 12, 8, 0, 123_456)),
        (" 2019-02-20 12:28 ", datetime(2019, 2, 20, 12, 28)),
    ],
)
def test_times(tmp_path, value, expected):
    path = put(tmp_path, f"user,item,time\n1,a,2000-01-01 00:00:00\n1,a,{value}\n")
    assert scan(path).collect()["time"][1] == expected.replace(tzinfo=UTC)
    assert check(path)["last"] == expected.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("times", "dtype"),
    [
        ([1550664480, 0], pl.Int64),
        ([1550664480, 0], pl.UInt32),
        ([1550664480_000_000, 0], pl.UInt64),
        ([1550664480.0, 0.0], pl.Float64),
        ([datetime(2019, 2, 20, 12, 8), datetime(1970, 1, 1)], pl.Datetime("ns")),
        ([datetime(2019, 2, 20, 12, 8), datetime(1970, 1, 1)], pl.Datetime("ms", "UTC")),
        (["2019-02-20 12:08", "0"], pl.String),
    ],
)
def test_parquet(tmp_path, times, dtype):
    frame = pl.DataFrame({"uid": [7, 8], "track_id": ["a", "b"], "ts": pl.Series(times, dtype=dtype)})
    frame.write_parquet(tmp_path / "log.pq")
    rows = scan(tmp_path / "log.pq").collect().rows()
    assert rows == [
        (7, "a", datetime(2019, 2, 20, 12, 8, tzinfo=UTC)),
        (8, "b", datetime(1970, 1, 1, tzinfo=UTC)),
    ]


def test_time_zones_of_parquet_are_kept(tmp_path):
    local = pl.Series([datetime(2019, 7, 1, 12)]).dt.replace_time_zone("Europe/Vienna")
    pl.DataFrame({"user": ["u"], "item": ["i"], "time": local}).write_parquet(tmp_path / "log.pq")
    assert scan(tmp_path / "log.pq").collect()["time"][0] == datetime(2019, 7, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "header",
    ["user_id,track_id,timestamp", "UID,Song,Listened At", "#userid,recording_mbid,date", "listener,item,ts"],
)
def test_obvious_columns_are_found(tmp_path, header):
    path = put(tmp_path, f"n,{header}\n1,u,i,2019-01-01\n")
    assert scan(path).collect().select("user", "item").rows() == [("u", "i")]


def test_columns_named_by_the_user(tmp_path):
    path = put(tmp_path, "user,track_id,song,when\nu,1,s,2019-01-01\n")
    frame = scan(path, parse_columns("item=song, time=when ,user="))
    assert frame.collect().select("user", "item").rows() == [("u", "s")]


def test_column_errors(tmp_path):
    path = put(tmp_path, "user,track_id,song,when\nu,1,s,2019-01-01\n")
    ambiguous = refusal(scan, path)
    assert all(part in ambiguous for part in (str(path), "'track_id', 'song'", "--columns item="))
    missing = refusal(scan, path, {"item": "song"})
    assert "--columns time=" in missing
    assert "'when'" in missing
    assert "Did you mean 'track_id'" in refusal(scan, path, {"item": "trackid"})
    assert "at once" in refusal(scan, path, {"user": "song", "item": "song", "time": "when"})
    assert "ROLE=COLUMN" in refusal(parse_columns, "user")
    assert "unknown role 'usr'" in refusal(parse_columns, "usr=a")
    assert "given twice" in refusal(parse_columns, "user=a,user=b")
    assert "at once" in refusal(parse_columns, "user=a,item=a")
    assert parse_columns("user=,item=,time=") == {}


@pytest.mark.parametrize("pack", [bytes, bz2.compress])
@pytest.mark.parametrize(
    ("rows", "line", "value"),
    [
        ("u,i,2019-01-01\n\nu,i,yesterday\n", 4, "'yesterday'"),
        ("u,i,20/02/2019\n", 2, "'20/02/2019'"),
        ("u,i,2019-02-30\n", 2, "'2019-02-30'"),
        ("u,i,\n", 2, "None"),
        ("u,,2019-01-01\n", 2, "None"),
        ('"",i,2019-01-01\n', 2, "''"),
        ("u,i\n", 2, "None"),
        ("u,i,2019-01-01\nu\ti\t2019-01-01\n", 3, "None"),
        ("u,i,2019-01-01\nu,i,0019-01-01\n", 3, "'0019-01-01'"),
        ("u,i,99999999999\n", 2, "'99999999999'"),
        ("u,i,20190220\nu,i,20190221\n", 2, "'20190220'"),
    ],
)
def test_bad_values_are_reported_with_their_line(tmp_path, pack, rows, line, value):
    path = put(tmp_path, pack(b"user,item,time\n" + rows.encode()))
    message = refusal(check, path)
    assert f"{path}, line {line}:" in message
    assert value in message
    assert "expected" in message


def test_bad_values_of_parquet_are_reported_with_their_row(tmp_path):
    frame = pl.DataFrame({"user": ["u", "u"], "item": ["i", None], "time": ["2019-01-01"] * 2})
    frame.write_parquet(tmp_path / "log.pq")
    assert "row 2: the item" in refusal(check, tmp_path / "log.pq")
    frame.with_columns(item=pl.Series([1.0, 2.0])).write_parquet(tmp_path / "log.pq")
    assert "Float64" in refusal(scan, tmp_path / "log.pq")
    frame.with_columns(time=pl.Series([True, False])).write_parquet(tmp_path / "log.pq")
    assert "Boolean" in refusal(scan, tmp_path / "log.pq")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "holds no text"),
        (b"user,item,time\n", "no plays"),
        (b"user item time\nu i 2019-01-01\n", "one column only"),
        (b'[\n {"endTime": "2019-01-01 10:00", "trackName": "x"}\n]', "is JSON, not a table"),
        (b'\xef\xbb\xbf {"endTime": "2019-01-01 10:00", "trackName": "x"}\n', "is JSON, not a table"),
        (b"user,item,time\nu,i,2019-01-01,5\n", "line 2: 4 values, but there are 3 columns"),
        (b"user,item,time\nu,i,2019-01-01\nu,\xe9,2019-01-01\n", "line 3: not UTF-8"),
        ("user,item,time\n".encode("utf-16"), "neither Parquet nor UTF-8"),
        (b"PAR1 no, not really PAR1", "damaged Parquet"),
        (gzip.compress(LOG.encode(), mtime=0)[:-12], "Get the file again"),
        (bz2.compress(LOG.encode())[:-12], "Get the file again"),
    ],
)
def test_broken_files(tmp_path, content, message):
    assert message in refusal(check, put(tmp_path, content))


def test_missing_files(tmp_path):
    assert "No such file" in refusal(scan, tmp_path / "absent.csv")
    assert "is a folder" in refusal(scan, tmp_path)
    assert "cannot read" in refusal(fingerprint, tmp_path / "absent.csv")


def test_a_large_broken_stream_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(text_blocks, "BLOCK", 1 << 12)
    rows = "".join(f"u{n},i{n * n % 7919},2019-01-01\n" for n in range(60_000))
    packed = bz2.compress(f"user,item,time\n{rows}".encode(), 1)
    assert check(put(tmp_path, packed))["users"] == 60_000
    assert "Get the file again" in refusal(check, put(tmp_path, packed[: len(packed) // 2]))


def test_file_dataset(tmp_path):
    path = put(tmp_path, bz2.compress(LOG.encode()), "my log.tsv.bz2")
    meta = put(tmp_path, "id\tartist\tsong\ttags\nb\tX\tT\trock, pop,,\n", "meta.csv")
    data = FileDataset(path, {"user": "user"}, meta)
    assert isinstance(data, Dataset)
    assert (data.name, data.builtin, data.default_split, data.default_k) == (
        *("my-log", False),
        *("global_temporal", 50),
    )
    root = data.prepare(None, tmp_path)
    assert data.listens(root).collect().rows() == ROWS
    assert data.catalog(root) is None
    assert data.labels(root, "gtzan") is None
    assert data.meta(root).rows(named=True) == [{"track_id": "b", "artist": "X", "title": "T", "tags": ["rock", "pop"]}]
    assert data.fingerprint(root)["listens"] == fingerprint(path)
    assert FileDataset(path).meta(root) is None
    assert "line 2" in refusal(FileDataset(put(tmp_path, "user,item,time\n1,2,x\n")).listens, root)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd])
def test_packed_logs_are_converted_once(tmp_path, monkeypatch, pack):
    path = put(tmp_path, pack(LOG.replace("user", "who").encode() + b"\n"))
    os.utime(path, (1_600_000_000, 1_600_000_000))  # the hash of a file this fresh would not be remembered

    def rows(columns):
        data = FileDataset(path, columns)
        return data.listens(data.prepare(None, tmp_path / "cache")).collect().rows()

    assert rows({"user": "who"}) == ROWS
    with monkeypatch.context() as patch:
        patch.setattr(parquet_cache, "_convert", lambda *_: pytest.fail("converted again"))
        patch.setattr(hash_index, "_hash", lambda *_: pytest.fail("hashed again"))
        assert rows({"user": "who"}) == ROWS
    assert rows({"user": "item", "item": "who"})[0][:2] == ("b", "007")
    assert "no column looks like the user" in refusal(rows, {})


def test_packed_logs_are_checked(tmp_path):
    for text, message in (
        ("1,2,x\n", "line 2: the time (column 'time') is 'x'"),
        ("1,2,20190220\n", "expected dates with separators"),
        ("1,,2019-02-20\n", "name other columns with --columns"),
    ):
        path = put(tmp_path, bz2.compress(b"user,item,time\n" + text.encode()))
        data = FileDataset(path)
        assert message in refusal(data.listens, data.prepare(None, tmp_path / "cache"))


def test_meta(tmp_path):
    frame = pl.DataFrame(
        {"track_id": [1, 2], "artist_name": ["A", None], "tags": [["x"], []], "genres": [["p", "q"], ["r"]]}
    )
    frame.write_parquet(tmp_path / "meta.pq")
    assert read_meta(tmp_path / "meta.pq").rows() == [("1", "A", ["x"], "p, q"), ("2", None, [], "r")]
    assert read_meta(put(tmp_path, "song,artist\na,A\n\na,A\n")).rows() == [("a", "A")]
    assert "two different rows for the track 'a'" in refusal(read_meta, put(tmp_path, "id,artist\na,A\na,B\n"))
    assert "line 3: no track id" in refusal(read_meta, put(tmp_path, "id,artist\na,A\n,B\n"))
    assert "no column holds track ids" in refusal(read_meta, put(tmp_path, "x,artist\na,A\n"))
    assert "none of artist" in refusal(read_meta, put(tmp_path, "id,y\na,A\n"))


def test_public_names():
    assert set(log_dataset.__all__) >= {"FileDataset", "check", "fingerprint", "parse_columns", "scan"}
