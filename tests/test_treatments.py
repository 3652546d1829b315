import numpy as np
import pytest

from bench import treatments
from bench.errors import BenchError
from bench.norms import l2


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(200, 3)) @ rng.normal(size=(3, 12)) + 0.1 * rng.normal(size=(200, 12)) + 5).astype(
        np.float32
    )
    fit = np.arange(200) < 150
    return vectors, fit


def treated(text, table):
    return treatments.apply(table[0], treatments.parse(text), fit=table[1], seed=0)


def test_l2(table):
    assert np.allclose(np.linalg.norm(treated("l2", table), axis=1), 1, atol=1e-6)


def test_standardize_is_fitted_on_training_items_alone(table):
    out = treated("standardize", table)
    assert np.allclose(out[table[1]].mean(0), 0, atol=1e-5)
    assert np.allclose(out[table[1]].std(0), 1, atol=1e-5)
    changed = table[0].copy()
    changed[~table[1]] += 100  # cold items must not shape the transform
    again = treatments.apply(changed, treatments.parse("standardize"), fit=table[1], seed=0)
    assert np.array_equal(again[table[1]], out[table[1]])


@pytest.mark.parametrize("step", ["pca:3", "whiten:3"])
def test_components_ignore_cold_items_and_match_numpy(table, step):
    out = treated(step, table)
    rows = table[0][table[1]].astype(np.float64)
    u, s, _ = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    want = (u * s)[:, :3] if step == "pca:3" else u[:, :3] * np.sqrt(len(rows) - 1)
    assert np.allclose(np.abs(out[table[1]]), np.abs(want), rtol=1e-3, atol=1e-3 * np.abs(want).max())
    changed = table[0].copy()
    changed[~table[1]] *= -3
    again = treatments.apply(changed, treatments.parse(step), fit=table[1], seed=0)
    assert np.array_equal(again[table[1]], out[table[1]])


def test_random_projection_keeps_distances_roughly_and_is_seeded(table):
    wide = treated("random_projection:2000", table)
    a, b = np.linalg.norm(table[0][0] - table[0][1]), np.linalg.norm(wide[0] - wide[1])
    assert abs(a - b) / a < 0.15
    assert np.array_equal(wide, treated("random_projection:2000", table))


def test_chains_apply_in_order(table):
    assert np.allclose(np.linalg.norm(treated("pca:4+l2", table), axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "said"),
    [("pc:3", "Did you mean 'pca'"), ("pca", "write pca:k"), ("l2:3", "takes no width"), ("pca:0", "not a positive")],
)
def test_bad_treatments_are_named(text, said):
    with pytest.raises(BenchError, match=said):
        treatments.parse(text)


def test_more_components_than_items_can_give(table):
    with pytest.raises(BenchError, match="at most 12 components"):
        treated("pca:13", table)


@pytest.mark.parametrize("factor", [2.0**63, 2.0**-63])  # about 1e19: squares leave float32
@pytest.mark.parametrize("text", ["l2", "standardize", "pca:3", "whiten:3", "random_projection:5", "l2+pca:2"])
def test_a_factor_on_all_vectors_changes_no_direction(table, text, factor):
    vectors, fit = table
    steps = treatments.parse(text)
    expected = treatments.apply(vectors, steps, fit=fit, seed=0)
    found = treatments.apply(vectors * np.float32(factor), steps, fit=fit, seed=0)
    if text in ("pca:3", "random_projection:5"):
        found = found / np.float32(factor)
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_l2_of_rows_of_unlike_size():
    rows = np.array([[3e30, 4e30], [3e-30, 4e-30], [3, 4], [0, 0]], np.float32)
    assert np.allclose(l2(rows), [[0.6, 0.8]] * 3 + [[0, 0]])


@pytest.mark.parametrize("shape", [(1, 5), (3000, 1), (3000, 2), (700, 13), (200, 5, 40), (30, 900)])
def test_moments_of_blocks_have_the_bits_of_the_whole(monkeypatch, shape):
    rng = np.random.default_rng(0)
    rows = (rng.standard_normal(shape) * 1e4 + 3).astype(np.float32)
    which = rng.random(shape[0]) < 0.7
    which[0] = True
    monkeypatch.setattr(treatments, "BLOCK", 1000)
    for chosen, mask in ((rows, None), (rows[which], which)):
        mean, deviation = treatments.moments(rows, mask)
        assert np.array_equal(mean, chosen.mean(axis=0, dtype=np.float64))
        assert np.array_equal(deviation, chosen.std(axis=0, dtype=np.float64))


@pytest.mark.parametrize("text", ["l2", "standardize", "l2+standardize"])
def test_a_table_is_treated_in_place_only_if_asked(monkeypatch, text):
    vectors = np.random.default_rng(0).standard_normal((300, 7)).astype(np.float32)
    given, fit = vectors.copy(), np.arange(300) < 200
    whole = treatments.apply(given, treatments.parse(text), fit=fit, seed=0)
    assert np.array_equal(given, vectors)
    monkeypatch.setattr(treatments, "BLOCK", 50)
    assert treatments.apply(given, treatments.parse(text), fit=fit, seed=0, overwrite=True) is given
    assert np.array_equal(given, whole)
