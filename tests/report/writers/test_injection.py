"""Names from a stranger's records are text in every format, and control neither page, spreadsheet nor terminal."""

import csv
import io
import re
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files as files_of

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from bench.report import show, write
from bench.report.plots.labels import plain
from bench.report.report import report
from bench.report.writers import csv as csv_writer
from bench.report.writers import markdown, mir_console
from bench.report.writers.latex import document
from bench.report.writers.leaderboard import write as write_leaderboard
from bench.text import one_line, visible

EVIL = (
    "=cmd|'/c calc'!A1\x1b[2J\x1b]0;t\x07\u202e\u2066\u200b\r\n\n# x\n```\n<script>alert(1)</script>"
    "<img src=x onerror=y> $\\frac{$ \\input{/etc/passwd} [bold]b[/] [a](javascript:1) "
    "http://evil.example www.evil.example"
)
SHOWN = one_line(EVIL)

ASSETS = ("sortable.min.js", "sortable.a11y.min.js", "leaderboard.js", "controls.js")


def evil(results):
    """Records whose every name is hostile; those of files would be refused, other readers may hand them on."""
    results.comparison(sets=("hot",), data="real", builtin=False)
    results.probe()
    found = []
    for path, record in results.read():
        extractor = replace(record.extractor, spec=f"{EVIL} {record.extractor.name}", license=EVIL, trained_on=(EVIL,))
        data = replace(record.data, name=EVIL, license=EVIL, builtin=False)
        if data.task:
            data = replace(data, task=replace(data.task, name=EVIL, spec=EVIL, convention=EVIL))
        split = replace(record.split, name=EVIL)
        recommender = replace(record.recommender, spec=EVIL)
        environment = replace(record.environment, cpu=EVIL) if record.environment else None
        found.append(
            (
                path,
                replace(
                    record, extractor=extractor, data=data, split=split, recommender=recommender, warnings=(EVIL,),
                    environment=environment,
                ),
            )
        )  # fmt: skip
    return found


def controls(text):
    """Characters that no output may hold."""
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in "\n"}


@pytest.fixture
def made(results):
    return report(evil(results))


@pytest.fixture
def files(made, tmp_path):
    folder = tmp_path / "out"
    paths = write(made.boards, folder, problems=[EVIL], chapters=made.chapters)
    return {path.name: path.read_bytes().decode() for path in paths}


def test_no_file_holds_a_control_character(files):
    assert {name.rpartition(".")[2] for name in files} == {"md", "html", "csv", "tex"}
    assert {name: controls(text) for name, text in files.items() if controls(text)} == {}


def test_markdown_has_no_markup_of_theirs(files):
    tokens = MarkdownIt("gfm-like", {"html": True, "linkify": False}).parse(files["report.md"])
    inline = [child for token in tokens for child in token.children or ()]
    assert {t.type for t in (*tokens, *inline)}.isdisjoint({"html_block", "html_inline", "link_open", "image"})
    assert sum(token.type == "fence" for token in tokens) == 1
    titles = [tokens[at + 1].content for at, token in enumerate(tokens) if token.type == "heading_open"]
    assert "x" not in titles
    outside = files["report.md"].partition("### Repeat")[0]
    assert "evil" in outside
    assert not re.search(r"http:/|www\.", outside)


def test_a_list_entry_starts_no_heading_or_list_of_theirs():
    for text in ("# heading", "- list", "+ list", "1. list", "2) list", "=====", "---", "> quote", "    code"):
        tokens = MarkdownIt("commonmark").parse(f"- {markdown.paragraph(text)}\n")
        (inline,) = [token for token in tokens if token.type == "inline"]
        assert "".join(child.content for child in inline.children) == text.strip()
        assert [token.type for token in tokens][:3] == ["bullet_list_open", "list_item_open", "paragraph_open"]


def test_no_csv_cell_is_a_formula(files):
    tables = [text for name, text in files.items() if name.endswith(".csv")]
    cells = [cell for text in tables for row in csv.reader(io.StringIO(text)) for cell in row]
    assert f"'{SHOWN} mfcc" in cells
    assert not [cell for cell in cells if cell[:1] in "=+-@" and cell and not re.fullmatch(r"[+-]?[\d.e-]+", cell)]
    assert [csv_writer.escape(text) for text in ("-0.5", "+0.123", "-", "@a", "-1+1", "a=b", "\t=1")] == [
        "-0.5", "+0.123", "'-", "'@a", "'-1+1", "a=b", "'=1",
    ]  # fmt: skip


def test_latex_runs_no_command_of_theirs(made):
    (board,) = made.boards
    text = document(board, "x}_\\input{y", ("ndcg",))
    assert r"\input" not in text
    assert r"\frac" not in text
    assert r"\label{tab:x-input-y-corrected}" in text
    assert "\n\n#" not in text


def test_html_has_no_element_of_theirs(files, made, results, tmp_path):
    found, scripts = [], []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attrs):
            found.append((tag, dict(attrs)))

        def handle_data(self, data):
            if self.cdata_elem == "script":
                scripts.append(data)

    paths, _ = write_leaderboard(evil(results), tmp_path / "site")
    pages = [path.read_text(encoding="utf-8") for path in paths if path.suffix == ".html"]
    for page in (files["report.html"], *pages):
        Parser().feed(page)
        assert not controls(page)
    ours = "".join((files_of("bench.report") / "assets" / name).read_text() for name in ASSETS)
    assert scripts
    assert all(line in ours for script in scripts for line in script.splitlines())
    assert "img" not in {tag for tag, _ in found}
    assert not any(name.startswith("on") for _, attributes in found for name in attributes)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_is_told_nothing_by_names(made, terminal):
    out = io.StringIO()
    console = Console(file=out, width=200, force_terminal=terminal, color_system=None)
    show(made.boards, console, problems=[EVIL], chapters=made.chapters)
    assert not controls(re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()))
    assert "[bold]b[/]" in out.getvalue().replace("\n", "")


def test_the_table_of_a_probe_is_text(results, capsys):
    mir_console.show([record for _, record in evil(results) if record.is_probe])
    out = capsys.readouterr().out
    assert not controls(out)
    assert "[bold]b[/]" in out.replace("\n", "")


def test_lines_of_the_console_and_of_errors_are_visible(tmp_path, capsys):
    from bench.cli import main

    assert main(["report", str(tmp_path / "a\x1b[2J\u202eb")]) == 1
    assert controls(capsys.readouterr().err) == set()
    assert visible("a\x1b\u202e\n\tb\udcff") == "a\\x1b\\u202e\n\tb\\udcff"
    assert visible("日本語 é ß \u00a0|") == "日本語 é ß \u00a0|"
    assert one_line(" a\n\n b\u200b") == "a b\\u200b"


def test_labels_of_figures_are_no_formulas(made):
    pytest.importorskip("matplotlib")
    assert plain("$a$") == r"\$a\$"
    assert made.plots()


def test_the_command_of_a_record_stays_one_line(results, tmp_path):
    import subprocess

    for name in ("a\n```\nb.json", "it's\x1b.json", "plain name.json", "$(touch x).json"):
        word = markdown._quoted(name)
        assert "\n" not in word
        assert not controls(word)
        said = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True, timeout=60).stdout
        assert said.decode() == name


def test_long_names_make_no_file_name_that_is_too_long(results, tmp_path):
    results.add(data="d" * 200, split="s" * 200, builtin=False)
    results.probe()
    made = report(results.read())
    for path in write(made.boards, tmp_path / "out", chapters=made.chapters):
        assert len(path.name) < 200
