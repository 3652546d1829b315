import mir_eval
import numpy as np
import pytest

from bench.metrics.key_score import NAMES, RELATIONS, key_points, key_scores, relations

REFERENCE, ESTIMATE = (a.ravel() for a in np.meshgrid(np.arange(24), np.arange(24), indexing="ij"))


def test_every_pair_of_keys_scores_as_in_mir_eval():
    wanted = [mir_eval.key.weighted_score(NAMES[r], NAMES[e]) for r, e in zip(REFERENCE, ESTIMATE, strict=True)]
    np.testing.assert_array_equal(key_points(REFERENCE, ESTIMATE), wanted)


def test_the_conventions_differ_in_the_fifth_below_alone():
    strict, either = relations("mir_eval"), relations("either_fifth")
    reference, estimate = np.nonzero(strict != either)
    assert len(reference) == 24
    assert ((reference % 12 - estimate % 12) % 12 == 7).all()
    assert ((reference < 12) == (estimate < 12)).all()
    assert {RELATIONS[i] for i in either[reference, estimate]} == {"fifth"}


def test_scores_over_tracks_and_over_keys():
    truth = np.array([0, 0, 0, 9 + 12])  # C major three times, A minor once
    guess = np.array([0, 7, 5, 0])  # right, a fifth above, a fifth below, relative
    got = key_scores(truth, guess)
    assert got["accuracy"] == 0.25
    assert got["weighted"] == pytest.approx((1 + 0.5 + 0 + 0.3) / 4)
    assert got["accuracy_macro"] == pytest.approx((1 / 3 + 0) / 2)
    assert got["weighted_macro"] == pytest.approx((1.5 / 3 + 0.3) / 2)
    assert got["undefined"] == 22
    assert got["share:fifth"] == got["share:other"] == 0.25
    assert got["accuracy:C major"] == pytest.approx(1 / 3)
    assert "accuracy:D major" not in got
    assert key_scores(truth, guess, "either_fifth")["weighted"] == pytest.approx((1 + 0.5 + 0.5 + 0.3) / 4)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"0\.\.23"):
        key_scores(np.array([24]), np.array([0]))
    with pytest.raises(ValueError, match="convention"):
        key_scores(np.array([1]), np.array([0]), "mirex")
    with pytest.raises(ValueError, match="one class per track"):
        key_scores(np.array([], np.int64), np.array([], np.int64))
