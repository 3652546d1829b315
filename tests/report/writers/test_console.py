import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from bench.errors import BenchError
from bench.report import Cell, Chapter, Grid, Head, Section, boards, show


def shown(results, *, width=80, terminal=False, problems=(), **options):
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=terminal, color_system=None)
    show(boards(results.read()), console, problems=problems, **options)
    assert console.width == width
    return out.getvalue()


def widest(text):
    return max(cell_len(line) for line in text.split("\n"))


def test_two_sets_fit_a_terminal_of_140_columns_with_all_metrics(results):
    results.comparison()
    results.add("shuffled:of=(mert:layer=7,weights=random)", "bert4rec:dim=64,layers=2", control=True)
    text = shown(results, width=140, terminal=True)
    assert widest(text) <= 140
    assert text.count("Recall") == 2
    assert "lack of room" not in text


def test_files_and_pipes_get_room_for_a_legible_table(results):
    results.comparison(sets=("hot", "cold", "mixed"))
    text = shown(results)
    assert 80 < widest(text) <= 110
    assert "mixed @10" in text
    assert text.split("\n")[2].count("Controls") == 3
    assert "±" in text


@pytest.mark.parametrize("width", [60, 80, 90])
def test_a_narrow_terminal_keeps_the_main_metric_of_every_set(results, width):
    results.comparison(sets=("hot", "cold", "mixed"))
    text = shown(results, width=width, terminal=True)
    assert widest(text) <= width
    header = next(line for line in text.split("\n") if line.startswith("Extractor"))
    assert header.count("NDCG") == 3
    assert "Left out of some columns for lack of room: Recall@10, HitRate@10" in " ".join(text.split())


def test_rows_marks_and_notes(results):
    results.comparison()
    results.add("mert:layer=7", "net", level=0.3, deterministic=False)
    text = shown(results)
    lines = text.split("\n")
    order = [line.split()[0] for line in lines[4:] if line.strip()][:7]
    assert order == ["mert:layer=7", "clap", "mert:layer=7", "mfcc", "none", "shuffled:of=mfcc", "chance"]
    assert next(line for line in lines if line.startswith("clap")).count("*") == 4
    assert next(line for line in lines if " net " in line).rstrip().endswith("1†")
    assert "not for leaderboards" in text
    assert "Users: cold 40, hot 60" in text


def test_lanes_are_told_apart(results):
    results.comparison("corrected")
    results.add(lane="mixed")
    text = shown(results)
    assert "Lane: corrected" in text
    assert "Mixed lanes" in text
    assert "published ×" in text


def test_markup_in_names_is_text(results):
    results.add("[bold]x[/bold]", table={"name": "x"})
    assert "[bold]x[/bold]" in shown(results)


def test_problems_and_empty_results_are_said(results):
    results.folder.mkdir()
    text = shown(results, problems=["a.json is [not] a record"])
    assert "No records." in text
    assert "Left out: a.json is [not] a record" in text


def test_unknown_metrics_are_refused(results):
    results.add()
    with pytest.raises(BenchError, match="ndcg"):
        shown(results, metrics=("ndgc",))
    assert "MRR" in shown(results, metrics=("mrr", "ndcg"))


def test_a_chapter_that_is_too_wide_is_folded_below_itself():
    heads = [Head("Name", right=False), *(Head(f"a long heading {i}", f"group {i // 2}") for i in range(12))]
    rows = [[Cell(f"row {n}"), *(Cell(f"{n}.{i:04d}") for i in range(12))] for n in range(3)]
    rows.append([Cell("empty"), *[Cell("–")] * 11, Cell("x")])
    out = io.StringIO()
    grid = Grid("g", "A wide table", heads, [Section("", rows)], ["a note"])
    show(
        [],
        Console(file=out, width=90, force_terminal=True, color_system=None),
        chapters=[Chapter("c", "C", [], [grid])],
    )
    text = out.getvalue()
    assert widest(text) <= 90
    assert all(f"a long heading {i}" in text for i in range(12))
    assert all(f"{n}.{i:04d}" in text for n in range(3) for i in range(12))
    assert text.count("row 0") == text.count("Name") > 1
    assert text.count("empty") == 1
    assert "a note" in text
    assert "No records." not in text
