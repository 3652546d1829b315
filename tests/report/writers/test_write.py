import csv
import re

import pytest
from markdown_it import MarkdownIt

from bench.errors import BenchError
from bench.metrics import METRICS
from bench.report import boards, write
from bench.report.format import number, percent, short
from bench.report.writers.latex import escape as tex
from bench.report.writers.markdown import escape as md

ODD = 'we_ird:path=(a|b & 50% #1 ~x^2 $y$ {z} \\w <i> *s* [t] `c` "q")'


def written(results, **options):
    problems = []
    found = boards(results.read(), problems)
    folder = results.folder.parent / "report"
    return {p.name: p.read_text(encoding="utf-8") for p in write(found, folder, problems=problems, **options)}


def tables(page):
    """Tables of a Markdown page as lists of rows of plain text, by a real parser."""
    found, row = [], []
    for token in MarkdownIt("commonmark").enable("table").parse(page):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            row = []
        elif token.type == "tr_close":
            found[-1].append(row)
        elif token.type == "inline" and token.level >= 3 and found:
            row.append("".join(child.content for child in token.children))
    return found


def test_the_page_holds_every_row_in_well_formed_tables(results):
    results.comparison(sets=("hot", "cold", "mixed"))
    page = written(results)["report.md"]
    found = tables(page)
    main = found[0]
    assert main[0] == [
        "Extractor", "Model",
        "cold HitRate@10", "cold Recall@10", "cold NDCG@10", "cold × chance", "cold Controls",
        "hot HitRate@10", "hot Recall@10", "hot NDCG@10", "hot × chance", "hot Controls",
        "mixed HitRate@10", "mixed Recall@10", "mixed NDCG@10", "mixed × chance", "mixed Controls",
        "Width", "Coverage", "s/1000", "Licence", "Seeds",
    ]  # fmt: skip
    assert [row[0] for row in main[1:]] == [
        "mert:layer=7", "clap", "mfcc", "Controls", "none", "shuffled:of=mfcc", "Chance", "chance",
    ]  # fmt: skip
    assert re.fullmatch(r"0\.\d{4} \[0\.\d{4}, 0\.\d{4}\]", main[1][4])
    assert main[1][17:] == ["104", "100.0 %", "12.3", "Apache-2.0", "1"]
    assert main[-1][17:] == ["–"] * 5
    # main, evidence, three sets in detail, three beyond accuracy, costs
    assert len(found) == 9
    assert found.pop(1)[0][2:] == [
        "NDCG@10", "Gain over shuffled [95 %]", "From the best [95 %]", "Of gain",
        "Differ", "p (Holm)", "Verdict",
    ]  # fmt: skip
    assert found[1][0][2:] == [f"cold {m}@{k}" for k in (10, 50) for m in ("HitRate", "Recall", "NDCG")]
    assert found[4][0][2:] == ["Coverage@10", "ILD mfcc@10", "Popularity lift@10"]
    assert found[4][1][2:] == ["0.500", "0.250", "0.000"]
    assert found[7][1][2:] == ["0.50", "1.25", "256"]
    assert "nan" not in page.lower().replace("a nan score", "")


def test_table_rows_are_aligned_in_the_source(results):
    results.comparison()
    results.add(ODD)
    results.add("日本語", level=0.1)
    from rich.cells import cell_len

    block = []
    for text in [*written(results)["report.md"].split("\n"), ""]:
        if text.startswith("|"):
            block.append(cell_len(text))
        else:
            assert len(set(block)) <= 1
            block = []


def test_bold_stands_in_the_page_and_in_latex(results):
    results.comparison()
    files = written(results)
    assert re.search(r"\| clap .*\*\*0\.\d{4} \\\[", files["report.md"])
    assert re.search(r"clap & knn & .*\\textbf\{0\.\d{4} \{\[\}", files["demo-global-ffffffff-k10-50.tex"])


def test_lanes_have_their_own_headings(results):
    results.comparison("corrected")
    results.comparison("published")
    results.add(lane="mixed")
    page = written(results)["report.md"]
    assert page.index("### Lane: corrected") < page.index("### Lane: published") < page.index("### Mixed lanes")
    mixed = next(t for t in tables(page) if "Lanes" in t[0])
    assert mixed[1][2] == "published × corrected"


def test_declared_training_data_is_a_column_and_the_catalogue_itself_is_marked(results):
    results.add("a", level=0.3, data="music4all-onion", table={"trained_on": ["MSD", "Music4All"]})
    results.add("b", level=0.1, data="music4all-onion")
    main = tables(written(results)["report.md"])[0]
    at = main[0].index("Trained on")
    assert [row[at] for row in main[1:3]] == ["MSD, Music4All !", "–"]


def test_lanes_stand_side_by_side_above_their_own_tables(results):
    results.comparison("corrected")
    results.comparison("published")
    page = written(results)["report.md"]
    assert page.index("### Lanes side by side") < page.index("### Lane: corrected")
    both = tables(page)[0]
    assert both[0][2:] == [
        f"{where} NDCG@10 {lane}" for where in ("cold", "hot") for lane in ("corrected", "published")
    ]
    assert [row[0] for row in both[1:]] == [
        "mert:layer=7", "clap", "mfcc", "Controls", "none", "shuffled:of=mfcc", "Chance", "chance",
    ]  # fmt: skip
    assert "never across lanes" in page


def test_odd_names_survive_markdown(results):
    results.add(ODD)
    assert tables(written(results)["report.md"])[0][1][0] == ODD


@pytest.mark.parametrize("text", [ODD, "a_b*c*", "|", "\\|", "`x", "$1$", "<b>", "&amp;", "[a](b)", "~~a~~"])
def test_escaped_text_is_shown_as_it_is(text):
    (_, inline, _) = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(md(f"a{text}"))
    assert "".join(child.content for child in inline.children) == f"a{text}"
    assert {child.type for child in inline.children} <= {"text", "text_special"}


def test_every_record_has_its_command_from_the_folder_of_the_page(results):
    paths = [results.add(model="net", seed=seed) for seed in (0, 1)]
    page = written(results)["report.md"]
    for path in paths:
        place = path.relative_to(results.folder.parent).as_posix()
        assert f"\nbench run --from ../{place}\n" in page


def test_glossary_explains_what_is_shown(results):
    results.add()
    page = written(results, metrics=("ndcg", "map_min"))["report.md"]
    assert "- **MAP (min)**:" in page
    assert "- **ILD mfcc**:" in page
    assert "- **HitRate**:" not in page
    assert "- **cold**:" in page
    assert "- **mixed**:" not in page
    assert f"- **Recall**: {METRICS['recall'].glossary}." in written(results)["report.md"]


def test_what_was_left_out_is_listed_last(results):
    results.add()
    (results.folder / "bro_ken.json").write_text("[]")
    page = written(results)["report.md"]
    assert "bro\\_ken.json" in page[page.index("## Left out") :]


def test_csv_is_tidy_and_complete(results):
    results.comparison("corrected")
    results.add(ODD, lane="published", sets=("hot",))
    text = written(results)["demo-global-ffffffff-k10-50.csv"]
    rows = list(csv.DictReader(text.splitlines()))
    assert list(rows[0]) == [
        "data", "split", "set", "extractor", "model", "lane", "metric", "k", "seeds", "value", "low", "high",
        "chance", "control", "by_fold", "settings", "gain", "gain_low", "gain_high", "difference", "difference_low",
        "difference_high", "differ", "p_holm", "comparisons", "margin", "verdict",
    ]  # fmt: skip
    one = next(r for r in rows if (r["extractor"], r["set"], r["metric"], r["k"]) == (ODD, "hot", "ndcg", "50"))
    assert (one["split"], one["lane"], one["seeds"], one["control"]) == (
        "global-ffffffff", "published", "1", "false",
    )  # fmt: skip
    assert float(one["low"]) < float(one["value"]) < float(one["high"])
    assert one["chance"] == "0.01"
    assert one["verdict"] == ""  # a single row in its lane
    mfcc = next(r for r in rows if (r["extractor"], r["set"], r["metric"], r["k"]) == ("mfcc", "hot", "ndcg", "10"))
    assert (mfcc["verdict"], mfcc["comparisons"], mfcc["differ"]) == ("told apart", "2", "60")
    assert float(mfcc["gain_low"]) < float(mfcc["gain"]) < float(mfcc["gain_high"])
    assert float(mfcc["difference_high"]) < 0
    assert not [r for r in rows if r["extractor"] == ODD and r["set"] == "cold"]
    assert {r["control"] for r in rows if r["extractor"] == "none"} == {"true"}
    assert {r["metric"] for r in rows} >= {"hitrate", "recall", "ndcg", "mrr", "map", "precision", "coverage"}
    # 6 rows: 7 metrics at 2 k and 3 values beyond accuracy, on two sets for five of them
    assert len(rows) == 17 * (5 * 2 + 1)


def unescaped(text):
    """LaTeX without its escapes and the commands that reports use: only plain text may be left."""
    text = re.sub(r"\\text[a-z]+\{\}|\\[_%&#${}]|\$\\[a-z]+\$|\\[SP]\{\}", "", text)
    return re.sub(r"\{[\[\]*]\}", "", text)


def test_latex_escapes_everything_special():
    left = unescaped(tex(ODD + " – ± × † ‡ § ¶"))
    assert not set(left) & set('\\{}_%&#$~^<>|"[]*')
    assert left.isascii()
    assert tex("a_b") == r"a\_b"
    assert tex("\\{") == r"\textbackslash{}\{"


def test_latex_tables_are_well_formed(results):
    results.comparison()
    results.add(ODD, "k_n%n", level=0.1)
    results.add("[bracket", level=0.05)
    results.add(lane="mixed")
    text = written(results)["demo-global-ffffffff-k10-50.tex"]
    balanced(text)
    assert text.count(r"\begin{table*}") == text.count(r"\end{table*}") >= 2
    labels = re.findall(r"\\label\{(.*?)\}", text)
    assert len(labels) == len(set(labels)) == text.count(r"\caption{")
    for tabular in re.findall(r"\\begin\{tabular\}\{([lr]+)\}(.*?)\\end\{tabular\}", text, re.S):
        columns, body = tabular
        for row in re.findall(r"^(.*) \\\\$", body, re.M):
            spans = [int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", row)]
            assert len(re.findall(r"(?<!\\)&", row)) + 1 + sum(spans) == len(columns)
    assert "\n{[}bracket & knn" in text
    assert re.search(r"\\cmidrule\(lr\)\{3-7\}", text)


def balanced(text):
    depth = 0
    text = re.sub(r"^%.*$", "", text, flags=re.M)
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    assert text.count(r"\begin{") == text.count(r"\end{")


def test_the_same_records_give_the_same_bytes(results):
    results.comparison()
    results.add(model="net", seed=1)
    results.add(model="net", seed=0)
    first = written(results)
    found = boards(list(reversed(results.read())))
    again = {p.name: p.read_text(encoding="utf-8") for p in write(found, results.folder.parent / "report")}
    assert again == first


def test_formats_can_be_chosen_and_wrong_ones_are_named(results):
    results.add()
    assert set(written(results, formats=("csv",))) == {"demo-global-ffffffff-k10-50.csv"}
    with pytest.raises(BenchError, match="'tex'"):
        written(results, formats=("texx",))
    with pytest.raises(BenchError, match="ndcg"):
        written(results, metrics=("ndgc",))


def test_boards_with_alike_names_get_files_of_their_own(results):
    results.add(data="a b")
    results.add(data="A-b", model="other")
    assert len({name.lower() for name in written(results)}) == 6


def test_no_records_still_make_a_page(tmp_path):
    pages = write([], tmp_path)
    assert [page.name for page in pages] == ["report.md", "report.html"]
    assert all("There is no readable record" in page.read_text() for page in pages)


def test_numbers_are_never_nan_and_never_minus_zero():
    assert number(None) == number(float("nan")) == number(float("inf")) == "–"
    assert number(-0.00001) == "0.0000"
    assert number(-0.5) == "-0.5000"
    assert short(0.25) == ".2500"
    assert short(1.0) == "1.0000"
    assert percent(0.9999) == "99.9 %"
    assert percent(1.0) == "100.0 %"
    assert percent(0.29) == "29.0 %"
