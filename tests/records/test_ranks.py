"""Ranks of held-out items beside a record: what is written is read, in one order, and strangers' files are harmless."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.errors import BenchError
from bench.files.atomic import file_sha256
from bench.records import RowsFile, ranks_path, read, users_path, write
from bench.records.ranks import SCHEMA, HeldOut, read_ranks

from .test_records import record

COLUMNS = ("listeners", "indptr", "items", "item", "artists", "artist", "rank")


def held_out(users=7, items=30, seed=0, most=5):
    """Ranks below 40 of 1 to `most` items of each user; an item of three has no known artist."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, most + 1, users)
    indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    item = np.concatenate([rng.permutation(items)[:n] for n in sizes])
    rank = np.concatenate([rng.permutation(40)[:n] for n in sizes]).astype(np.int32)
    return HeldOut.of(
        pl.Series([f"user {at:07d}" for at in range(users)]),
        indptr,
        item,
        rank,
        pl.Series([f"item {at:07d}" for at in range(items)]),
        pl.Series([None if at % 3 == 0 else f"artist {at % 5}" for at in range(items)], dtype=pl.String),
    )


def written(folder, **sets):
    sets = sets or {"hot": held_out(), "cold": held_out(4, 9, 1)}
    means = {where: {"ndcg@10": 0.5} for where in sets}
    users = {where: len(each.listeners) for where, each in sets.items()}
    made = replace(record(), metrics=means, intervals={}, users=users, candidates=dict.fromkeys(sets, 99))
    return write(made, folder, pl.DataFrame({"user": ["u"]}), sets)


def test_what_is_written_is_read(tmp_path):
    sets = {"hot": held_out(), "cold": held_out(4, 9, 1)}
    path, made = written(tmp_path, **sets)
    found = read_ranks(path, read(path))
    assert list(found) == ["hot", "cold"]
    for where, each in found.items():
        for name in COLUMNS:
            one, other = getattr(each, name), getattr(sets[where], name)
            assert one.to_list() == other.to_list() if isinstance(one, pl.Series) else (one == other).all()
            assert one.dtype == other.dtype
    assert made.ranks == RowsFile(sum(len(each.rank) for each in sets.values()), file_sha256(ranks_path(path)))


def test_the_file_holds_names_sorted_by_candidates_user_and_rank(tmp_path):
    path, _ = written(tmp_path)
    frame = pl.read_parquet(ranks_path(path))
    assert frame.columns == SCHEMA.names
    plain = frame.with_columns(pl.col("candidates", "user", "item", "artist").cast(pl.String))
    order = plain["candidates"] == "cold"
    assert plain.equals(plain.with_columns(order.alias("o")).sort("o", "user", "rank", maintain_order=True).drop("o"))
    missing = plain.filter(pl.col("artist").is_null())["item"].str.slice(5).cast(int)
    assert len(missing)
    assert (missing % 3 == 0).all()
    assert all(str(pq.read_schema(ranks_path(path)).field(name).type).startswith("dictionary") for name in ("user",))


def test_pairs_of_a_user_are_sorted_by_rank_whatever_their_order():
    names, artists = pl.Series(["a", "b", "c"]), pl.Series(["x", None, "x"], dtype=pl.String)
    rank = np.array([9, 0, 3, 5], np.int32)
    made = HeldOut.of(pl.Series(["u", "v"]), np.array([0, 3, 4]), np.array([0, 1, 2, 1]), rank, names, artists)
    assert made.rank.tolist() == [0, 3, 9, 5]
    assert made.items.gather(made.item).to_list() == ["b", "c", "a", "b"]
    assert made.artist.tolist() == [-1, 0, 0, -1]
    assert made.listener.tolist() == [0, 0, 0, 1]


def test_a_record_of_an_old_version_has_no_ranks(tmp_path):
    path, _ = written(tmp_path)
    assert "without ranks" in read_ranks(path, replace(read(path), ranks=None))
    old = Path(__file__).parent / "golden" / "v2" / "run-knn.json"
    assert "without ranks" in read_ranks(old, read(old))


def test_ranks_are_no_field_of_version_2_nor_of_a_probe(tmp_path):
    path, made = written(tmp_path)
    old = tmp_path / "old.json"
    old.write_text(path.read_text().replace('"schema_version": 3', '"schema_version": 2'))
    with pytest.raises(BenchError, match=r"old\.json: ranks: is no field of version 2"):
        read(old)
    with pytest.raises(BenchError, match="ranks"):
        write(replace(made, kind="imported"), tmp_path)


STOP = """
import os, signal, sys
from pathlib import Path
import bench.files.atomic as atomic
from tests.records.test_ranks import held_out, written
number, replace = 0, os.replace
def kill(*names):
    global number
    number += 1
    if number == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*names)
os.replace = kill
written(Path(sys.argv[1]), hot=held_out(7, 30, 5), cold=held_out(4, 9, 6))
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("before", [True, False])
def test_a_process_killed_between_the_files_leaves_a_state_that_is_read(tmp_path, number, before):
    if before:
        path, first = written(tmp_path)
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", STOP, str(tmp_path), str(number)]
    assert subprocess.run(command, cwd=root, check=False).returncode == -9
    records = [found for found in tmp_path.rglob("*.json") if not found.name.startswith(".")]
    if not before:
        assert records == []
        return
    assert read(path) == first
    found = read_ranks(path, first)
    assert isinstance(found, str) == (number == 3)  # the new ranks are there, and the record of the old ones
    again, made = written(tmp_path)
    assert (again, made) == (path, first)
    assert not isinstance(read_ranks(path, made), str)


# -- files of strangers -----------------------------------------------------------------------------------------


def replaced(path, change):
    """Change the ranks beside a record, which then names the changed file."""
    names = pl.col("candidates", "user", "item", "artist").cast(pl.String)
    frame = change(pl.read_parquet(ranks_path(path)).with_columns(names))
    ranks_path(path).unlink()
    frame.write_parquet(ranks_path(path))
    return replace(read(path), ranks=RowsFile(frame.height, file_sha256(ranks_path(path))))


def first_is(name, value):
    return lambda f: f.with_columns(pl.when(pl.int_range(pl.len()) > 0).then(pl.col(name)).otherwise(value).alias(name))


CHANGES = {
    "no users": lambda f: f.drop("user"),
    "no ranks": lambda f: f.drop("rank"),
    "no artists": lambda f: f.drop("artist"),
    "a user without a name": first_is("user", None),
    "an item without a name": first_is("item", None),
    "a rank is absent": first_is("rank", None),
    "a rank below 0": lambda f: f.with_columns(rank=pl.col("rank") - 50),
    "a rank above the candidates": lambda f: f.with_columns(rank=pl.col("rank") + 99),
    "a rank twice": lambda f: f.with_columns(rank=pl.lit(3, pl.Int32)),
    "ranks fall": lambda f: f.with_columns(rank=(50 - pl.col("rank")).cast(pl.Int32)),
    "ranks are text": lambda f: f.with_columns(rank=pl.lit("x")),
    "ranks are lists": lambda f: f.with_columns(rank=pl.concat_list("rank")),
    "users are structs": lambda f: f.with_columns(user=pl.struct("user")),
    "users are no text": lambda f: f.with_columns(user=pl.lit(b"\xff\xfe")),
    "one user": lambda f: f.with_columns(user=pl.lit("u")),
    "users in two places": lambda f: f.with_columns(user=pl.col("user").shuffle(seed=0)),
    "users twice": lambda f: f.with_columns(user=pl.col("user").str.slice(0, 11)),
    "long names of users": lambda f: f.with_columns(user=pl.col("user") + "x" * 5000),
    "long names of items": lambda f: f.with_columns(item=pl.col("item") + "x" * 5000),
    "long names of artists": lambda f: f.with_columns(artist=pl.col("artist") + "x" * 5000),
    "no rows": lambda f: f.clear(),
    "one candidate set": lambda f: f.filter(pl.col("candidates") == "hot"),
    "other candidates": lambda f: f.with_columns(candidates=pl.lit("mixed")),
}


@pytest.mark.parametrize("how", CHANGES)
def test_an_odd_file_is_refused(tmp_path, how):
    path, _ = written(tmp_path)
    assert isinstance(read_ranks(path, replaced(path, CHANGES[how])), str)


def test_plain_columns_are_read_as_well(tmp_path):
    path, _ = written(tmp_path)
    plain, own = read_ranks(path, replaced(path, lambda f: f)), held_out()
    assert (plain["hot"].rank == own.rank).all()
    assert plain["hot"].artists.to_list() == own.artists.to_list()


def test_another_file_is_refused(tmp_path):
    path, made = written(tmp_path)
    other, _ = written(tmp_path / "other", hot=held_out(seed=3), cold=held_out(4, 9, 1))
    ranks_path(path).write_bytes(ranks_path(other).read_bytes())
    assert isinstance(read_ranks(path, made), str)
    ranks_path(path).unlink()
    assert isinstance(read_ranks(path, made), str)
    os.mkfifo(ranks_path(path))
    assert isinstance(read_ranks(path, made), str)
    assert users_path(path).exists()


def test_a_file_of_very_many_rows_is_not_read(tmp_path):
    path, made = written(tmp_path)
    n, block = 40_000_000, 4_000_000
    part = pa.table(
        [pa.DictionaryArray.from_arrays(pa.array(np.zeros(block, np.int32)), pa.array(["u"], pa.large_string()))] * 4
        + [pa.array(np.zeros(block, np.int32))],
        schema=SCHEMA,
    )
    with pq.ParquetWriter(ranks_path(path), SCHEMA, compression="zstd") as writer:
        for _ in range(n // block):
            writer.write_table(part)
    assert ranks_path(path).stat().st_size < 1_000_000
    said = read_ranks(path, replace(made, ranks=RowsFile(n, file_sha256(ranks_path(path)))))
    assert "40,000,000" in said
