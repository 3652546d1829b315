"""A table for print is cut where it is too wide or too long, and nothing of it is lost."""

from bench.report.grid import Cell, Grid, Head, Section
from bench.report.writers.latex import escape, table
from bench.report.writers.page_breaks import pieces, widths


def grid(columns=9, rows=10, group=3):
    heads = [Head("Name", right=False), *(Head(f"m{at}", f"g{at // group}") for at in range(columns))]
    lines = [[Cell(f"r{row}"), *(Cell(f"{row}.{at:03}") for at in range(columns))] for row in range(rows)]
    return Grid("t", "Values.", heads, [Section("a", lines[: rows // 2]), Section("b", lines[rows // 2 :])])


def test_what_fits_stays_as_it_is():
    whole = grid()
    assert pieces(whole, 200, 50) == [whole]


def test_wide_ones_are_cut_between_groups_and_name_their_rows_again():
    whole = grid()
    found = pieces(whole, 6 + 6 * 7, 50)
    assert [[head.group for head in piece.heads] for piece in found] == [
        ["", *["g0"] * 3, *["g1"] * 3], ["", *["g2"] * 3],
    ]  # fmt: skip
    assert [piece.title for piece in found] == ["Values, part 1 of 2", "Values, part 2 of 2"]
    assert [piece.name for piece in found] == ["t", "t-2"]
    assert all(sum(widths(piece)) <= 48 for piece in found)
    cells = [[cell.text for piece in found for cell in piece.rows[at][1:]] for at in range(10)]
    assert cells == [[cell.text for cell in row[1:]] for row in whole.rows]


def test_a_group_wider_than_a_page_is_cut_too():
    found = pieces(grid(columns=9, group=9), 6 + 4 * 7, 50)
    assert [len(piece.heads) - 1 for piece in found] == [4, 4, 1]


def test_long_ones_are_cut_between_sections_where_they_can():
    found = pieces(grid(rows=10), 200, 7)
    assert [[(s.title, len(s.rows)) for s in piece.sections] for piece in found] == [[("a", 5)], [("b", 5)]]
    found = pieces(grid(rows=10), 200, 4)
    assert [row for piece in found for row in piece.rows] == grid(rows=10).rows
    assert max(len(piece.rows) for piece in found) == 4


def test_wide_cells_take_both_columns_of_a_page_and_minus_is_a_minus():
    one = Grid("t", "T", [Head("n"), Head("x")], [Section("", [[Cell("a"), Cell("-0.5 " + "w" * 80)]])])
    assert table(one, "l", "c", [])[0] == r"\begin{table*}"
    assert table(grid(columns=3), "l", "c", [])[0] == r"\begin{table}"
    assert escape("-0.5 [-.25, 2020-11]") == "$-$0.5 {[}$-$.25, 2020-11{]}"
