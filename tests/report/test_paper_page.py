"""A paper's tables in their own shape, and ours beside them, lane by lane."""

import csv
from dataclasses import replace

import pytest

from bench.published import PAPERS, imported, paper
from bench.report import boards, probed
from bench.report.grid import Grid
from bench.report.paper_page import chapter
from bench.report.report import report
from bench.report.writers.csv import grid as as_csv
from bench.splits.published import REPORTED

ON_PAPER = {"data": "music4all-onion", "builtin": False, "k": (10, 50), "sets": ("hot",)}


def lines(grid: Grid):
    """Section, then the texts of each row without footnote marks."""
    return [
        [section.title.partition("(")[0].strip(), *(cell.text.partition("(")[0] for cell in row)]
        for section in grid.sections
        for row in section.rows
    ]


def grids(made):
    return {grid.name: grid for grid in made.grids}


@pytest.fixture
def ours(results):
    """Records on the paper's split, in two lanes, with their controls."""
    split = {"settings": {}, "fingerprint": "f" * 64, "published": "matches Table 2"}
    counts = {"train": {"users": 17_053, "items": 56_193, "pairs": 5_122_221}, "valid": {}, "test": {}}
    about = {"name": "recsys2024", "counts": counts, **split}
    for lane, lift in (("published", 0.0), ("corrected", 0.1)):
        results.add("musicnn", "knn", level=0.2 + lift, lane=lane, **ON_PAPER)
        results.add("mfcc", "knn", level=0.1 + lift, lane=lane, **ON_PAPER)
        results.add("random", "knn", level=0.01, lane=lane, control=True, **ON_PAPER)
    results.add("mfcc:n_mfcc=20", "knn", level=0.15, **ON_PAPER)
    return boards([(path, replace(record, split=replace(record.split, **about))) for path, record in results.read()])


def test_tables_without_ours_are_the_papers_own():
    made = grids(chapter(paper("recsys2024"), []))
    assert list(made) == ["table-1", "table-2", "table-3", "table-4"]
    sizes = [row[1:] for row in lines(made["table-1"])]
    assert sizes == [
        ["MFCC", "104"], ["MusiCNN", "200"], ["MusicFM", "750"], ["EncodecMAE", "768"], ["Music2Vec", "768"],
        ["MERT", "1024"], ["Jukebox", "4800"],
    ]  # fmt: skip
    split = [row[1:] for row in lines(made["table-2"])]
    assert split == [
        ["train", "17,053", "56,193", "5,122,221"],
        ["valid", "6,092", "36,942", "132,425"],
        ["test", "6,092", "37,797", "138,299"],
    ]
    three = lines(made["table-3"])
    assert three[0] == ["KNN", "MusicFM", "0.009", "0.000", "0.000"]
    assert three[6] == ["KNN", "MusiCNN", "0.089", "0.005", "0.004"]
    assert three[11] == ["Shallow Net", "MERT", "0.291", "0.030", "0.021"]
    assert three[-2:] == [
        ["BERT4Rec", "Jukebox", "0.219", "0.015", "0.012"],
        ["BERT4Rec", "MusiCNN", "0.385", "0.058", "0.044"],
    ]
    assert len(three) == 23
    assert [row[1:] for row in lines(made["table-4"])] == [
        ["MusicFM", "0.924", "–", "0.674", "0.261"],
        ["Music2Vec", "0.895", "0.766", "0.508", "0.281"],
        ["MERT", "0.913", "0.793", "0.656", "0.360"],
        ["EncodecMAE", "–", "0.862", "–", "0.349"],
        ["Jukebox", "0.915", "0.797", "0.667", "0.219"],
        ["MusiCNN", "0.906", "0.790", "0.128", "0.385"],
    ]


def test_printed_spread_stands_behind_its_number():
    hot = grids(chapter(paper("journal2026"), []))["table-hot"]
    rows = {tuple(row[:2]): row[2:] for row in lines(hot)}
    assert rows["BERT", "MusiCNN"][0].startswith("0.4762 ±0.")
    assert rows["Cosine", "MERT"] == ["0.0171", "0.0007", "0.0005"]


@pytest.mark.parametrize("name", PAPERS)
def test_every_mark_has_its_footnote(name):
    made = chapter(paper(name), [])
    texts = [cell.text for grid in made.grids for row in grid.rows for cell in row]
    texts += [section.title for grid in made.grids for section in grid.sections]
    texts += [text for grid in made.grids for text in (grid.title, *(head.heading for head in grid.heads))]
    used = {mark for text in texts for mark in "abcdefghijklm" if f"({mark})" in text}
    noted = {note[1] for note in made.notes if note[0] == "("}
    assert used == noted
    assert len(noted) >= 4
    assert any(note.startswith(f"({mark}) Known artefact, no target: ") for note in made.notes for mark in noted)
    assert made.lead[0].endswith(f"{paper(name).citation}.")


def test_ours_stand_beside_lane_by_lane_with_controls_and_chance(ours):
    made = chapter(paper("recsys2024"), ours)
    three = grids(made)["table-3"]
    assert [head.group for head in three.heads] == [
        "", *["published @50"] * 3, "", *["ours, corrected @50"] * 3, *["ours, published @50"] * 3,
    ]  # fmt: skip
    rows = lines(three)
    musicnn = next(row for row in rows if row[:2] == ["KNN", "MusiCNN"])
    by_lane = {block.lane: block for block in ours[0].blocks}
    for lane, at in (("corrected", 6), ("published", 9)):
        (row,) = [row for row in by_lane[lane].rows if row.extractor == "musicnn"]
        assert musicnn[at] == f"{row.mean('hot', 'hitrate@50'):.4f}"
    assert musicnn[2:6] == ["0.089", "0.005", "0.004", "musicnn"]
    mert = next(row for row in rows if row[:2] == ["KNN", "MERT"])
    assert mert[5:] == ["–"] * 7
    assert [row[5] for row in rows if row[0] == "Controls"] == ["random × knn"]
    assert [row[5] for row in rows if row[0] == "Chance"] == ["chance"]
    assert "no column mixes two lanes" in made.lead[1]
    assert "matches Table 2" in made.lead[1]


def test_variants_of_ours_are_lines_below_the_printed_one(ours):
    rows = lines(grids(chapter(paper("recsys2024"), ours))["table-3"])
    at = next(i for i, row in enumerate(rows) if row[:2] == ["KNN", "MFCC"])
    assert rows[at][2:6] == ["0.028", "0.001", "0.001", "mfcc"]
    assert rows[at + 1][1:6] == ["", "", "", "", "mfcc:n_mfcc=20"]
    assert rows[at + 1][9:] == ["–"] * 3
    assert rows[at + 2][1] == "Music2Vec"


def test_sizes_of_ours_stand_beside_the_printed_ones(ours):
    made = grids(chapter(paper("recsys2024"), ours))
    assert lines(made["table-2"])[0][5:] == ["17,053", "56,193", "5,122,221"]
    assert lines(made["table-2"])[1][5:] == ["–"] * 3
    assert lines(made["table-1"])[0][1:] == ["MFCC", "104", "104", "104"]
    assert lines(made["table-1"])[5][3:] == ["–", "–"]


def test_our_probes_stand_beside_the_printed_mir_figures(results, ours):
    results.probe("mert", value=0.7)
    results.probe("mert", "giantsteps", 0.6, metric="weighted", lane="published")
    made = chapter(paper("recsys2024"), ours, probed(results.read()))
    four = grids(made)["table-4"]
    mert = next(row for row in lines(four) if row[1] == "MERT")
    groups = [head.group for head in four.heads]
    assert groups == ["", *["published"] * 4, *["ours, corrected"] * 4, *["ours, published"] * 4]
    assert mert[6:10] == ["–", "0.7000", "–", "–"]
    assert mert[10:] == ["–", "–", "0.6000", "–"]


def test_another_split_is_not_set_beside(results):
    results.add("musicnn", **ON_PAPER)
    made = chapter(paper("recsys2024"), boards(results.read()))
    assert len(grids(made)["table-3"].heads) == 4
    assert "only the published numbers stand here" in made.lead[1]


def test_a_paper_is_shown_when_asked_for_or_when_its_split_is_ours(results, ours):
    assert report([]).chapters == []
    assert [c.name for c in report([], [paper("recsys2024")]).chapters] == [
        "recsys2024", "versus-recsys2024-published",
    ]  # fmt: skip
    found = [(path, replace(r, split=replace(r.split, name="recsys2024"))) for path, r in results.read()]
    assert "recsys2024" in [c.name for c in report(found).chapters]


def test_published_numbers_enter_no_board_of_ours(results):
    results.add("musicnn", **ON_PAPER)
    before = report(results.read())
    after = report(results.read(), [paper("recsys2024"), paper("journal2026")])
    assert [row.values for row in after.boards[0].rows] == [row.values for row in before.boards[0].rows]
    assert not any(row.imported for board in after.boards for row in board.rows)
    assert all(record.kind == "imported" for record in imported(paper("recsys2024")))


def test_the_csv_has_every_digit_and_empty_places(ours):
    table = grids(chapter(paper("recsys2024"), ours))["table-3"]
    rows = list(csv.DictReader(as_csv(table).splitlines()))
    assert len(rows) == len(table.rows)
    musicnn = next(row for row in rows if row["Embedding"].startswith("MusiCNN"))
    assert musicnn["published @50 HitRate"] == "0.089"
    row = next(row for row in ours[0].blocks[0].rows if row.extractor == "musicnn")
    assert float(musicnn["ours, corrected @50 HitRate"]) == pytest.approx(row.mean("hot", "hitrate@50"), rel=1e-5)
    assert next(row for row in rows if row["Embedding"].startswith("MERT"))["ours, corrected @50 NDCG"] == ""


def test_sizes_printed_twice_agree():
    """The package holds split sizes in one place; the journal's candidates come from there."""
    cold = [record for record in imported(paper("journal2026")) if "cold" in record.metrics]
    assert {record.candidates["cold"] for record in cold} == {REPORTED["journal2026"].sizes["test", "cold"].items}
