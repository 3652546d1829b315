"""Tables say which rows were tuned, with how many trials, and whether that makes a comparison unfair."""

import csv
import io
from dataclasses import replace

import pytest

from bench.records import SearchInfo, Trial, read, write
from bench.report import boards, budgets, show
from bench.report.columns import main_grid
from bench.report.writers import csv as csv_writer
from bench.report.writers import leaderboard


@pytest.fixture
def tuned(results):
    """Add a row that was tuned with so many trials."""

    def add(extractor="mfcc", model="shallow:lr=0.1", trials=3, failed=0, ended="budget", space="lr=0.1|0.2", **more):
        path = results.add(extractor, model, **more)
        values = [None] * failed + [0.1] * (trials - failed)
        made = tuple(Trial(i, {"lr": "0.1"}, v, 1.0, "", None, "" if v else "lost") for i, v in enumerate(values))
        search = SearchInfo("validation ndcg@10", "shallow", space, "random", 0, failed, made, 3, None, ended)
        record = read(path)
        write(replace(record, recommender=replace(record.recommender, search=search)), results.folder)

    return add


TIME = "Ended by the time limit, so that slow trainings made fewer or shorter trials"


def only(results):
    (board,) = boards(results.read())
    return board


def about(results):
    """Notes on tuning, by their first words."""
    texts = [note.text for note in budgets.notes(only(results))]
    return {text.partition(":")[0]: text.partition(":")[2] for text in texts}


def settings(results):
    return {row.extractor: budgets.settings(row) for row in only(results).rows}


def column(results):
    grid = main_grid(only(results), only(results).blocks[0], ["ndcg"])
    headings = [head.heading for head in grid.heads]
    if "Settings" not in headings:
        return None
    at = headings.index("Settings")
    return {row[0].text: row[at].text for row in grid.rows}


def test_rows_are_tuned_default_or_as_given(results, tuned):
    tuned("mfcc")
    results.add("clap", "shallow")
    results.add("mert", "shallow:lane=corrected")
    results.add("muq", "shallow:lr=0.3")
    results.add("none", "popularity", control=True)
    expected = {"mfcc": "tuned (3)", "clap": "default", "mert": "default", "muq": "as given", "none": "–"}
    assert settings(results) == expected
    assert column(results) == expected | {"chance": "–"}


def test_without_a_tuned_row_a_note_says_so_and_there_is_no_column(results):
    results.comparison()
    assert column(results) is None
    (note,) = budgets.notes(only(results))
    assert "No row was tuned" in note.text


def test_tuned_rows_beside_untuned_ones_are_named(results, tuned):
    tuned("mfcc")
    results.add("shuffled:of=mfcc", "shallow", control=True)
    results.add("none", "popularity", control=True)
    found = about(results)
    assert "mfcc × shallow were tuned, shuffled:of=mfcc × shallow were not." in found["Tuned beside untuned rows"]
    assert "popularity" not in found["Tuned beside untuned rows"]
    assert "equal searches" not in found["Tuned (N)"]


def test_equal_searches_are_called_equal(results, tuned):
    tuned("mfcc")
    tuned("shuffled:of=mfcc", "shallow:lr=0.2", control=True)
    results.add("none", "popularity", control=True)
    assert list(about(results)) == ["Tuned (N)"]
    assert "All of them had equal searches" in about(results)["Tuned (N)"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"trials": 2}, "Unequal budgets"),
        (
            {"trials": 2, "ended": "time"},
            "Ended by the time limit, so that slow trainings made fewer or shorter trials",
        ),
        ({"space": "lr=0.1|0.2|0.3"}, "Unequal searches of shallow"),
        ({"failed": 1}, "Failed trials count as trials"),
        ({"trials": 2, "ended": "space"}, None),
    ],
)
def test_unequal_searches_are_named(results, tuned, other, said):
    tuned("mfcc")
    tuned("clap", **other)
    found = about(results)
    assert (said in found) if said else list(found) == ["Tuned (N)"]
    assert ("All of them had equal searches" in found["Tuned (N)"]) is (said is None)
    if other.get("trials") == 2:
        assert settings(results)["clap"] == "tuned (2 of 3)"


def test_a_tuned_row_and_its_tuned_control_have_one_model(results, tuned):
    tuned("mfcc", "shallow:lr=0.1")
    tuned("shuffled:of=mfcc", "shallow:lr=0.2", control=True)
    results.add("shuffled:of=mfcc", "shallow", control=True)
    results.add("shuffled:of=mfcc", "shallow:lr=0.1", control=True)
    row, *controls = only(results).rows
    assert {control.model: budgets.same_model(row, control) for control in controls} == {
        "shallow:lr=0.2": True,
        "shallow": False,
        "shallow:lr=0.1": True,
    }


def test_console_csv_and_leaderboard_say_it(results, tuned, capsys, tmp_path):
    tuned("mfcc", level=0.4, builtin=False)
    results.add("clap", "shallow", level=0.1, builtin=False)
    board = only(results)
    show([board])
    said = capsys.readouterr().out
    assert "Settings" in said
    assert "tuned (3)" in said
    assert "Tuned beside untuned rows" in said
    rows = csv.DictReader(io.StringIO(csv_writer.table(board)))
    assert {(row["extractor"], row["settings"]) for row in rows} == {("mfcc", "tuned (3)"), ("clap", "default")}
    leaderboard.write(results.read(), tmp_path)
    assert ">tuned (3)<" in (tmp_path / "index.html").read_text()
    pages = [path.read_text() for path in tmp_path.glob("*-k10-50.html")]
    assert all("tuned (3)" in page and "Tuned beside untuned rows" in page for page in pages)
    assert len(pages) == 1
