"""Values that are worked out from several rows, and the table of claims on a narrow screen."""

from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from bench.recipes.claims import Estimate, Place
from bench.recipes.estimates import DRAWN, metric_correlations, printed_means
from bench.recipes.recsys2024 import AVERAGE, BERT, CORRELATION, EMBEDDINGS, KNN, LEAST_CORRELATION, RANDOM, published
from bench.recipes.verdicts import chapter
from bench.report import show
from bench.report.board import Row, Value

N = 8


def rows(**orders):
    """Rows whose metrics have these values; all others rise from row to row. Draws hardly differ from the means."""
    found = []
    for at in range(N):
        means = {metric: float(orders.get(metric.partition("@")[0], range(N))[at]) for metric in DRAWN}
        draws = {metric: mean + 0.01 * np.random.default_rng(at).standard_normal(500) for metric, mean in means.items()}
        values = {metric: Value(mean) for metric, mean in means.items()}
        found.append(Row(f"e{at}", "m", [], {"hot": values}, {}, {}, draws={"hot": draws}))
    return found


def test_correlation_of_metrics_is_the_lowest_with_a_printed_one():
    swapped = [1, 0, 2, 3, 4, 5, 6, 7]
    found = metric_correlations(rows(precision=swapped))
    assert found[Place("mrr", CORRELATION)].mean == 1
    # Spearman: 1 - 6 * (1 + 1) / (8 * 63)
    assert found[Place("precision", CORRELATION)].mean == pytest.approx(1 - 12 / 504)
    assert found[LEAST_CORRELATION].mean == 0.9
    assert found[Place("precision", CORRELATION)].draws.shape == (500,)
    assert metric_correlations(rows(recall=swapped))[Place("mrr", CORRELATION)].mean == pytest.approx(1 - 12 / 504)


def test_no_correlation_without_enough_rows_or_draws():
    assert metric_correlations(rows()[1:]) == {}
    bare = rows()
    bare[3].draws = {}
    assert metric_correlations(bare) == {}


def test_averages_are_over_all_embeddings():
    printed = printed_means(published())
    mean = sum(printed[Place(name, BERT)] for name in EMBEDDINGS) / 7
    assert printed[Place(AVERAGE, BERT)] == pytest.approx(mean)
    assert Place(RANDOM, KNN) not in printed


@pytest.mark.parametrize("width", [100, 140])
def test_claims_fit_a_screen(width):
    rng = np.random.default_rng(0)
    found = {
        place: Estimate(mean, draws=mean + 0.01 * rng.standard_normal(500), gain=mean)
        for place, mean in printed_means(published()).items()
    }
    made = chapter(published(), found, "published", builtin=False)
    out = StringIO()
    show([], Console(file=out, width=width, force_terminal=True, color_system=None), chapters=[made])
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert max(map(len, lines)) <= width
    (head,) = [line.split() for line in lines if "table" in line and "Ours" in line and line.startswith("Claim")]
    assert head[-1] == "Shown" or width > 100, "the verdicts are not torn from their claims"
    verdicts = next(line for line in lines if line.startswith("ten-times "))
    assert "contradicted*" in verdicts
    assert "failed*" in verdicts
    assert "a ratio of 3.7." in " ".join(lines)


def test_a_part_of_a_table_without_values_is_not_printed():
    out = StringIO()
    made = chapter(published(), {}, "published", builtin=False)  # nothing is measured
    show([], Console(file=out, width=100, force_terminal=True, color_system=None), chapters=[made])
    assert "Weakest difference" not in out.getvalue()
    assert "not measured" in out.getvalue()
