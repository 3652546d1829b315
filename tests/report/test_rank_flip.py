"""The picture of ranks is that of the printed numbers, and the committed one is of today's code."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench.published import paper
from bench.report.rank_flip import ROW, TOP, svg

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "rank_flip.svg"
SVG = "{http://www.w3.org/2000/svg}"


def test_the_committed_picture_is_of_the_published_numbers():
    assert PICTURE.read_text(encoding="utf-8") == svg(paper("recsys2024"))


def test_ranks_are_those_of_table_4():
    root = ET.fromstring(svg(paper("recsys2024")))
    places = {}
    for group in root.iter(f"{SVG}g"):
        name = group.findall(f"{SVG}text")[-1].text
        places[name] = [(float(dot.get("cy")) - TOP) / ROW + 1 for dot in group.iter(f"{SVG}circle")]
    assert places["MusiCNN"] == [4, 4, 5, 1]  # tags, genres, key, recommendation
    assert places["Jukebox"] == [2, 2, 2, 6]
    assert places["EncodecMAE"] == [1, 3]  # only genres are printed
    assert places["MusicFM"] == [1, 1, 5]
    assert {group.get("class"): group.findall(f"{SVG}text")[-1].text for group in root.iter(f"{SVG}g")}[
        "up"
    ] == "MusiCNN"


def test_a_paper_without_mir_tasks_has_no_picture():
    with pytest.raises(ValueError, match="journal2026"):
        svg(paper("journal2026"))
