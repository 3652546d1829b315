"""The page: well-formed, whole in itself, legible for machines and small screens."""

import re
from html.parser import HTMLParser

import pytest

from bench.published import paper
from bench.report import boards
from bench.report.format import MAIN
from bench.report.report import report
from bench.report.writers import html

VOID = {"meta", "img", "br", "source", "link", "wbr"}


class Reader(HTMLParser):
    """Checks nesting, and gathers texts of cells by table, ids, links and outside sources."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tables, self.ids, self.links, self.sources, self.widths = [], [], [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if "href" in given else []
        self.sources += [given["src"]] if "src" in given else []
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
            self.widths.append(0)
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.widths[-1] += int(given.get("colspan", 1))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "table":
            rows = self.widths[-len(self.tables[-1]) :]
            assert len(set(rows)) == 1, rows

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th", "b", "span") and self.tables:
            self.tables[-1][-1][-1] += data


def page(results, papers=(), plots=()):
    made = report(results.read(), papers)
    return html.page("Results", made.boards, made.chapters, plots, problems=made.problems, metrics=MAIN)


@pytest.fixture
def full(results):
    results.comparison("corrected")
    results.comparison("published")
    results.add("<b>&\"'x", level=0.1)
    for name, value in (("clap", 0.8), ("mfcc", 0.5), ("mert:layer=7", 0.7)):
        results.probe(name, value=value)
    return results


def test_the_page_is_well_formed_and_whole_in_itself(full):
    text = page(full, [paper("recsys2024")])
    found = Reader(text)
    assert text.startswith("<!DOCTYPE html>")
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    assert "prefers-color-scheme:dark" in text
    assert "<script" not in text
    assert not re.search(r"""(src|srcset)=["'](?!data:)""", text)
    assert "url(" not in text
    assert "@import" not in text
    assert len(found.ids) == len(set(found.ids))
    assert all(link.startswith("#") and link[1:] in found.ids for link in found.links)


def test_tables_say_what_the_boards_say(full):
    found = Reader(page(full))
    main = next(table for table in found.tables if table[1][:2] == ["Extractor", "Model"] and "Width" in table[1])
    assert main[0][2:5] == ["hot", "cold", ""] or "hot" in main[0]
    names = [row[0] for row in main[2:]]
    assert names[:4] == ["mert:layer=7", "clap", "mfcc", "<b>&\"'x"]
    assert names[4:] == ["Controls", "none", "shuffled:of=mfcc", "Chance", "chance"]
    assert re.fullmatch(r"0\.\d{4} \[0\.\d{4}, 0\.\d{4}\]", main[2][4])


def test_long_names_may_break_between_their_parts_and_numbers_never(results):
    results.add("jukebox:layer=36,treat=standardize")
    results.add("mert:layer=7")
    text = page(results)
    assert ">jukebox:<wbr>layer=36,<wbr>treat=standardize<" in text
    assert ">mert:layer=7<" in text


def test_lanes_stand_side_by_side_and_apart(full):
    found = Reader(page(full))
    lanes = next(table for table in found.tables if table[1][2:4] == ["corrected", "published"])
    assert lanes[0][1:] == ["cold NDCG@10", "hot NDCG@10"] or "hot NDCG@10" in lanes[0]
    clap = next(row for row in lanes if row[0] == "clap")
    (board,) = boards(full.read())
    for block, at in zip(board.blocks, (2, 3), strict=True):
        row = next(row for row in block.rows if row.extractor == "clap")
        assert clap[at] == f"{row.mean('cold', 'ndcg@10'):.4f}"


def test_bold_and_odd_names_and_absent_values(full):
    text = page(full)
    assert "<b>&" not in text
    assert re.search(r"<b>0\.\d{4}</b>", text)
    assert ">nan<" not in text.lower()
    assert ">–<" in text


def test_what_was_left_out_and_no_records_at_all(full, tmp_path):
    (full.folder / "bro<ken.json").write_text("[]")
    assert "bro&lt;ken.json" in page(full)
    assert "There is no readable record" in html.page("Results", [], [], metrics=MAIN)
