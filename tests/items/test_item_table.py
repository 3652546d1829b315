import numpy as np
import polars as pl
import pytest

from bench.errors import BenchError
from bench.items.item_table import ItemTable, Tables
from bench.resolver import resolve

IDS = [f"t{i:02d}" for i in range(30)]


@pytest.fixture
def vectors(tmp_path):
    """A file of vectors that lacks t05, and its content."""
    rng = np.random.default_rng(0)
    kept = [i for i in IDS if i != "t05"]
    matrix = rng.normal(size=(len(kept), 4)).astype(np.float32)
    path = tmp_path / "v.parquet"
    order = rng.permutation(len(kept))  # rows in no order: ids decide
    frame = pl.DataFrame({"d0": matrix[order, 0], "id": [kept[i] for i in order]})
    frame.with_columns([pl.Series(f"d{j}", matrix[order, j]) for j in (1, 2, 3)]).write_parquet(path)
    return path, dict(zip(kept, matrix, strict=True))


def build(text, tmp_path, treat="", ids=IDS, seed=0):
    tables = Tables(tmp_path / "cache", {}, seed=seed)
    return tables.build(resolve(text, treat=treat), ids, hot=np.arange(len(ids)) < 20)


def test_rows_are_aligned_by_id_and_coverage_is_reported(vectors, tmp_path):
    path, want = vectors
    table = build(f"precomputed:path=({path})", tmp_path)
    for row, name in enumerate(IDS):
        expected = want.get(name, np.zeros(4))
        assert np.allclose(table.vectors[row], expected)
    assert table.coverage == pytest.approx(29 / 30)
    assert not table.present[5]


def test_a_table_cannot_be_written_to(vectors, tmp_path):
    table = build(f"precomputed:path=({vectors[0]})", tmp_path)
    with pytest.raises(ValueError, match="read-only"):
        table.vectors[0, 0] = 1
    assert table.sha256 == table.now_sha256()


def test_a_changed_table_hashes_differently(vectors, tmp_path):
    table = build(f"precomputed:path=({vectors[0]})", tmp_path)
    before = table.sha256
    table.vectors.flags.writeable = True
    table.vectors[3, 1] += 1
    assert table.now_sha256() != before


def test_shuffled_permutes_the_present_rows_only(vectors, tmp_path):
    path, _ = vectors
    straight = build(f"precomputed:path=({path})", tmp_path)
    mixed = build(f"shuffled:of=(precomputed:path=({path}))", tmp_path)
    assert np.array_equal(mixed.present, straight.present)
    assert not np.array_equal(mixed.vectors, straight.vectors)
    for table in (straight, mixed):
        assert np.allclose(
            np.sort(table.vectors[table.present], axis=0), np.sort(straight.vectors[straight.present], 0)
        )


def test_gaussian_has_the_moments_of_its_model(tmp_path):
    rng = np.random.default_rng(1)
    matrix = (rng.normal(size=(4000, 3)) @ np.array([[2, 1, 0], [0, 1, 0], [0, 0, 3.0]]) + [1, -2, 0]).astype("f4")
    ids = [f"{i:04d}" for i in range(4000)]
    np.save(tmp_path / "m.npy", matrix)
    (tmp_path / "m.ids.txt").write_text("\n".join(ids))
    table = build(f"gaussian:of=(precomputed:path=({tmp_path}/m.npy))", tmp_path, ids=ids)
    assert np.allclose(table.vectors.mean(0), matrix.mean(0), atol=0.2)
    assert np.allclose(np.cov(table.vectors.T), np.cov(matrix.T), atol=0.5)


def test_a_sum_normalises_each_part(vectors, tmp_path):
    table = build(f"precomputed:path=({vectors[0]})+random:dim=6", tmp_path)
    assert table.vectors.shape == (30, 10)
    there = table.vectors[table.present]
    assert np.allclose(np.linalg.norm(there[:, :4], axis=1), 1, atol=1e-5)
    assert np.allclose(np.linalg.norm(there[:, 4:], axis=1), 1, atol=1e-5)


def test_treatments_leave_absent_rows_at_zero(vectors, tmp_path):
    table = build(f"precomputed:path=({vectors[0]})", tmp_path, treat="standardize+pca:2")
    assert table.vectors.shape == (30, 2)
    assert np.array_equal(table.vectors[5], [0, 0])


def test_seed_moves_controls_and_nothing_else(vectors, tmp_path):
    a, b = (build("random:dim=8", tmp_path, seed=s) for s in (0, 1))
    assert not np.array_equal(a.vectors, b.vectors)
    assert np.array_equal(a.vectors, build("random:dim=8", tmp_path, seed=0).vectors)


def test_duplicates_and_nan_are_refused():
    good, hot = np.zeros((2, 3), np.float32), np.ones(2, bool)
    with pytest.raises(BenchError, match="twice"):
        ItemTable(["a", "a"], good.copy(), hot.copy(), hot.copy(), {})
    with pytest.raises(BenchError, match="'b' is not finite"):
        ItemTable(["a", "b"], np.array([[1.0], [np.nan]], np.float32), hot.copy(), hot.copy(), {})
    with pytest.raises(BenchError, match="rows of vectors for 3 ids"):
        ItemTable(["a", "b", "c"], good.copy(), hot.copy(), hot.copy(), {})


def write(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("v.csv", "id,x\na,1\na,2\n", "'a' occurs more than once"),
        ("v.csv", "id,x\na,1\nb,\n", "'b' .row 2."),
        ("v.csv", "id,x\na,1\nb,nan\n", "non-finite value"),
        ("v.csv", "name,x\na,1\n", "no id column"),
        ("v.tsv", "", "cannot read"),
        ("v.txt", "id x", "one column only"),
        ("v.npy", "not an array", "not a plain .npy"),
    ],
)
def test_bad_files_of_vectors_are_named(tmp_path, name, text, said):
    path = write(tmp_path / name, text)
    if name.endswith(".npy"):
        write(tmp_path / "v.ids.txt", "a\n")
    with pytest.raises(BenchError, match=said):
        build(f"precomputed:path=({path})", tmp_path)


def test_a_pickled_array_is_never_read(tmp_path):
    np.save(tmp_path / "v.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    write(tmp_path / "v.ids.txt", "a\n")
    with pytest.raises(BenchError, match="Pickles are never read"):
        build(f"precomputed:path=({tmp_path}/v.npy)", tmp_path)


def test_onion_and_yambda_shapes_are_read(tmp_path):
    import bz2

    onion = tmp_path / "id_mfcc_stats.tsv.bz2"
    onion.write_bytes(bz2.compress(b"MFCC0\tcov_0\tid\n1.5\t2\t007\n-1\t3e-2\t0A\n"))
    table = Tables(tmp_path, {}).build(resolve(f"precomputed:path=({onion})"), ["007", "0A"], hot=np.ones(2, bool))
    assert np.allclose(table.vectors, [[1.5, 2], [-1, 0.03]])
    yambda = tmp_path / "embeddings.parquet"
    lists = pl.Series([[1.0, 2.0], [3.0, 4.0]], dtype=pl.List(pl.Float64))
    pl.DataFrame({"item_id": [9, 10], "embed": lists, "normalized_embed": lists * 0.5}).write_parquet(yambda)
    spec = f"precomputed:path=({yambda}),column=embed"
    assert np.allclose(
        Tables(tmp_path, {}).build(resolve(spec), ["10", "9"], hot=np.ones(2, bool)).vectors, [[3, 4], [1, 2]]
    )
    with pytest.raises(BenchError, match="column= one of embed, normalized_embed"):
        Tables(tmp_path, {}).build(resolve(f"precomputed:path=({yambda})"), ["9"], hot=np.ones(1, bool))
