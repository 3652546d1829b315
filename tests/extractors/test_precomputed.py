"""Beyond what tests/items/test_item_table.py says of alignment, damage and the shapes of Onion and Yambda."""

import gzip

import numpy as np
import polars as pl
import pytest

from bench.errors import BenchError
from bench.registry import create
from bench.testing import TableSourceContract

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
