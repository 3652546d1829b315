"""Two records compared listener by listener: by name, and in sum what their means differ by."""

import numpy as np
import pytest

from bench.cli import main
from bench.errors import BenchError
from bench.records import read
from bench.report.build import boards
from bench.report.difference import chapter, from_the_best
from bench.report.gains import by_artist, by_listener

USERS, ITEMS, ARTISTS = 40, 6, 3


@pytest.fixture
def paths(results):
    draw = np.random.default_rng(7)
    made = []
    for name, most in (("clap", 15), ("mfcc", 40)):
        ranks = {
            where: (draw.random((USERS, most)).argsort(axis=1)[:, :ITEMS] + 1).astype(np.int32)
            for where in ("hot", "cold")
        }
        made.append(results.ranked(name, ranks, ARTISTS))
    return made


@pytest.fixture
def rows(paths):
    return [boards([(path, read(path))])[0].rows[0] for path in paths]


@pytest.mark.parametrize("where", ["hot", "cold"])
def test_gains_of_listeners_and_of_artists_add_up_to_the_difference(rows, where):
    a, b = rows
    difference = a.mean(where, "ndcg@10") - b.mean(where, "ndcg@10")
    listeners, artists = (of(a, b, where, "ndcg@10") for of in (by_listener, by_artist))
    assert listeners.height == USERS
    assert listeners["gain"].mean() == pytest.approx(difference, abs=1e-9)
    assert listeners["gain"].is_sorted(descending=True)
    assert artists.height == ARTISTS
    assert artists["pairs"].sum() == USERS * ITEMS
    assert artists["gain"].sum() == pytest.approx(difference, abs=1e-9)


def test_shares_and_the_turned_comparison_agree(rows):
    a, b = rows
    lines, turned = (chapter(*pair, "ndcg@10").grids[0].rows for pair in ((a, b), (b, a)))
    for line, other in zip(lines, turned, strict=True):
        assert sum(cell.value for cell in line[5:8]) == pytest.approx(1)
        assert line[3].value == pytest.approx(-other[3].value)
        assert (line[5].value, line[6].value) == (other[6].value, other[5].value)
        assert line[3].value > 0


def test_a_record_equals_itself(rows):
    (line, *_) = chapter(rows[0], rows[0], "ndcg@10", top=0).grids[0].rows
    assert [cell.value for cell in line[3:8]] == [0, 1, 0, 0, 1]


def test_other_metrics_and_listeners_without_names(rows, results):
    with pytest.raises(BenchError, match="recall@7"):
        chapter(*rows, "recall@7")
    two = [results.add(name, level=level) for name, level in (("a", 0.5), ("b", 0.2))]
    old = [boards([(path, read(path))])[0].rows[0] for path in two]
    assert [grid.name for grid in chapter(*old, "ndcg@10").grids] == ["difference"]


def test_the_command_prints_and_writes_a_page_that_agree(paths, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["diff", *map(str, paths), "--out", str(page)]) == 0
    said, text = capsys.readouterr().out, page.read_text(encoding="utf-8")
    gain = next(word for word in said.split() if word.startswith("+0."))
    assert gain in text
    for person in chapter(*(boards([(path, read(path))])[0].rows[0] for path in paths), "ndcg@10").grids[1].rows[0]:
        assert person.text in said
        assert person.text in text


def test_records_of_other_splits_are_refused(paths, results, capsys):
    other = results.add("mfcc", fold=2)
    assert main(["diff", str(paths[0]), str(other)]) == 1
    assert "different splits" in capsys.readouterr().err


def test_a_board_has_its_best_embedding_against_the_others(paths, results):
    (board,) = boards(results.read())
    found = from_the_best(board)
    assert [len(section.rows) for section in found.grids[0].sections] == [1, 1]
