"""Last.fm 2K as it lies on disk, in small: two encodings, two line ends, quotes, counts and no times."""

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bench import records
from bench.cli import main
from bench.datasets.lastfm_2k import PUBLISHED, LastFM2K
from bench.errors import BenchError
from bench.splits.make import make
from bench.splits.pairs import summarize
from bench.splits.untimed import ColdRandom

ARTISTS = (
    "id\tname\turl\tpictureURL\n"
    "1\t坂本龍一\thttp://www.last.fm/music/a\thttp://x/1.jpg\n"
    '2\t"Weird Al" Yankovic\thttp://www.last.fm/music/b\t\n'
    "30\tBallakÃ© Sissoko\thttp://www.last.fm/music/c\t\n"
)
PLAYS = [(2, 1, 13883), (2, 2, 1), (2, 30, 7), (100, 1, 5), (100, 2, 5)]
GIVEN = [(2, 1, 1), (2, 1, 2), (100, 1, 2), (100, 2, 1), (100, 51, 1)]


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    return path


def table(header: str, rows) -> bytes:
    """Lines as in the release: all but artists.dat end in CR LF."""
    return "".join(f"{line}\r\n" for line in [header, *("\t".join(map(str, row)) for row in rows)]).encode("latin-1")


@pytest.fixture
def twin(tmp_path):
    root = tmp_path / "hetrec" / "lastfm-2k"
    put(root / "artists.dat", ARTISTS.encode())
    put(root / "tags.dat", table("tagID\ttagValue", [(1, "fußball"), (2, "pop")]))
    put(root / "user_artists.dat", table("userID\tartistID\tweight", PLAYS))
    header = "userID\tartistID\ttagID\tday\tmonth\tyear"
    put(root / "user_taggedartists.dat", table(header, [(*row, 1, 4, 2009) for row in GIVEN]))
    return root.parent


def opened(root: Path, cache: Path) -> tuple[LastFM2K, Path]:
    data = LastFM2K()
    return data, data.prepare(root, cache)


def test_counts_and_names(twin, tmp_path):
    data, root = opened(twin, tmp_path / "cache")
    rows = data.listens(root).collect()
    assert rows.schema["time"] == pl.Datetime("us", "UTC")
    assert rows.select("user", "item", "count").rows() == PLAYS
    assert rows["time"].unique().to_list() == [datetime(1970, 1, 1, tzinfo=UTC)]
    assert data.meta(root).rows() == [
        ("1", "坂本龍一", "坂本龍一", ["pop", "fußball"]),
        ("2", '"Weird Al" Yankovic', '"Weird Al" Yankovic', ["fußball"]),
        ("30", "BallakÃ© Sissoko", "BallakÃ© Sissoko", None),  # so it is in the release
    ]
    assert data.labels(root, "catalog-tags").rows() == [
        ("1", ["pop", "fußball"]),
        ("2", ["fußball"]),
    ], "51 has no name"
    assert data.labels(root, "catalog-genre") is None
    assert data.catalog(root) is None
    assert data.notes(root) == []
    assert (data.timed, data.default_split, data.default_k) == (False, "cold_random", 10)


def test_a_copy_in_one_encoding_reads_the_same(twin, tmp_path):
    data, root = opened(twin, tmp_path / "cache")
    before = data.meta(root)
    tags = twin / "lastfm-2k" / "tags.dat"
    put(tags, "\ufeff".encode() + tags.read_bytes().decode("latin-1").replace("\r", "").encode())
    assert data.meta(root).equals(before)


def test_without_tags(twin, tmp_path):
    (twin / "lastfm-2k" / "tags.dat").unlink()
    data, root = opened(twin, tmp_path / "cache")
    assert data.meta(root).columns == ["track_id", "artist", "title"]
    assert data.labels(root, "catalog-tags") is None
    assert data.notes(root) == ["no tags.dat: tags are unknown"]
    (twin / "lastfm-2k" / "artists.dat").unlink()
    with pytest.raises(BenchError, match=r"no artists\.dat"):
        data.prepare(twin, tmp_path / "cache")


def test_files_that_differ_from_the_release_are_named(twin, tmp_path, monkeypatch):
    data, root = opened(twin, tmp_path / "cache")
    caveats = data.caveats(root)
    for name, (size, sha256) in PUBLISHED.items():
        text = next(one for one in caveats if one.startswith(f"{name} "))
        assert f"{size:,} bytes" in text
        assert sha256[:12] in text
    found = {path.name: (path.stat().st_size, data.sha256(path)) for path in data.sources(root)}
    monkeypatch.setattr("bench.datasets.lastfm_2k.PUBLISHED", found)
    assert len(data.caveats(root)) == len(caveats) - len(PUBLISHED)
    assert set(data.fingerprint(root)["files"]) == {f"lastfm-2k/{name}" for name in PUBLISHED}


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("user_artists.dat", b"100\t2\t5", b"100\t2", "line 6: 2 values; expected 3"),
        ("user_artists.dat", b"2\t30\t7", b"2\t30\t0", "line 4: the weight is 0; expected 1 to 1000000000"),
        ("user_artists.dat", b"2\t30\t7", b"2\t30\t3000000000", "line 4: the weight is 3000000000; expected 1 to"),
        ("user_artists.dat", b"2\t30\t7", b"2\tx\t7", "line 4: the artistID is 'x'; expected a whole number"),
        (
            "artists.dat",
            b"id\tname",
            b"id\ttitle",
            "line 1: 'id\\ttitle\\turl\\tpictureURL'; expected the columns id, name",
        ),
    ],
)
def test_surprises_name_the_line(twin, tmp_path, name, old, new, expected):
    path = twin / "lastfm-2k" / name
    put(path, path.read_bytes().replace(old, new))
    data, root = opened(twin, tmp_path / "cache")
    with pytest.raises(BenchError) as caught:
        data.meta(root) if name == "artists.dat" else data.listens(root)
    assert f"{path}, {expected}" in str(caught.value)


def world(root: Path) -> Path:
    """A folder of 40 listeners and 60 artists in two tastes, and vectors that know the tastes."""
    draw = np.random.default_rng(0)
    taste = np.arange(60) % 2
    rows = [
        (user, 1 + item, int(draw.integers(1, 90)))
        for user in range(2, 42)
        for item in draw.permutation(np.flatnonzero(taste == user % 2))[:15].tolist()
    ]
    put(root / "user_artists.dat", table("userID\tartistID\tweight", rows))
    lines = "".join(f"{1 + item}\tartist {item}\thttp://x\t\n" for item in range(60))
    put(root / "artists.dat", f"id\tname\turl\tpictureURL\n{lines}".encode())
    vectors = {"track_id": [str(1 + item) for item in range(60)], "a": taste * 2.0 - 1, "b": draw.normal(size=60)}
    pl.DataFrame(vectors).write_parquet(root / "vectors.parquet")
    return root


def test_counts_reach_the_split(tmp_path):
    data, root = opened(world(tmp_path / "w"), tmp_path / "cache")
    listens = data.listens(root)
    plays = listens.collect()
    split = make(listens, ColdRandom(share=0.2))
    kept = split.pairs.join(plays.select(pl.col("user", "item").cast(pl.String), n="count"), on=["user", "item"])
    assert kept.height == split.pairs.height == plays.height
    assert kept["count"].to_list() == kept["n"].to_list()
    assert split.counts["log"]["plays"] == plays["count"].sum()
    once = make(listens.drop("count"), ColdRandom(share=0.2))
    assert once.pairs.drop("count").equals(split.pairs.drop("count")), "counts change no part"
    later = pl.col("time") + pl.duration(seconds=pl.col("item"))
    with pytest.raises(BenchError, match="a log with counts must have one time"):
        make(listens.with_columns(later), ColdRandom())
    assert summarize(listens, ColdRandom()).plays == plays["count"].sum()


def test_a_run_says_what_the_numbers_are(tmp_path, capsys):
    root = world(tmp_path / "w")
    words = ["run", "--data", "lastfm-2k", "--root", root, "--extractor", f"precomputed:path={root}/vectors.parquet"]
    words += ["--model", "knn", "--results", tmp_path / "results", "--cache", tmp_path / "cache"]
    words += ["--split", "cold_random:share=0.2", "--k", "3"]
    assert main([str(word) for word in words]) == 0
    out, err = capsys.readouterr()
    for text in ("an item is an artist", "counts and no times", "user_artists.dat is not the published file"):
        assert text in err, "the plan"
        assert text in " ".join(out.split()), "the table"
    found = list(records.read_all(tmp_path / "results"))
    for _, record in found:
        assert any("no times" in warning for warning in record.warnings)
    content = next(record for _, record in found if not record.control)
    assert content.metrics["cold"]["ndcg@3"] > 1.5 * content.chance["cold"]["ndcg@3"]


@pytest.mark.parametrize("split", ["global_temporal", "recsys2024", "leave_last_out", "cold_random:start=1970-01-01"])
def test_splits_by_time_are_refused(tmp_path, capsys, split):
    root = world(tmp_path / "w")
    words = ["run", "--data", "lastfm-2k", "--root", root, "--split", split, "--extractor", "none"]
    assert main([str(word) for word in [*words, "--model", "popularity", "--cache", tmp_path / "cache"]]) == 1
    error = capsys.readouterr().err
    assert split.partition(":")[0] in error
    assert "--split cold_random" in error
