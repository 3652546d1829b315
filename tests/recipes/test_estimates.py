"""Values that are worked out from several rows, and the table of claims on a narrow screen."""

from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from bench.recipes.claims import Estimate, Place
from bench.recipes.estimates import code_reading, correlation_with, drawn, metric_correlations, printed_means
from bench.recipes.recsys2024 import (
    AVERAGE,
    BERT,
    CODE,
    CORRELATION,
    EMBEDDINGS,
    KNN,
    LEAST_CORRELATION,
    RANDOM,
    SHALLOW,
    published,
)
from bench.recipes.verdicts import chapter
from bench.report import show
from bench.report.board import Row
from bench.report.value import Value

N = 8
K = 5


def rows(**orders):
    """Rows whose metrics have these values; all others rise from row to row. Draws hardly differ from the means."""
    found = []
    for at in range(N):
        means = {metric: float(orders.get(metric.partition("@")[0], range(N))[at]) for metric in drawn(K)}
        draws = {metric: mean + 0.01 * np.random.default_rng(at).standard_normal(500) for metric, mean in means.items()}
        values = {metric: Value(mean) for metric, mean in means.items()}
        found.append(Row(f"e{at}", "m", [], {"hot": values}, {}, {}, draws={"hot": draws}))
    return found


def test_correlation_of_metrics_is_the_lowest_with_a_printed_one():
    swapped = [1, 0, 2, 3, 4, 5, 6, 7]
    found = metric_correlations(rows(precision=swapped), K)
    assert found[Place("mrr", CORRELATION)].mean == 1
    # Spearman: 1 - 6 * (1 + 1) / (8 * 63)
    assert found[Place("precision", CORRELATION)].mean == pytest.approx(1 - 12 / 504)
    assert found[LEAST_CORRELATION].mean == 0.9
    assert found[Place("precision", CORRELATION)].draws.shape == (500,)
    assert metric_correlations(rows(recall=swapped), K)[Place("mrr", CORRELATION)].mean == pytest.approx(1 - 12 / 504)
    each = metric_correlations(rows(recall=swapped), K)
    means = [each[Place("mrr", correlation_with(name))].mean for name in ("hitrate", "recall", "ndcg")]
    assert means == pytest.approx([1, 1 - 12 / 504, 1])


def test_no_correlation_without_enough_rows_or_draws():
    assert metric_correlations(rows()[1:], K) == {}
    bare = rows()
    bare[3].draws = {}
    assert metric_correlations(bare, K) == {}


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
    made = chapter(published(), found, "published")
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
    made = chapter(published(), {}, "published")  # nothing is measured
    show([], Console(file=out, width=100, force_terminal=True, color_system=None), chapters=[made])
    assert "Weakest difference" not in out.getvalue()
    assert "not measured" in out.getvalue()


def test_another_cutoff_is_named_beside_the_papers():
    made = chapter(published(), metric_correlations(rows(), K), "corrected", k=K, why="there are 60 hot tracks")
    assert "HitRate@5" in made.title
    (line,) = [line for line in made.lead if "HitRate@50" in line]
    assert "there are 60 hot tracks" in line
    grid = next(grid for grid in made.grids if grid.name == "other-metrics")
    assert [head.heading for head in grid.heads] == ["Metric", "HitRate@5", "Recall@5", "NDCG@5"]
    assert [[cell.value for cell in cells[1:]] for cells in grid.sections[0].rows] == [[1, 1, 1], [1, 1, 1]]
    same = chapter(published(), {}, "published")
    assert "HitRate@50" in same.title
    assert not any("HitRate@" in line for line in same.lead)
    assert [grid.name for grid in same.grids] == ["claims"]


def test_the_codes_reading_of_shallow_has_verdicts_of_its_own():
    means = {("MusiCNN", SHALLOW): 0.3, ("MusiCNN", CODE): 0.2, (RANDOM, SHALLOW): 0.1, (RANDOM, CODE): 0.4}
    found = {Place(*at): Estimate(mean, error=0.01) for at, mean in means.items()}
    found |= {Place("MFCC", SHALLOW): Estimate(0.1, error=0.01), Place("MusiCNN", BERT): Estimate(0.5, error=0.01)}
    assert {(*place,): estimate.mean for place, estimate in code_reading(found).items()} == {
        ("MusiCNN", CODE): 0.2,
        (RANDOM, CODE): 0.4,
        ("MusiCNN", SHALLOW): 0.2,
        (RANDOM, SHALLOW): 0.4,
        ("MusiCNN", BERT): 0.5,
    }
    claims, against = chapter(published(), found, "published").grids
    at = [head.heading for head in claims.heads].index("Code reading")
    verdicts = {cells[0].text: (cells[at - 8 + 1].text, cells[at].text) for cells in claims.sections[0].rows}
    assert verdicts["viable"] == ("undecided", "failed")
    assert verdicts["mfcc-shallow"][1] == "–", "the code's reading has no MFCC"
    assert [section.title for section in against.sections if section.rows] == [SHALLOW, CODE]
    assert code_reading({place: estimate for place, estimate in found.items() if place.column != CODE}) == {}
