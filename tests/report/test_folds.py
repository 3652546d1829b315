"""Folds of one split stand on one board, as means over the folds."""

import csv
import json
from statistics import fmean, stdev

import pytest

from bench.report import boards, write
from bench.report.report import report
from bench.report.writers import leaderboard


def fill(results, models=("a", "b", "c"), folds=(1, 2, 3), seeds=(0,), **common):
    for fold in folds:
        for seed in seeds:
            for number, model in enumerate(models):
                level = 0.4 - 0.1 * number + 0.02 * fold
                results.add(model, level=level, fold=fold, seed=seed, split="cold_random", **common)


def only(results, problems=None):
    (board,) = boards(results.read(), problems)
    return board


def test_a_pooled_row_is_the_mean_over_folds_of_the_mean_over_seeds(results):
    fill(results, seeds=(0, 1))
    problems = []
    board = only(results, problems)
    assert not problems
    assert (board.folds, board.fold_numbers) == (3, (1, 2, 3))
    assert "split cold_random folds 1 to 3 (" in board.title
    for row in board.rows:
        assert row.folds == (1, 2, 3)
        assert row.seeds == (0, 1)
        assert [(r.split.fold, r.seed) for _, r in row.records] == [(f, s) for f in (1, 2, 3) for s in (0, 1)]
        for where, values in row.values.items():
            for metric, value in values.items():
                each = [
                    fmean(r.metrics[where][metric] for _, r in row.records if r.split.fold == fold)
                    for fold in (1, 2, 3)
                ]
                assert value.mean == fmean(each)
                assert row.by_fold(where, metric) == each
                assert value.low is None or value.low < value.mean < value.high
            assert values["ndcg@10"].low is not None
            assert row.chance[where] == dict.fromkeys(values, pytest.approx(0.01))
    (block,) = board.blocks
    assert block.undecided == {"mixed": "there is a single row"}
    assert [row.evidence("hot", "ndcg@10").verdict for row in board.rows] == ["best", "told apart", "told apart"]


def test_a_single_fold_is_a_board_as_any_other_split(results):
    fill(results, folds=(2,))
    board = only(results)
    assert (board.folds, board.fold_numbers) == (1, ())
    assert "cold_random (22222222)" in board.title
    assert board.rows[0].folds == (2,)
    assert board.rows[0].values["hot"]["ndcg@10"].low is not None


def test_a_row_or_seed_without_a_fold_that_others_have_is_left_out_and_named(results):
    fill(results)
    results.add("late", fold=1, split="cold_random")
    results.add("late", fold=3, split="cold_random")
    results.add("a", fold=2, seed=1, split="cold_random")
    problems = []
    board = only(results, problems)
    assert {row.extractor for row in board.rows} == {"a", "b", "c"}
    assert all(row.seeds == (0,) for row in board.rows)
    assert sorted(problems) == [
        "a × knn (seed 1) has no record of folds 1, 3, which other rows have.",
        "late × knn (seed 0) has no record of fold 2, which other rows have.",
    ]


def test_folds_without_a_common_row_stay_apart(results):
    for fold in (1, 2):
        results.add(f"only{fold}", fold=fold, split="cold_random")
        results.add("random", fold=fold, split="cold_random", control=True)
    found = boards(results.read())
    assert [board.folds for board in found] == [1, 1]


def test_folds_of_controls_alone_are_one_board(results):
    for fold in (1, 2):
        results.add("none", "popularity", level=0.1 * fold, fold=fold, split="cold_random", control=True)
    board = only(results)
    assert [row.folds for row in board.rows] == [(1, 2)]
    assert board.rows[0].mean("hot", "ndcg@10") == fmean(board.rows[0].by_fold("hot", "ndcg@10"))


@pytest.mark.parametrize("what", ["share", "plays", "k"])
def test_folds_of_other_settings_or_another_log_or_k_stay_apart(results, altered, what):
    fill(results, folds=(1, 2))

    def change(content):
        if what == "share":
            content["split"]["settings"]["share"] = 0.3
        elif what == "plays":
            content["split"]["counts"] = {"log": {"plays": 7}}
        else:
            content["k"] = content["k"][::-1]

    for path in results.paths:
        if json.loads(path.read_text())["split"]["settings"]["fold"] == 2:
            altered(path, change)
    assert [board.folds for board in boards(results.read())] == [1, 1]


def test_two_data_sets_with_one_name_are_not_mixed(results, altered):
    fill(results, folds=(1, 2))
    for path in list(results.paths):
        if json.loads(path.read_text())["split"]["settings"]["fold"] == 2:
            altered(path, lambda content: content["split"].update(fingerprint="9" * 64), "other.json")
    assert [board.folds for board in boards(results.read())] == [1, 1, 1]


def test_the_means_of_each_fold_and_their_spread_stand_below_the_table_and_in_the_csv(results, tmp_path):
    fill(results)
    board = only(results)
    best = board.rows[0]
    each = best.by_fold("cold", "ndcg@10")
    said = " ".join(note.text for note in board.notes if note.brief)
    shown = " ".join(f"{value:.4f}".removeprefix("0") for value in each)
    spread = f"{stdev(each):.4f}".removeprefix("0")
    assert f"cold NDCG@10 in folds 1 to 3: a × knn {shown} (standard deviation {spread}); b × knn" in said
    write([board], tmp_path, ("csv", "md", "html", "tex"))
    (file,) = tmp_path.glob("*k10-50.csv")
    (row,) = (
        row
        for row in csv.DictReader(file.read_text().splitlines())
        if (row["extractor"], row["set"], row["metric"], row["k"]) == ("a", "cold", "ndcg", "10")
    )
    assert [float(value) for value in row["by_fold"].split()] == pytest.approx(each, rel=1e-5)
    assert float(row["value"]) == pytest.approx(fmean(each), rel=1e-5)
    assert float(row["low"]) < float(row["value"]) < float(row["high"])
    assert row["seeds"] == "1"


def test_a_warning_of_some_folds_names_them(results):
    fill(results, folds=(1, 3))
    fill(results, folds=(2,), warnings=("few pairs",))
    assert "Warning (fold 2: a × knn, b × knn, c × knn): few pairs" in [note.text for note in only(results).notes]


def test_folds_are_compared_with_mir(results):
    fill(results)
    for number, name in enumerate(("a", "b", "c")):
        results.probe(name, value=0.9 - 0.1 * number)
    found = report(results.read())
    (comparison,) = found.comparisons
    assert comparison.pairs[0].spearman.n == 3
    assert comparison.pairs[0].rho == 1
    assert comparison.mrs[0].values == {
        key: found.boards[0].rows[at].mean("cold", "ndcg@10") for at, key in enumerate(comparison.mrs[0].values)
    }


def test_a_leaderboard_has_one_page_for_all_folds(results, tmp_path):
    fill(results, data="music4all-onion", builtin=False)
    paths, problems = leaderboard.write(results.read(), tmp_path / "site")
    assert not problems
    (page,) = (path for path in paths if path.suffix == ".html" and path.name.startswith("music4all-onion"))
    assert "cold_random folds 1 to 3" in page.read_text(encoding="utf-8")
    index = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "cold_random, 3 folds" in index
    assert index.count('class="front"') == 1
