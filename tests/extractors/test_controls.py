"""Beyond what tests/items/test_item_table.py says of controls in a table."""

import numpy as np
import pytest

from bench.errors import BenchError
from bench.registry import create
from bench.testing import TableSourceContract

IDS = [f"{i:04d}" for i in range(500)]


class TestRandom(TableSourceContract):
    spec = "random:dim=7"


class TestGaussian(TableSourceContract):
    spec = "gaussian:of=mfcc"


class TestShuffled(TableSourceContract):
    spec = "shuffled:of=(precomputed:path=/not/read/by/the/contract.npy)"


class TestNothing(TableSourceContract):
    spec = "none"


def base(seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((500, 3)) @ [[2, 1, 0], [0, 1, 0], [0, 0, 3]] + [1, -2, 0]).astype(np.float32)


def table(spec, seed=0, of=None):
    before = None if of is None else of.copy()
    found = create("extractors", spec).table(IDS, base=of, seed=seed)
    assert of is None or np.array_equal(of, before)  # the imitated table stays as it is
    return found


@pytest.mark.parametrize("spec", ["random", "gaussian:of=mfcc", "shuffled:of=mfcc"])
def test_each_seed_gives_another_table_and_always_the_same(spec):
    of = None if spec == "random" else base()
    tables = [table(spec, seed, of) for seed in range(4)]
    assert all(np.array_equal(table(spec, seed, of), tables[seed]) for seed in range(4))
    assert all(not np.array_equal(tables[0], other) for other in tables[1:])


def test_random_rows_are_standard_normal_and_unrelated():
    found = table("random:dim=64")
    assert found.shape == (500, 64)
    assert abs(found.mean()) < 4 / found.size**0.5
    assert abs(found.var() - 1) < 4 * (2 / found.size) ** 0.5
    assert np.abs(np.corrcoef(found)[np.triu_indices(500, 1)]).max() < 6 / 64**0.5


def test_gaussian_keeps_moments_but_no_row():
    of = base()
    found = table("gaussian:of=mfcc", 0, of)
    np.testing.assert_allclose(found.mean(0), of.mean(0), atol=4 * 3 / 500**0.5)
    np.testing.assert_allclose(np.cov(found.T), np.cov(of.T), atol=2)
    assert np.abs(found[:, None] - of[None]).max(axis=2).min() > 1e-4
    assert abs(np.corrcoef(found[:, 0], of[:, 0])[0, 1]) < 0.2  # a row knows nothing of its own item


def test_gaussian_of_one_track_is_its_mean():
    only = np.array([[1.0, -2.0]], np.float32)
    found = create("extractors", "gaussian:of=mfcc").table(["a"], base=only, seed=0)
    assert np.array_equal(found, only)


def test_shuffled_moves_nearly_every_row_and_loses_none():
    of = base()
    found = table("shuffled:of=mfcc", 0, of)
    assert (found == of).all(axis=1).sum() < 8  # a permutation leaves one row in its place on average
    assert np.array_equal(np.sort(found.view("f4,f4,f4"), axis=0), np.sort(of.view("f4,f4,f4"), axis=0))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("random:dim=0", "dim must be positive, got 0"),
        ("shuffled", "shuffled needs of="),
        ("gaussian", "gaussian needs of="),
        ("none:dim=3", "none has no setting 'dim'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(spec, said):
    with pytest.raises(BenchError, match=said):
        create("extractors", spec)


def test_fingerprints_name_what_is_imitated():
    prints = [create("extractors", f"shuffled:of={of}").fingerprint() for of in ("mfcc", "(mfcc:n_mfcc=20)")]
    assert prints == [{"of": "mfcc"}, {"of": "mfcc:n_mfcc=20"}]
