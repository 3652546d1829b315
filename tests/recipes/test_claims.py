"""Verdicts by hand, and the claims of a paper against the numbers that it prints."""

from itertools import pairwise

import numpy as np
import pytest

from bench.published import imported
from bench.recipes.claims import Claim, Estimate, Place, judge, pairs
from bench.recipes.recsys2024 import CLAIMS, EMBEDDINGS, METRIC, published

A, B, C = (Place(name, "m") for name in "abc")


def drawn(mean, spread=0.01, seed=0):
    """An estimate whose draws have this mean; the same seed makes them paired."""
    return Estimate(mean, draws=mean + spread * np.random.default_rng(seed).standard_normal(2000))


def verdict(found, *above):
    (judged,) = judge([Claim("key", "text", "1", above)], found)
    return judged.verdict


def test_verdicts():
    found = {A: drawn(0.5, seed=1), B: drawn(0.4, seed=2), C: drawn(0.399, seed=3)}
    assert verdict(found, (A, B)) == "held"
    assert verdict(found, (B, A)) == "failed"
    assert verdict(found, (B, C)) == "undecided"
    assert verdict(found, (A, B), (B, C)) == "undecided"
    assert verdict(found, (A, B), (B, A)) == "failed"
    assert verdict({A: found[A]}, (A, B)) == "not measured"
    assert verdict({A: found[A], B: found[B]}, (A, B), (A, C)) == "undecided", "a part was not measured"


def test_pairing_decides_what_single_intervals_do_not():
    noise = 0.05 * np.random.default_rng(0).standard_normal(2000)
    found = {A: Estimate(0.41, draws=0.41 + noise), B: Estimate(0.40, draws=0.40 + noise * 1.001)}
    assert verdict(found, (A, B)) == "held"
    assert verdict({A: drawn(0.41, 0.05, 1), B: drawn(0.40, 0.05, 2)}, (A, B)) == "undecided"


def test_errors_without_draws():
    assert verdict({A: Estimate(0.9, error=0.01), B: Estimate(0.8, error=0.01)}, (A, B)) == "held"
    assert verdict({A: Estimate(0.9, error=0.1), B: Estimate(0.8, error=0.1)}, (A, B)) == "undecided"
    assert verdict({A: Estimate(0.9), B: Estimate(0.8)}, (A, B)) == "undecided", (
        "without any doubt given, none is taken"
    )


def test_many_differences_are_one_family():
    """A difference that is significant alone is not among fifty others that are nothing."""
    places = [Place(str(i), "m") for i in range(50)]
    found = {place: drawn(0.4, seed=i) for i, place in enumerate(places)}
    found[A] = drawn(0.4 + 0.01 * 2**0.5 * 2.2, seed=99)
    assert verdict(found, (A, places[0])) == "held"
    many = Claim("many", "text", "1", list(pairwise(places)))
    one = Claim("one", "text", "1", [(A, places[0])])
    assert judge([one, many], found)[0].verdict == "undecided"


@pytest.fixture(scope="module")
def printed():
    """The printed figures by place: HitRate@50 of Table 3, and the tasks of Table 4."""
    paper, found = published(), {}
    for record in imported(paper):
        row = record.extractor.spec
        if "test" in record.metrics:
            found[Place(row, record.data.name)] = next(iter(record.metrics["test"].values()))
        else:
            found[Place(row, record.recommender.spec)] = record.metrics["hot"][METRIC]
    return found


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.key)
def test_claims_say_what_the_tables_print(claim, printed):
    assert claim.above
    for above, below in claim.above:
        assert printed[above] > printed[below], f"{above} > {below}"


def test_claims_and_names():
    assert len({claim.key for claim in CLAIMS}) == len(CLAIMS)
    assert set(EMBEDDINGS) <= set(published().extractors)
    assert pairs(["a", "b"], ["b", "c"], "m") == [(A, B), (A, C), (B, C)]
