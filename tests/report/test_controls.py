"""Rows are compared with their own controls, and are never bold unless they are above all of them."""

import pytest

from bench.report import boards
from bench.report.controls import control_rows


def only(results):
    (board,) = boards(results.read())
    return board


def verdicts(results, where="hot"):
    return {row.extractor: row.controls[where].verdict for row in only(results).blocks[0].rows if where in row.controls}


def fill(results, **levels):
    for name, level in levels.items():
        control = name.startswith(("shuffled", "random"))
        spec = name.replace("_", ":of=") if name.startswith("shuffled") else name
        results.add(spec, level=level, control=control)


def test_above_level_with_and_below_the_controls(results):
    fill(results, a=0.40, b=0.10, c=0.02, shuffled_a=0.10, shuffled_b=0.10, shuffled_c=0.10, random=0.10)
    assert verdicts(results) == {"a": "above", "b": "not above", "c": "below"}
    assert verdicts(results, "cold") == {"a": "above", "b": "not above", "c": "below"}


def test_a_row_must_be_above_all_of_its_controls(results):
    fill(results, a=0.30, shuffled_a=0.10, random=0.45)
    assert verdicts(results) == {"a": "below"}
    (block,) = only(results).blocks
    (row,) = block.rows
    shuffled, random = control_rows(block, row)
    assert (shuffled.extractor, random.extractor) == ("shuffled:of=a", "random")
    gain = row.controls["hot"].gain
    assert gain.mean == pytest.approx(row.mean("hot", "ndcg@10") - shuffled.mean("hot", "ndcg@10"))


def test_a_row_that_is_not_above_its_controls_is_never_bold(results):
    fill(results, a=0.10, b=0.05, shuffled_a=0.10, shuffled_b=0.01)
    board = only(results)
    best, other = board.blocks[0].rows
    assert (best.extractor, best.controls["hot"].verdict) == ("a", "not above")
    assert not any(value.best for value in best.values["hot"].values())
    assert other.controls["hot"].verdict == "above"


def test_without_controls_there_is_no_verdict_and_the_best_row_stays_bold(results):
    fill(results, a=0.40, b=0.10)
    results.add("none", "ease", level=0.20)
    board = only(results)
    assert all(not row.controls for row in board.rows)
    assert board.blocks[0].rows[0].values["hot"]["ndcg@10"].best


def test_a_single_row_is_compared_with_its_controls_too(results):
    fill(results, a=0.40, shuffled_a=0.05)
    (row,) = only(results).blocks[0].rows
    assert row.beats_controls("hot") is True
    assert row.beats_controls("mixed") is None
    assert row.times_chance("hot", "ndcg@10") == pytest.approx(row.mean("hot", "ndcg@10") / 0.01)


def test_values_of_few_or_other_users_give_no_verdict(results):
    results.add("a", level=0.4, users={"hot": 5, "cold": 5})
    results.add("shuffled:of=a", level=0.1, control=True, users={"hot": 5, "cold": 5})
    assert not only(results).blocks[0].rows[0].controls


def test_holm_counts_the_rows(results):
    fill(results, a=0.13, shuffled_a=0.10)
    alone = only(results).blocks[0].rows[0].controls["hot"].p
    fill(results, **dict.fromkeys("bcdefgh", 0.10), **{f"shuffled_{name}": 0.10 for name in "bcdefgh"})
    together = next(row for row in only(results).blocks[0].rows if row.extractor == "a").controls["hot"].p
    assert 0 < alone < 1
    assert together == pytest.approx(min(1, 8 * alone), rel=0.2)  # more signs are drawn for more comparisons
