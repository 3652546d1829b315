"""Beyond what tests/items/test_item_table.py says of alignment, damage and the shapes of Onion and Yambda."""

import bz2
import gzip

import numpy as np
import polars as pl
import pytest

from bench.errors import BenchError
from bench.registry import create
from bench.testing import TableSourceContract
from bench_extractors.precomputed import _tell

TEXT = "id,x,y\nb,3,4\n007,1,2\nc,5,6\n"
ROWS = {"007": [1, 2], "b": [3, 4], "c": [5, 6]}


def source(path, **settings):
    return create("extractors", ",".join([f"precomputed:path=({path})", *(f"{k}=({v})" for k, v in settings.items())]))


def rows(plugin, ids):
    return plugin.table(ids, base=None, seed=0).tolist()


def npy(folder, matrix, ids="b\n007\nc\n", name="v.ids.txt"):
    np.save(folder / "v.npy", matrix)
    (folder / name).write_text(ids)
    return folder / "v.npy"


def tsv(text):
    return text.replace(",", "\t")


def gz(text):
    return gzip.compress(text.encode(), mtime=0)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("v.csv", TEXT.encode()),
        ("v.tsv", tsv(TEXT).encode()),
        ("v.csv", tsv(TEXT).encode()),  # as Music4All names its files
        ("v.csv", TEXT.replace("\n", "\r\n").encode()),
        ("v.csv", TEXT.rstrip().encode()),
        ("v.tsv.gz", gz(tsv(TEXT))),
        ("v.csv.gz", gz(TEXT)),
        ("v.2024.csv", TEXT.encode()),
    ],
)
def test_tables_of_text(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    plugin = source(tmp_path / name)
    assert plugin.present(["007", "7", "b", "c", "d"]).tolist() == [True, False, True, True, False]
    assert rows(plugin, ["007", "b", "c"]) == list(ROWS.values())
    assert rows(plugin, ["c"]) == [[5, 6]]


def test_a_compressed_table_with_a_tab_among_its_bytes(tmp_path):
    for stamp in range(64):
        path = tmp_path / f"{stamp}.csv.gz"
        path.write_bytes(gzip.compress(TEXT.encode(), mtime=9 + 256 * stamp))  # 9 is a tab, in the header
        assert rows(source(path), ["b"]) == [[3, 4]]


@pytest.mark.parametrize("kind", ["<f4", "<f8", "<f2", "<i4", "|u1", ">f4"])
def test_arrays_of_any_number(tmp_path, kind):
    path = npy(tmp_path, np.array([[3, 4], [1, 2], [5, 6]], kind))
    assert rows(source(path), ["007", "b", "c"]) == list(ROWS.values())
    assert source(path).table(["b"], base=None, seed=0).dtype == np.float32


def test_ids_of_an_array_may_stand_in_a_table(tmp_path):
    path = npy(tmp_path, np.array([[3, 4], [1, 2], [5, 6]], "f4"), "x,track_id\n1,b\n2,007\n3,c\n", "names.csv")
    assert rows(source(path, ids=tmp_path / "names.csv"), ["007", "b", "c"]) == list(ROWS.values())


@pytest.mark.parametrize(
    ("matrix", "ids", "said"),
    [
        (np.zeros((3, 2)), "a\nb\n", "3 rows but 2 ids"),
        (np.zeros(3), "a\nb\nc\n", r"shape \(3,\)"),
        (np.zeros((3, 2), complex), "a\nb\nc\n", "type complex128"),
        (np.zeros((3, 0)), "a\nb\nc\n", "holds no vectors"),
        (np.zeros((0, 3)), "", "holds no vectors"),
        (np.array([[1.0], [np.inf]]), "a\nb\n", r"first is id 'b' \(row 2\)"),
    ],
)
def test_arrays_that_fit_no_ids_are_refused(tmp_path, matrix, ids, said):
    with pytest.raises(BenchError, match=said):
        source(npy(tmp_path, matrix, ids)).present(["a"])


def test_an_array_without_ids_says_where_they_belong(tmp_path):
    np.save(tmp_path / "v.npy", np.zeros((1, 1)))
    with pytest.raises(BenchError, match=r"v\.npy needs its ids.*v\.ids\.txt"):
        source(tmp_path / "v.npy").present(["a"])


def test_an_absent_file_is_named_at_once(tmp_path):
    with pytest.raises(BenchError, match=r"there is no file .*none\.npy"):
        source(tmp_path / "none.npy")


def test_the_id_column_may_be_named(tmp_path):
    (tmp_path / "v.csv").write_text("song,x\nb,1\n")
    with pytest.raises(BenchError, match=r"its columns are song, x\. Give id=NAME"):
        source(tmp_path / "v.csv").present(["b"])
    assert rows(source(tmp_path / "v.csv", id="song"), ["b"]) == [[1]]


def test_lists_of_unlike_length_are_refused(tmp_path):
    pl.DataFrame({"id": ["a", "b"], "v": [[1.0, 2.0], [3.0]]}).write_parquet(tmp_path / "v.parquet")
    with pytest.raises(BenchError, match="column 'v'"):
        source(tmp_path / "v.parquet").present(["a"])
    with pytest.raises(BenchError, match="column= one of v"):
        source(tmp_path / "v.parquet", column="w").present(["a"])


def test_the_fingerprint_follows_the_bytes_of_both_files(tmp_path):
    path = npy(tmp_path, np.zeros((3, 2)))
    before = source(path).fingerprint()
    assert source(path).fingerprint() == before
    (tmp_path / "v.ids.txt").write_text("007\nb\nc\nd\n")
    other_ids = source(path).fingerprint()
    assert other_ids != before
    np.save(path, np.ones((3, 2)))
    assert source(path).fingerprint() not in (before, other_ids)
    assert source(path, id="b").fingerprint() != source(path).fingerprint()


@pytest.mark.parametrize(
    ("text", "width", "ignored"),
    [
        (",track_id,0,1\n0,a,5,6\n1,b,7,9\n", 2, "''"),
        ("Unnamed: 0,track_id,0,1\n0,a,5,6\n1,b,7,9\n", 2, "'Unnamed: 0'"),
        ('""\ttrack_id\t0\t1\n"1"\ta\t5\t6\n"2"\tb\t7\t9\n', 2, "''"),
        ("id,track_id,artist_id,0,1\n0,a,3,5,6\n1,b,4,7,9\n", 2, "'id', 'artist_id'"),
        (",0,1\na,5,6\nb,7,9\n", 2, ""),
        ("Track ID,0,1\na,5,6\n\nb,7,9\n\n", 2, ""),
    ],
)
def test_an_index_is_no_dimension(tmp_path, capsys, text, width, ignored):
    (tmp_path / "v.csv").write_text(text)
    _tell.cache_clear()
    assert rows(source(tmp_path / "v.csv"), ["a", "b"]) == [[5, 6], [7, 9]]
    said = capsys.readouterr().err
    assert f"vectors of {width} numbers, '0' to '1'" in said
    assert said.partition("; ignored: ")[2] == (ignored + "\n" if ignored else "")


@pytest.mark.parametrize("name", ["__index_level_0__", "n", "row"])
def test_a_column_that_counts_the_rows_is_no_dimension(tmp_path, name):
    numbers = np.random.default_rng(0).normal(size=(8, 2))
    frame = pl.DataFrame({name: range(1, 9), "item": list("abcdefgh"), "x": numbers[:, 0], "y": numbers[:, 1]})
    frame.write_parquet(tmp_path / "v.parquet")
    assert rows(source(tmp_path / "v.parquet"), list("abcdefgh")) == numbers.astype("f4").tolist()


def test_a_named_index_of_pandas_may_hold_the_ids(tmp_path):
    pl.DataFrame({"x": [1.0, 2.0], "__index_level_0__": ["a", "b"]}).write_parquet(tmp_path / "v.parquet")
    assert rows(source(tmp_path / "v.parquet"), ["b"]) == [[2]]
    pl.DataFrame({"x": [1.0, 2.0], "__index_level_0__": [0, 1]}).write_parquet(tmp_path / "v.parquet")
    with pytest.raises(BenchError, match="no id column"):
        source(tmp_path / "v.parquet").present(["0"])


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (["x", "1"], "column 'c' holds 'x' for id 'a'"),
        ([{"p": 1}, {"p": 2}], "column 'c' is Struct"),
        ([["p"], ["q"]], "missing or non-finite value"),
        ([[1.0], None], "different lengths"),
    ],
)
def test_columns_without_numbers_are_named(tmp_path, column, said):
    pl.DataFrame({"id": ["a", "b"], "v": [1.0, 2.0], "c": column}).write_parquet(tmp_path / "v.parquet")
    with pytest.raises(BenchError, match=said):
        source(tmp_path / "v.parquet").present(["a"])


def test_ids_hold_any_character_but_a_line_feed(tmp_path):
    path = npy(tmp_path, np.array([[1], [2]], "f4"), "a\u2028b\nc\x0c\n")
    assert rows(source(path), ["a\u2028b", "c\x0c"]) == [[1], [2]]
    (tmp_path / "v.ids.txt").write_text("a\n\n")
    with pytest.raises(BenchError, match="row 2 has no id"):
        source(path).present(["a"])


def test_an_archive_is_no_array(tmp_path):
    np.savez(tmp_path / "v.npz", x=np.zeros(1))
    (tmp_path / "v.npz").rename(tmp_path / "v.npy")
    (tmp_path / "v.ids.txt").write_text("a\n")
    with pytest.raises(BenchError, match="archive"):
        source(tmp_path / "v.npy").present(["a"])


@pytest.mark.parametrize("name", ["v.csv", "v.csv.gz", "v.csv.bz2"])
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ('track_id,x\n12" mix,1\n"p, ""q""",2\n7" edit,3\n', ['12" mix', 'p, "q"', '7" edit']),
        ('track_id\tx\n"a"\t1\n7" mix\t2\n', ['"a"', '7" mix']),
        ('"track_id"\tx\n"a"\t1\n7" mix\t2\n', ["a", '7" mix']),
    ],
    ids=["csv", "tsv", "quoted tsv"],
)
def test_quotes_mean_what_they_mean_in_a_log(tmp_path, name, text, ids):
    pack = {"csv": bytes, "gz": gzip.compress, "bz2": bz2.compress}[name.rpartition(".")[2]]
    (tmp_path / name).write_bytes(pack(text.encode()))
    assert rows(source(tmp_path / name), ids) == [[n] for n in range(1, len(ids) + 1)]


class TestContract(TableSourceContract):
    @pytest.fixture(autouse=True)
    def file(self, tmp_path):
        """Write a file in no order that lacks one id."""
        ids = [i for i in self.ids if i != "track005"][::-1]
        pl.DataFrame({"id": ids, "x": range(63), "y": range(63)}).write_parquet(tmp_path / "v.parquet")
        self.spec = f"precomputed:path=({tmp_path}/v.parquet)"

    def test_the_file_is_known(self):
        assert self.note() == ""
        assert len(self._known()) == 63


@pytest.mark.parametrize(
    "columns",
    [
        {"id": ["a", "b"], "v": [[[1.0]], [[2.0]]]},
        {"id": [["a"], ["b"]], "v": [1.0, 2.0]},
        {"id": ["a", "b"], "v": [{"x": 1.0}, {"x": 2.0}]},
        {"id": ["a", "b"], "v": [["x"], ["y"]]},
        {"id": ["a", "b"], "v": [b"1", b"2"]},
    ],
)
def test_columns_of_unusual_types_are_refused(tmp_path, columns):
    pl.DataFrame(columns).write_parquet(tmp_path / "v.parquet")
    with pytest.raises(BenchError, match="parquet"):
        create("extractors", f"precomputed:path={tmp_path / 'v.parquet'}").present(["a"])
