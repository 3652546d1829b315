"""Verdicts by hand, and the claims of a paper judged with the numbers that it prints."""

from itertools import pairwise

import numpy as np
import pytest

from bench.recipes import recsys2024
from bench.recipes.claims import Claim, Estimate, Place, judge, judge_printed, pairs, weighted
from bench.recipes.estimates import printed_means
from bench.recipes.recsys2024 import AVERAGE, BERT, CLAIMS, EMBEDDINGS, KNN, RANDOM, SHALLOW, published

A, B, C = (Place(name, "m") for name in "abc")


def drawn(mean, spread=0.01, seed=0, gain=None):
    """An estimate whose draws have this mean; the same seed makes them paired."""
    return Estimate(mean, draws=mean + spread * np.random.default_rng(seed).standard_normal(2000), gain=gain)


def verdict(found, *parts, **claim):
    (judged,) = judge([Claim("key", "text", "1", parts, **claim)], found)
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


def alike(above, below, spread, gain):
    """The verdict on no difference between two places with this gain over shuffled rows."""
    found = {A: drawn(above, spread, 1, gain), B: drawn(below, spread, 2)}
    return verdict(found, (A, B), kind="no difference")


def test_no_difference_is_one_thing_and_equivalence_another():
    assert alike(0.400, 0.401, spread=0.001, gain=0.1) == "equivalent", "0.001 ± 0.003 lies within 0.01"
    assert alike(0.400, 0.401, spread=0.01, gain=0.1) == "not told apart", "0.001 ± 0.03 does not"
    assert alike(0.400, 0.401, spread=0.001, gain=None) == "not told apart", "nothing to compare the difference with"
    assert alike(0.400, 0.401, spread=0.001, gain=-0.1) == "not told apart", "no gain, no margin"
    assert alike(0.500, 0.400, spread=0.001, gain=0.1) == "failed"
    assert alike(0.405, 0.400, spread=0.0005, gain=0.1) == "equivalent", "significant, but smaller than the margin"
    found = {A: Estimate(0.4), B: Estimate(0.4)}
    assert verdict(found, (A, B), kind="no difference") == "undecided", "without any doubt given"
    assert verdict(found, (A, B), (A, C), kind="no difference") == "undecided", "a part was not measured"


def test_the_margin_is_that_of_the_reference():
    found = {A: drawn(0.5, gain=0.3), B: drawn(0.4, gain=0.2), C: drawn(0.4)}
    (judged,) = judge([Claim("key", "text", "1", [(A, B), (A, C)])], found)
    assert [contrast.margin for contrast in judged.contrasts] == pytest.approx([0.02, 0.03])


def test_ratios():
    found = {A: drawn(0.5, seed=1), B: drawn(0.1, 0.001, seed=2)}
    assert verdict(found, (A, B), factor=4) == "held"
    assert verdict(found, (A, B), factor=5) == "undecided"
    assert verdict(found, (A, B), factor=6) == "failed"
    few = {place: Estimate(e.mean, e.draws, users=np.full((1, 5), e.mean)) for place, e in found.items()}
    assert verdict(few, (A, B), factor=4) == "undecided", "five users decide nothing"


def test_weighted_sums_keep_what_all_have():
    users = np.arange(6.0).reshape(2, 3)
    full = Estimate(2.5, draws=np.array([2.0, 3.0]), users=users)
    half = weighted([(0.5, full), (0.25, full)])
    assert half.mean == 1.875
    assert half.draws.tolist() == [1.5, 2.25]
    assert (half.users == 0.75 * users).all()
    other = weighted([(0.6, Estimate(1.0, error=0.5)), (0.8, Estimate(2.0, error=0.5))])
    assert (other.mean, other.error) == pytest.approx((2.2, 0.5))
    assert weighted([(1, full), (1, Estimate(1.0))]).draws is None
    assert weighted([(1, full), (1, Estimate(1.0, users=users[:1]))]).users is None, "other seeds"


@pytest.mark.parametrize(
    ("above", "below", "claim", "found"),
    [
        (0.002, 0.001, {}, "agrees"),
        (0.001, 0.001, {}, "not decidable"),
        (0.001, 0.002, {}, "contradicted"),
        (0.002, 0.001, {"kind": "significant order"}, "not decidable"),
        (0.001, 0.002, {"kind": "significant order"}, "contradicted"),
        (0.500, 0.100, {"kind": "no difference"}, "not decidable"),
        (0.100, 0.010, {"factor": 10}, "not decidable"),
        (0.106, 0.010, {"factor": 10}, "agrees"),
        (0.094, 0.010, {"factor": 10}, "contradicted"),
    ],
)
def test_printed_means_decide_orders_and_ratios_as_far_as_their_rounding_allows(above, below, claim, found):
    assert judge_printed(Claim("key", "text", "1", [(A, B)], **claim), {A: above, B: below}, 3) == found


def test_claims_without_printed_numbers():
    claim = Claim("key", "text", "1", [(A, B), (A, C)])
    assert judge_printed(claim, {A: 2.0, B: 1.0}, 3) == "not printed"
    assert judge_printed(claim, {A: 1.0, B: 2.0}, 3) == "contradicted", "one part is enough"
    assert judge_printed(claim, {}, 3) == "not printed"


AGREES = [
    "model-average", "knn-last", "bert-first", "shallow-random", "bert-worse", "musicnn-knn", "musicnn-shallow",
    "musicnn-bert4rec", "mfcc-knn", "mfcc-shallow", "musicfm-last", "jukebox-knn", "jukebox-falls", "mert-bert4rec",
    "music2vec-low", "leaders-fall", "jukebox-against", "key-against", "mert-third", "encodecmae-genre", "viable",
]  # fmt: skip
PRINTED = {
    **dict.fromkeys(AGREES, "agrees"),
    **dict.fromkeys(["ten-times", "jukebox-shallow", "music2vec-last"], "contradicted"),
    **dict.fromkeys(["bert-random", "bert-alike", "mert-encodecmae"], "not decidable"),
    **dict.fromkeys(["tracks-trained", "shallow-choices", "other-metrics"], "not printed"),
}


@pytest.fixture(scope="module")
def printed():
    return printed_means(published())


def test_every_claim_against_the_papers_own_tables(printed):
    assert {claim.key: judge_printed(claim, printed, published().decimals) for claim in CLAIMS} == PRINTED
    assert len(PRINTED) == len(CLAIMS)


def test_the_numbers_behind_the_contradictions(printed):
    assert printed["MusiCNN", SHALLOW] / printed["MusiCNN", KNN] == pytest.approx(3.7, abs=0.05)
    assert printed["Jukebox", SHALLOW] == 0.272 < printed["Music2Vec", SHALLOW] == 0.291
    assert printed["Jukebox", BERT] < printed["Music2Vec", BERT]
    assert printed["MusiCNN", "giantsteps"] == 0.128
    assert printed[AVERAGE, KNN] == pytest.approx(0.319 / 7)


def test_a_run_that_repeats_the_paper_exactly(printed):
    """With the printed means and 6,092 users the printed verdicts come back, and no claim of no difference fails."""
    rng = np.random.default_rng(0)
    found = {}
    for place, mean in printed.items():
        column = (rng.permutation(6092) < round(mean * 6092)).astype(float)[None]
        draws = column.mean() + column.std() / 6092**0.5 * rng.standard_normal(2000)
        found[place] = Estimate(float(column.mean()), draws=draws, users=column, gain=mean)
    found |= {place: Estimate(mean, error=0.001) for place, mean in printed.items() if place.column in recsys2024.TASKS}
    verdicts = {judged.claim.key: judged.verdict for judged in judge(CLAIMS, found)}
    assert verdicts["bert-random"] == "held"
    assert verdicts["bert-alike"] in ("equivalent", "not told apart")
    assert verdicts["mert-encodecmae"] in ("equivalent", "not told apart")
    failed = {key for key, found in verdicts.items() if found == "failed"}
    assert {"ten-times", "music2vec-last"} <= failed
    assert {PRINTED[key] for key in failed} == {"contradicted"}
    better = Place("MERT", BERT)
    found[better] = Estimate(0.45, draws=found[better].draws + 0.09, users=np.minimum(found[better].users + 0.09, 1))
    verdicts = {judged.claim.key: judged.verdict for judged in judge(CLAIMS, found)}
    assert verdicts["bert-alike"] == "failed", "against the paper, MERT is told from vectors trained from scratch"


def test_claims_and_names():
    assert len({claim.key for claim in CLAIMS}) == len(CLAIMS) == 30
    assert max(len(claim.key) for claim in CLAIMS) <= 16, "keys are the first column of a table of 100 characters"
    assert all(claim.parts for claim in CLAIMS)
    assert {claim.section for claim in CLAIMS} == {"2.2", "2.4", "3", "3.1", "3.2.1"}
    by = {claim.key: claim for claim in CLAIMS}
    assert not any(place.row == "MFCC" for part in by["bert-worse"].parts for place in part), (
        "the text does not name it"
    )
    assert by["bert-random"].parts == [(Place("MusiCNN", BERT), Place(RANDOM, BERT))]
    assert set(EMBEDDINGS) <= set(published().extractors)
    assert pairs(["a", "b"], ["b", "c"], "m") == [(A, B), (A, C), (B, C)]
