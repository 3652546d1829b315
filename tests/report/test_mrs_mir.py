"""Recommendation against MIR, and the tables of the tasks."""

import pytest

from bench.report.grid import Grid
from bench.report.mir import chapters, probed
from bench.report.mrs_mir_page import chapter
from bench.report.report import report

MODELS = {"a": (0.4, 0.9), "b": (0.3, 0.8), "c": (0.2, 0.7), "d": (0.1, 0.6)}


@pytest.fixture
def both(results):
    for name, (level, accuracy) in MODELS.items():
        results.add(name, level=level)
        results.probe(name, value=accuracy)
    results.add("random", level=0.02, control=True)
    results.probe("random", value=0.12, control=True)
    results.add("none", "popularity", level=0.3, control=True)
    return results


def only(results, **options):
    found = report(results.read(), **options)
    assert not found.problems
    (comparison,) = found.comparisons
    return found, comparison


def rows(grid: Grid, title=""):
    return [[cell.text for cell in row] for section in grid.sections if section.title == title for row in section.rows]


def test_probes_are_no_rows_of_boards_and_runs_none_of_tasks(both):
    found, _ = only(both)
    (board,) = found.boards
    assert {row.extractor for row in board.rows} == {"a", "b", "c", "d", "random", "none"}
    (lane,) = found.probed
    assert {row.label for row in lane.rows.values()} == {"a", "b", "c", "d", "random"}


def test_one_row_an_embedding_with_controls_and_chance(both):
    _, comparison = only(both)
    values, _ = chapter(comparison).grids
    heads = [f"{head.group} {head.heading}".strip() for head in values.heads]
    assert heads == ["Embedding", "knn cold NDCG@10", "knn hot NDCG@10", "gtzan, mlp Accuracy"]
    assert [row[0] for row in rows(values)] == ["a", "b", "c", "d"]
    assert [row[-1] for row in rows(values)] == ["0.9000", "0.8000", "0.7000", "0.6000"]
    assert [row[0] for row in rows(values, "Controls")] == ["random"]
    assert rows(values, "Chance")[0][1:] == ["0.0100", "0.0100", "0.1000"]


def test_correlations_leave_controls_out_and_count_models(both):
    _, comparison = only(both)
    cold, hot = comparison.pairs
    assert hot.spearman.n == cold.spearman.n == 4
    assert hot.rho == 1
    assert hot.p == pytest.approx(2 / 24)
    assert hot.p_holm == pytest.approx(4 / 24)
    assert hot.spearman.over == "users"
    text = " ".join(chapter(comparison).notes)
    assert "With 4 models no order, not even the same one, has p below 0.05 (at best 0.083)" in text
    assert "neither that an MIR score predicts recommendation nor that it does not" in text
    assert "Intervals over users" in text


def test_layers_of_one_model_are_one_point(both):
    for layer, level in (("1", 0.15), ("2", 0.25)):
        both.add("e", level=level, table={"view": {"layers": [layer], "treat": ""}})
        both.probe("e", value=level * 2, layer=layer)
    _, comparison = only(both)
    assert comparison.pairs[0].spearman.n == 5
    (mir,) = (mir for name, _, mir in comparison.pairs[0].points if name == "e")
    assert mir == pytest.approx(0.4)
    assert "no independent points: e enters" in " ".join(chapter(comparison).notes)


def test_the_treatment_of_vectors_names_a_column_and_does_not_part_the_sides(both):
    both.add("a", level=0.45, table={"view": {"layers": [None], "treat": "l2"}})
    _, comparison = only(both)
    assert [axis.name.rpartition(" ")[0] for axis in comparison.mrs] == [
        "knn (l2) cold", "knn (l2) hot", "knn cold", "knn hot",
    ]  # fmt: skip
    assert len(comparison.models) == 5


def test_lanes_are_never_mixed(both):
    both.probe("a", value=0.5, lane="published")
    found, comparison = only(both)
    assert comparison.lane == "corrected"
    assert [lane.lane for lane in found.probed] == ["corrected", "published"]
    assert [lane.find("a", "gtzan", "accuracy") for lane in found.probed] == [[0.9], [0.5]]


def test_too_few_models_say_so(results):
    for name in ("a", "b"):
        results.add(name)
        results.probe(name, value=0.5)
    _, comparison = only(results)
    made = chapter(comparison)
    assert comparison.pairs == []
    assert len(made.grids) == 1
    assert "nothing to correlate" in made.notes[0]


def test_another_metric_can_stand_for_recommendation(both):
    _, comparison = only(both, metric="hitrate")
    assert comparison.mrs[0].heading == "cold HitRate@10"


def test_tasks_have_their_own_table_with_means_over_seeds(results):
    results.probe("a", value=0.6, seed=0)
    results.probe("a", value=0.8, seed=1)
    results.probe("a", "giantsteps", 0.3, metric="weighted", chance=0.12)
    (lane,) = probed(results.read())
    (made,) = chapters([lane])
    (grid,) = made.grids
    assert [f"{head.group}: {head.heading}" for head in grid.heads[1:]] == [
        "giantsteps, mlp: Weighted score",
        "gtzan, mlp: Accuracy",
    ]
    assert rows(grid) == [["a", "0.3000 [0.2800, 0.3200]", "0.7000 [0.5800, 0.8200]"]]
    assert rows(grid, "Chance") == [["chance", "0.1200", "0.1000"]]
    assert lane.find("a", "gtzan", "f1") == pytest.approx([0.63])
    assert any("not for leaderboards" in note for note in made.notes)
    assert made.notes[-2:] == ["giantsteps: how giantsteps counts", "gtzan: how gtzan counts"]


def test_a_warning_names_its_task_once(results):
    results.probe("a", warnings=["left out: 3 rare tags"])
    results.probe("b", warnings=["gtzan: one without audio"])
    (lane,) = probed(results.read())
    assert lane.warnings == ["gtzan: left out: 3 rare tags", "gtzan: one without audio"]


def test_other_parts_of_a_task_are_another_column(results):
    for name, value in (("a", 0.6), ("b", 0.5)):
        results.probe(name, value=value)
    other = {"name": "made", "settings": {}, "fingerprint": "d" * 64, "counts": {}}
    results.probe("a", value=0.9, seed=0, split=other, seed_folder="other")
    (lane,) = probed(results.read())
    assert [asked.title for asked in lane.columns] == ["gtzan, mlp #dddd", "gtzan, mlp #eeee"]
    (grid,) = chapters([lane])[0].grids
    assert [row[1][:6] for row in rows(grid)] == ["0.9000", "–"]
    assert rows(grid, "Chance") == [["chance", "0.1000", "0.1000"]]


def test_another_version_of_a_probe_is_another_column(results):
    for version, value in (("1", 0.6), ("2", 0.9)):
        about = {"name": "quick", "spec": "quick", "lane": "published", "settings": {}, "version": version}
        results.probe("a", value=value, recommender=about, seed_folder=f"quick-{version}")
    (lane,) = probed(results.read())
    assert [asked.title for asked in lane.columns] == ["gtzan, quick v1", "gtzan, quick v2"]
    assert [answer.mean for answer in lane.rows.popitem()[1].answers.values()] == [0.6, 0.9]


def test_models_without_vectors_are_no_recommendation_columns(both):
    both.add("none", "ease", level=0.5)
    _, comparison = only(both)
    assert [axis.name for axis in comparison.mrs] == ["knn cold NDCG@10", "knn hot NDCG@10"]
    assert all(model.name != "none" for model in comparison.models)


def test_damaged_probes_are_listed_never_fatal(results):
    results.probe("a")
    results.probe("b", metrics={"test": {"accuracy": float("nan")}})
    results.probe("c", metrics={"test": {"accuracy": 0.5}, "hot": {"ndcg@10": 0.5}})
    made = report(results.read())
    (lane,) = made.probed
    assert [row.label for row in lane.rows.values()] == ["a"]
    assert len(made.problems) == 2
    assert "metrics.test.accuracy" in made.problems[0]


@pytest.mark.parametrize(("task", "of"), [("catalog-genre", {}), ("moods", {"of": "data"})])
def test_a_task_on_the_tracks_of_another_data_set_stands_beside_no_recommendation(results, task, of):
    """A record says whether its task is about a data set's tracks; old records of the project's own tasks do not."""
    about = {"name": task, "spec": task, "kind": "classes", "primary": "accuracy"}
    about |= {"convention": "", "settings": {}, "labels": 10} | of
    for digit, collection in (("a", "demo"), ("b", "plays")):
        data = {"name": task, "builtin": True, "fingerprint": {}, "collection": collection, "task": about}
        split = {"name": "made", "settings": {}, "fingerprint": digit * 64, "counts": {}}
        for name, (level, accuracy) in MODELS.items():
            results.add(name, level=level)
            results.probe(name, task, accuracy, data=data, split=split, seed_folder=f"mlp-{collection}")
    found, comparison = only(results)
    assert [axis.group for axis in comparison.mir] == [f"{task}, mlp of demo"]
    (lane,) = found.probed
    assert {column.edition for column in lane.columns} == {"of demo", "of plays"}


def test_tables_of_tasks_say_which_tested_tracks_were_heard_where_that_is_known(results):
    def table():
        (found,) = chapters(probed(results.read()))
        return [[head.heading for head in found.grids[0].heads], *rows(found.grids[0]), *rows(found.grids[0], "Chance")]

    results.probe("mfcc", value=0.5)
    assert "Heard" not in table()[0]
    results.probe("cnn", value=0.4, table={"heard_share": 0.25})
    results.probe("clap", value=0.3, table={"heard_share": 0.0})
    assert [line[-1] for line in table()] == ["Heard", "–", "25.0 %", "0 %", "–"]
