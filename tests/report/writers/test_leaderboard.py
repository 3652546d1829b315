"""Only what may be published stands on a leaderboard, and each lane by itself."""

from dataclasses import replace

import pytest

from bench.cli import main
from bench.errors import BenchError
from bench.published import imported, paper
from bench.report.eligible import eligible
from bench.report.writers.leaderboard import write

REAL = {"data": "music4all-onion", "builtin": False}


def test_what_may_not_be_published_is_left_out_with_the_reason(results):
    results.add("a", **REAL)
    results.add("b", table={"untrained": True}, **REAL)
    results.add("c", lane="mixed", **REAL)
    results.add("d")
    results.add("f", table={"synthetic": True}, **REAL)
    results.add("g", per_user=False, **REAL)
    results.add("h", table={"origin": [{"name": "h", "package": "other"}]}, **REAL)
    results.probe("a")  # built-in
    task = {"name": "gtzan", "spec": "gtzan", "primary": "accuracy"}
    about = {"name": "gtzan", "builtin": False, "complete": False, "fingerprint": {}, "collection": "x", "task": task}
    results.probe("e", data=about)
    found = [*results.read(), (results.folder / "x.json", imported(paper("recsys2024"))[0])]
    sorted_out = eligible(found)
    assert [record.extractor.name for _, record in sorted_out.entries] == ["a"]
    assert [(record.extractor.name, record.kind) for _, record in sorted_out.previews] == [("d", "run"), ("a", "probe")]
    reasons = sorted(problem.rpartition(": ")[2] for problem in sorted_out.refused)
    assert reasons == [
        "an extractor of another package declares no training data",
        "it was written without per-user values",
        "items of the task are missing",
        "mixed lanes",
        "published figures of others are no entries",
        "random weights",
        "weights trained on synthesised music alone",
    ]


def test_a_page_per_board_with_controls_and_an_index(results, tmp_path):
    results.comparison("corrected", **REAL)
    results.comparison("published", **REAL)
    results.add("demo-only")
    paths, problems = write(results.read(), tmp_path / "site")
    names = ["music4all-onion-global-ffffffff-k10-50.html", "music4all-onion-global-ffffffff-k10-50.csv"]
    text_of = {path.name: path.read_text(encoding="utf-8") for path in paths}
    assert {name for name in text_of if name.startswith("demo")} == {
        f"demo-global-ffffffff-k10-50.{ending}" for ending in ("html", "csv", "md", "tex")
    }
    page, preview, index = text_of[names[0]], text_of["demo-global-ffffffff-k10-50.html"], text_of["index.html"]
    assert page.index("Lane: corrected") < page.index("Lane: published")
    for text in ("none", "shuffled:of=mfcc", "chance"):
        assert f">{text}<" in page
    assert "demo-only" not in page
    assert "demo-only" in preview
    assert ">Preview</span>" in preview
    assert ">Preview</span>" not in page + index
    assert f'href="{names[0]}"' in index
    assert 'href="index.html"' in page
    assert f'href="{names[1]}"' in page
    assert index.index("Lane: corrected") < index.index("Lane: published")
    assert index.index("music4all-onion, global") < index.index("Preview: demo, global")
    assert problems == []
    again, _ = write(list(reversed(results.read())), tmp_path / "again")
    assert [path.read_bytes() for path in again][:2] == [path.read_bytes() for path in paths][:2]


def test_published_numbers_stand_apart_and_by_that_word(results, tmp_path):
    results.add("musicnn", **REAL, k=(10, 50))
    found = [(path, replace(r, split=replace(r.split, name="recsys2024"))) for path, r in results.read()]
    paths, _ = write(found, tmp_path)
    (page,) = (path for path in paths if path.name.startswith("music4all") and path.suffix == ".html")
    text = page.read_text(encoding="utf-8")
    assert "Published: RecSys 2024" in text
    assert text.index("Lane: corrected") < text.index("<h2>Published: RecSys 2024")


def test_built_in_data_alone_give_a_preview_with_a_watermark_on_every_page(results, tmp_path, capsys):
    results.add("a", table={"untrained": True})
    assert main(["leaderboard", str(results.folder), "--out", str(tmp_path / "site")]) == 0
    pages = list((tmp_path / "site").glob("*.html"))
    assert len(pages) == 4  # the front page, the board, the embedding and the recommender
    assert all(">Preview</span>" in page.read_text(encoding="utf-8") for page in pages)
    assert "left out" not in capsys.readouterr().err


def test_nothing_publishable_is_an_error_that_says_why(results, tmp_path, capsys):
    results.add("a", table={"untrained": True}, **REAL)
    with pytest.raises(BenchError, match=r"none of 1 records may stand on a leaderboard(?s:.)*random weights"):
        write(results.read(), tmp_path / "site")
    assert main(["leaderboard", str(results.folder), "--out", str(tmp_path / "site")]) == 1
    assert "random weights" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def test_many_that_may_not_be_published_are_counted_and_none_is_said(results, tmp_path, capsys):
    for name in "abcdefg":
        results.add(name, table={"untrained": True}, **REAL)
    with pytest.raises(BenchError, match=r"none of 7 records(?s:.)*and 2 more$"):
        write(results.read(), tmp_path / "site")
    (tmp_path / "nothing").mkdir()
    assert main(["leaderboard", str(tmp_path / "nothing"), "--out", str(tmp_path / "site")]) == 1
    assert "holds no result record" in capsys.readouterr().err
