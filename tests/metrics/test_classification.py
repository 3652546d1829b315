import numpy as np
import pytest
from sklearn import metrics as oracle

from bench.metrics import classification
from bench.metrics.classification import class_scores, confusion, ranked, roc_auc, tag_scores, value_scores


def tags(rng, n=400, width=30, levels=None):
    truth = rng.random((n, width)) < rng.uniform(0.01, 0.6, width)
    truth[0], truth[1] = True, False
    scores = rng.normal(size=(n, width)) + truth
    return truth, scores if levels is None else np.round(scores * levels) / levels


@pytest.mark.parametrize("levels", [None, 2, 0.5, 1e-9])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tags_are_scikit_learns_with_any_ties(levels, dtype):
    truth, scores = tags(np.random.default_rng(0), levels=levels)
    auc, precision = ranked(truth, scores.astype(dtype))
    wanted = oracle.roc_auc_score(truth, scores.astype(dtype), average=None)
    np.testing.assert_allclose(auc, wanted, atol=1e-9)
    np.testing.assert_allclose(roc_auc(truth, scores.astype(dtype)), wanted, atol=1e-9)
    wanted = oracle.average_precision_score(truth, scores.astype(dtype), average=None)
    np.testing.assert_allclose(precision, wanted, atol=1e-9)


def test_blocks_of_labels_change_nothing(monkeypatch):
    truth, scores = tags(np.random.default_rng(1), levels=3)
    whole = ranked(truth, scores)
    monkeypatch.setattr(classification, "_BLOCK", 7 * len(truth))
    np.testing.assert_array_equal(np.stack(whole), np.stack(ranked(truth, scores)))
    np.testing.assert_allclose(roc_auc(truth, scores.astype(np.float32)), whole[0], atol=1e-12)


def test_zero_has_no_sign_and_infinitesimals_are_not_zero():
    truth = np.array([[True], [False], [True], [False]])
    assert roc_auc(truth, np.array([[0.0], [-0.0], [-0.0], [0.0]], np.float32)) == 0.5
    tiny = np.array([[1e-45], [0.0], [0.0], [-1e-45]], np.float32)
    assert roc_auc(truth, tiny) == ranked(truth, tiny)[0] == 0.875


def test_what_is_undefined_is_left_out_and_counted():
    truth, scores = tags(np.random.default_rng(2), width=5)
    truth[:, 1], truth[:, 3] = False, True
    names = list("abcde")
    got = tag_scores(truth, scores, names)
    assert got["undefined"] == 2
    kept = [0, 2, 4]
    assert got["roc_auc"] == pytest.approx(oracle.roc_auc_score(truth[:, kept], scores[:, kept]), abs=1e-9)
    assert {key for key in got if ":" in key} == {
        f"{m}:{names[i]}" for m in ("roc_auc", "average_precision") for i in kept
    }
    assert np.isfinite(list(got.values())).all()


def test_constant_scores_are_chance():
    truth, scores = tags(np.random.default_rng(3))
    got = tag_scores(truth, np.zeros_like(scores))
    assert got["roc_auc"] == 0.5
    assert got["average_precision"] == pytest.approx(truth.mean())


def test_classes_are_scikit_learns():
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 6, 300)
    scores = np.round(rng.normal(size=(300, 7)) * 2 + 2 * np.eye(7)[truth]) / 2
    scores[:, 2] = -9  # never predicted
    names = [f"c{i}" for i in range(7)]  # c6 never occurs
    got = class_scores(truth, scores, names)
    guess = scores.argmax(axis=1)
    there = list(range(6))
    assert got["accuracy"] == pytest.approx(oracle.accuracy_score(truth, guess))
    assert got["undefined"] == 1
    wanted = oracle.precision_recall_fscore_support(truth, guess, labels=there, zero_division=0)
    for name, values in zip(("precision", "recall", "f1"), wanted, strict=False):
        assert got[name] == pytest.approx(values.mean())
        assert [got[f"{name}:c{i}"] for i in there] == pytest.approx(values.tolist())
        assert f"{name}:c6" not in got
    areas = [oracle.roc_auc_score(truth == i, scores[:, i]) for i in there]
    assert got["roc_auc"] == pytest.approx(np.mean(areas), abs=1e-9)
    np.testing.assert_array_equal(confusion(truth, guess, 7), oracle.confusion_matrix(truth, guess, labels=range(7)))


def test_one_class_has_no_area():
    got = class_scores(np.zeros(4, np.int64), np.eye(4)[:, :3].astype(np.float32))
    assert "roc_auc" not in got
    assert got["accuracy"] == 0.5  # the last row's scores are equal: the first class
    assert got["undefined"] == 2


def test_values_are_scikit_learns():
    rng = np.random.default_rng(5)
    truth = rng.normal(size=(80, 3))
    guess = truth + rng.normal(size=(80, 3)) * [0.1, 1, 3]
    got = value_scores(truth, guess, ["arousal", "valence", "other"])
    wanted = oracle.r2_score(truth, guess, multioutput="raw_values")
    assert [got["r2:arousal"], got["r2:valence"], got["r2:other"]] == pytest.approx(wanted.tolist())
    assert got["r2"] == pytest.approx(oracle.r2_score(truth, guess))
    truth[:, 1] = 2.0
    got = value_scores(truth, guess, ["arousal", "valence", "other"])
    assert got["undefined"] == 1
    assert got["r2"] == pytest.approx((wanted[0] + wanted[2]) / 2)


def test_bad_input_is_refused():
    truth, scores = tags(np.random.default_rng(6), n=20, width=3)
    scores[4, 1] = np.nan
    with pytest.raises(ValueError, match="1 of 60 scores are not finite, the first at \\[4, 1\\]"):
        roc_auc(truth, scores)
    with pytest.raises(ValueError, match="must both be"):
        roc_auc(truth, scores[:, :2])
    with pytest.raises(ValueError, match="no tag is defined"):
        tag_scores(np.ones((3, 2), np.bool_), np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"0\.\.2"):
        confusion(np.array([0, 3]), np.array([0, 1]), 3)
    with pytest.raises(ValueError, match="2 names"):
        value_scores(np.eye(3), np.eye(3), ["a", "b"])
    with pytest.raises(ValueError, match="no value is defined"):
        value_scores(np.ones((3, 2)), np.eye(3)[:, :2])
