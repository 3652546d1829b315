"""What the tables say of the metrics holds for the values, and docs/metrics.md says the same."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.metrics import BEYOND, METRICS, MIR, find, range_of, versions
from bench.metrics.__main__ import markdown
from bench.metrics.classification import class_scores, tag_scores, value_scores
from bench.metrics.key_score import key_scores
from bench.metrics.metric import Metric, table
from bench.report.format import heading


@pytest.mark.parametrize(
    ("name", "shown", "bounds"),
    [
        ("ndcg@10", "NDCG@10", (0, 1)),
        ("lift@50", "Popularity lift@50", (-1, math.inf)),
        ("ild:mfcc@10", "ILD mfcc@10", (0, 2)),
        ("ild:a:b@c@10", "ILD a:b@c@10", (0, 2)),
        ("ild:mfcc", "ILD mfcc", (0, 2)),
        ("precision@5", "Precision@5", (0, 1)),
        ("r2", "R²", (-math.inf, 1)),
        ("r2:valence", "R² valence", (-math.inf, 1)),
        ("roc_auc:guitar@10", "ROC-AUC guitar@10", (0, 1)),
        ("undefined", "Undefined", (0, math.inf)),
        ("of_a_plugin:x", "of_a_plugin:x", (-math.inf, math.inf)),
        ("of_a_plugin@10", "of_a_plugin@10", (-math.inf, math.inf)),
    ],
)
def test_names_are_found_with_their_k_and_label(name, shown, bounds):
    assert heading(name) == shown
    assert range_of(name) == bounds


def test_a_name_that_lists_and_tasks_share_is_told_by_its_k():
    assert find("recall@10") is METRICS["recall"]
    assert find("recall:rock") is find("recall") is MIR["recall"]
    assert find("roc_auc@10") is None


def test_versions_are_those_of_a_kind_alone():
    lists = versions("recommendation")
    assert list(lists) == [*METRICS, *BEYOND]
    assert all(version.isdigit() for version in lists.values())
    assert list(versions("tags")) == ["roc_auc", "average_precision", "undefined"]
    assert list(versions("links")) == ["roc_auc", "average_precision"]
    assert versions("no kind") == {}


@given(st.integers(0, 2**32 - 1))
def test_tasks_report_the_metrics_of_their_kind_within_range(seed):
    rng = np.random.default_rng(seed)
    classes, keys = rng.integers(0, 3, 12), rng.integers(0, 24, (2, 12))
    classes[:2] = 0, 1
    tags = np.column_stack([np.arange(12) % 2 == 0, rng.random(12) < 0.5])
    found = {
        "tags": tag_scores(tags, rng.random((12, 2)), ("a", "b")),
        "classes": class_scores(classes, rng.random((12, 3)), ("a", "b", "c")),
        "values": value_scores(rng.normal(size=(12, 2)), rng.normal(size=(12, 2)), ("a", "b")),
        "keys": key_scores(keys[0], keys[1]) | {"weighted_either_fifth": 0.0},
    }
    for kind, scores in found.items():
        assert {name.partition(":")[0] for name in scores} == set(versions(kind))
        for name, value in scores.items():
            low, high = range_of(name)
            assert low <= value <= high, name


def test_two_rows_of_one_name_are_refused():
    row = Metric("one", "One", "what it is")
    with pytest.raises(ValueError, match="'one'"):
        table(row, row)


def test_the_page_of_metrics_is_of_today():
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    assert page.read_text(encoding="utf-8") == markdown(), "python -m bench.metrics > docs/metrics.md"
