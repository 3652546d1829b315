"""Solved linear probes are scikit-learn's optimum, for every penalty and for tables of either shape."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import softmax as _softmax
from sklearn.linear_model import LogisticRegression, Ridge

from bench.probes import linear, probe, resolve_probe, solve
from bench.probes.solve import Solver
from bench.protocols import RunContext

PENALTIES = (1e4, 1e2, 1.0, 0.1)


def table(rows, width, seed=0):
    """Correlated features of unlike mean and scale, and scores of four labels that depend on them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, width)) @ rng.normal(size=(width, width)) / width**0.5
    scores = x @ rng.normal(size=(width, 4)) / width**0.5 + rng.normal(size=(rows, 4))
    x = (x * np.geomspace(1e-3, 1e3, width) + rng.normal(size=width)).astype(np.float32)
    return x, scores


def solved(x, y, loss, penalties=PENALTIES, *, scale=True):
    solver = Solver(torch.from_numpy(x), scale=scale)
    rows = solver.centre(torch.from_numpy(x)).double()
    return [(rows @ w + b).numpy() for w, b in solver.path(torch.from_numpy(y), penalties, loss)]


def standardised(x):
    x = x.astype(np.float64)
    return (x - x.mean(axis=0)) / x.std(axis=0)


def softmax(outputs):
    return _softmax(outputs, axis=1)


def logistic(x, y, penalty):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tolerance is finer than its rounding
        return LogisticRegression(C=1 / penalty, tol=1e-9, max_iter=20_000).fit(x, y)


@pytest.mark.parametrize(("rows", "width"), [(200, 30), (60, 150)])
def test_ridge(rows, width):
    x, scores = table(rows, width)
    for penalty, found in zip(PENALTIES, solved(x, scores, "squared"), strict=True):
        wanted = Ridge(alpha=penalty).fit(standardised(x), scores).predict(standardised(x))
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    x = standardised(x).astype(np.float32) * 3
    for penalty, found in zip(PENALTIES, solved(x, scores, "squared", scale=False), strict=True):
        np.testing.assert_allclose(found, Ridge(alpha=penalty).fit(x.astype(np.float64), scores).predict(x), atol=1e-4)


@pytest.mark.parametrize(("rows", "width"), [(200, 30), (60, 150)])
def test_multinomial_logistic_regression(rows, width):
    x, scores = table(rows, width)
    y = scores.argmax(axis=1)
    for penalty, found in zip(PENALTIES, solved(x, np.eye(4)[y], "softmax"), strict=True):
        wanted = logistic(standardised(x), y, penalty).predict_proba(standardised(x))
        np.testing.assert_allclose(softmax(found), wanted, atol=1e-4)


@pytest.mark.parametrize(("rows", "width"), [(200, 30), (60, 150)])
def test_one_logistic_regression_for_each_tag(rows, width):
    x, scores = table(rows, width)
    y = scores > np.quantile(scores, (0.2, 0.5, 0.8, 0.9), axis=0).diagonal()
    for penalty, found in zip(PENALTIES, solved(x, y.astype(np.float64), "sigmoid"), strict=True):
        for label in range(4):
            wanted = logistic(standardised(x), y[:, label], penalty).predict_proba(standardised(x))[:, 1]
            np.testing.assert_allclose(1 / (1 + np.exp(-found[:, label])), wanted, atol=1e-4)


def test_large_tables_in_blocks_of_float32_agree(monkeypatch):
    x, scores = table(300, 20)
    y = np.eye(4)[scores.argmax(axis=1)]
    ridge, shares = solved(x, scores, "squared"), [softmax(found) for found in solved(x, y, "softmax")]
    monkeypatch.setattr(solve, "_DOUBLE", 0)
    monkeypatch.setattr(solve, "_BLOCK", 64)
    np.testing.assert_allclose(solved(x, scores, "squared"), ridge, atol=1e-4)
    np.testing.assert_allclose([softmax(found) for found in solved(x, y, "softmax")], shares, atol=5e-3)


def test_absent_labels_and_constant_features(planted):
    data = planted.data("classes")
    data.y["train"][data.y["train"] == 2] = 1
    for x in data.x.values():
        x[:, 3] = 7.0
    outcome = probe(data, resolve_probe("linear"), seed=0, run=RunContext())
    assert np.isfinite(outcome.prediction).all()
    assert 2 not in outcome.prediction.argmax(axis=1)
    tags = planted.data("tags")
    tags.y["train"][:, 0], tags.y["train"][:, 1] = False, True
    found = probe(tags, resolve_probe("linear:loss=logistic"), seed=0, run=RunContext()).prediction
    assert found[:, 0].max() < found.min(axis=0)[2:].min()
    assert found[:, 1].min() > found.max(axis=0)[2:].max()


def test_the_scale_of_the_vectors_does_not_matter(planted):
    """Squares of vectors of this length leave the range of float32."""
    data = planted.data("tags")
    outcome = probe(data, resolve_probe("linear"), seed=0, run=RunContext())
    long = replace(data, x={part: x * np.float32(1e25) for part, x in data.x.items()})
    again = probe(long, resolve_probe("linear"), seed=0, run=RunContext())
    np.testing.assert_allclose(outcome.prediction, again.prediction, atol=1e-4)


def test_validation_chooses_the_penalty_and_the_edge_is_flagged(planted, monkeypatch):
    data = planted.data("values")
    outcome = probe(data, resolve_probe("linear"), seed=0, run=RunContext())
    penalties = [row["l2"] for row in outcome.searched]
    assert penalties == sorted(penalties, reverse=True)
    assert outcome.validation == max(row["validation"] for row in outcome.searched)
    assert outcome.notes == []
    fixed = probe(data, resolve_probe(f"linear:l2={outcome.settings['l2']!r}"), seed=0, run=RunContext())
    np.testing.assert_array_equal(fixed.prediction, outcome.prediction)
    assert fixed.notes == []
    monkeypatch.setattr(linear, "RIDGE", (1e9, 1e8))
    edge = probe(data, resolve_probe("linear"), seed=0, run=RunContext())
    assert len(edge.notes) == 1
    assert "l2=1e+08" in edge.notes[0]


def test_quick_takes_the_better_of_both(planted):
    data = planted.data("tags")
    for part, x in data.x.items():
        data.y[part][:] = x[:, :8] * x[:, 8:] > 0  # no line finds products
    curved = probe(data, resolve_probe("quick"), seed=0, run=RunContext())
    assert curved.settings["hidden"]
    assert curved.validation == max(row["validation"] for row in curved.searched)
    line = probe(planted.data("values"), resolve_probe("quick"), seed=0, run=RunContext())
    assert line.settings["hidden"] == []
