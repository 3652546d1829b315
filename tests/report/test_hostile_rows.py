"""Per-user files of strangers: a row whose file cannot be used loses its own marks, and no report stops."""

import os

import numpy as np
import polars as pl
import pytest

from bench.cli import main
from bench.records import read, users_path, write
from bench.report import boards


def replaced(path, change):
    frame = pl.read_parquet(users_path(path))
    users_path(path).unlink()
    change(frame).write_parquet(users_path(path))


CHANGES = {
    "no users": lambda f: f.drop("user"),
    "no candidates": lambda f: f.drop("candidates"),
    "candidates are numbers": lambda f: f.with_columns(candidates=pl.lit(1)),
    "users are lists": lambda f: f.with_columns(user=pl.concat_list("user")),
    "users are structs": lambda f: f.with_columns(user=pl.struct("user")),
    "users are no text": lambda f: f.with_columns(user=pl.lit(b"\xff\xfe")),
    "a user without a name": lambda f: f.with_columns(user=pl.when(pl.int_range(pl.len()) > 0).then(pl.col("user"))),
    "a user twice": lambda f: f.with_columns(user=pl.lit("u")),
    "long names": lambda f: f.with_columns(user=pl.col("user") + "x" * 5000),
    "values are text": lambda f: f.with_columns(pl.lit("x").alias("ndcg@10")),
    "values are lists": lambda f: f.with_columns(pl.concat_list("ndcg@10").alias("ndcg@10")),
    "a value is no number": lambda f: f.with_columns(pl.lit(float("nan")).alias("ndcg@10")),
    "a value is absent": lambda f: f.with_columns(
        pl.when(pl.int_range(pl.len()) > 0).then(pl.col("ndcg@10")).alias("ndcg@10")
    ),
    "an infinite value": lambda f: f.with_columns(pl.lit(float("inf")).alias("ndcg@10")),
    "other values": lambda f: f.with_columns(pl.col("ndcg@10") + 0.1),
    "no rows": lambda f: f.clear(),
    "other candidates": lambda f: f.with_columns(candidates=pl.lit("mixed")),
}


@pytest.mark.parametrize("how", CHANGES)
def test_an_odd_file_costs_its_own_row_its_marks(results, how):
    results.comparison(sets=("hot",))
    replaced(results.paths[1], CHANGES[how])  # of clap, which is level with the best
    check(results)


@pytest.mark.parametrize("how", ["fifo", "device", "folder", "link to itself", "link to nothing", "cut", "flipped"])
def test_what_is_no_whole_file_costs_its_own_row_its_marks(results, how):
    results.comparison(sets=("hot",))
    file = users_path(results.paths[1])
    content = bytearray(file.read_bytes())
    file.unlink()
    if how == "fifo":
        os.mkfifo(file)
    elif how == "device":
        file.symlink_to("/dev/zero")
    elif how == "folder":
        file.mkdir()
    elif how == "link to itself":
        file.symlink_to(file)
    elif how == "link to nothing":
        file.symlink_to(file.with_name("nothing"))
    elif how == "cut":
        file.write_bytes(content[:-20])
    else:
        at = np.random.default_rng(0).integers(4, len(content) - 8, 200)
        for place in at:
            content[place] ^= 255
        file.write_bytes(content)
    check(results)


def check(results):
    file, problems = users_path(results.paths[1]), []
    (board,) = boards(results.read(), problems)
    values = {row.extractor: row.values["hot"]["ndcg@10"] for row in board.blocks[0].rows}
    assert {name for name, value in values.items() if value.best} == {"mert:layer=7"}
    assert values["mfcc"].evidence.differ is not None
    assert [str(file) in problem for problem in problems] == [True]
    assert "never bold: clap × knn." in " ".join(note.text for note in board.notes)


def test_a_file_of_very_many_rows_is_not_read(results, tmp_path, capsys):
    """Its record says that it has so many users, and the file agrees: it is small, for its rows are all alike."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    results.comparison(sets=("hot",), data="real", builtin=False)
    n, block = 72_000_000, 4_000_000
    path = results.paths[1]
    record = read(path)
    users_path(path).unlink()
    names = pl.read_parquet(users_path(results.paths[0])).columns
    part = {name: pa.array(np.zeros(block, np.float32)) for name in ("ndcg@10",)}
    part["candidates"] = pa.DictionaryArray.from_arrays(np.zeros(block, np.int8), ["hot"])
    part["user"] = pa.DictionaryArray.from_arrays(np.zeros(block, np.int8), ["u"])
    assert "ndcg@10" in names
    table = pa.table(part)
    with pq.ParquetWriter(users_path(path), table.schema, compression="zstd") as writer:
        for _ in range(n // block):
            writer.write_table(table)
    assert users_path(path).stat().st_size < 5_000_000
    record.users["hot"] = n
    record.metrics["hot"] = {"ndcg@10": 0.0}
    write(record, results.folder)
    assert main(["report", str(results.folder)]) == 0
    assert main(["leaderboard", str(results.folder), "--out", str(tmp_path / "site")]) == 0
    said = capsys.readouterr()
    assert "72,000,000" in said.err
    assert "mert:layer=7" in said.out
