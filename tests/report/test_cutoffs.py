"""Metrics at other cut-offs from ranks: the same numbers as those of a run with these cut-offs."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from bench.cli import main
from bench.errors import BenchError
from bench.records import ranks_path, read_all, users_path, write
from bench.records.ranks import read_ranks
from bench.report import boards
from bench.report.cutoffs import at_cutoffs
from bench.synthetic import planted


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Records by k of the same cells: a tenth of the items has no vector, and some have no known artist."""
    from bench.run.options import Data, Environment
    from bench.run.progress import Ui
    from bench.run.recommend.experiment import RecommendExperiment
    from bench.run.recommend.request import RecommendRequest

    folder = tmp_path_factory.mktemp("run")
    made = planted(80, 200, 8, seed=1, plays=8_000)
    made.listens.write_parquet(folder / "plays.parquet")
    there = np.random.default_rng(0).random(len(made.ids)) < 0.9
    np.save(folder / "v.npy", made.tables["aligned"][there])
    (folder / "v.ids.txt").write_text("\n".join(np.array(made.ids)[there]))
    artists = [None if at % 7 == 0 else f"artist {at % 40}" for at in range(len(made.ids))]
    pl.DataFrame({"track_id": made.ids, "artist": artists}).write_parquet(folder / "meta.parquet")

    def run(k):
        request = RecommendRequest(
            data=Data(listens=str(folder / "plays.parquet"), meta=str(folder / "meta.parquet")),
            extractors=(f"precomputed:path=({folder}/v.npy)",),
            models=("knn", "popularity"),
            split=f"global_temporal:cut={made.cut.isoformat()}",
            k=k,
            seeds=(0, 1),
            reference=None,
        )
        results = folder / "-".join(map(str, k))
        place = Environment(cache=folder / "cache", results=results, device="cpu")
        RecommendExperiment(request, place, Ui(log=lambda _: None)).open().do()
        return list(read_all(results))

    return {k: run(k) for k in ((10, 5), (3, 20))}


def cells(records):
    return {(record.extractor.spec, record.recommender.spec, record.seed): record for _, record in records}


def test_a_record_at_other_cutoffs_is_that_of_a_run_with_them(runs):
    problems = []
    found, expected = cells(at_cutoffs(runs[10, 5], (3, 20), problems)), cells(runs[3, 20])
    assert problems == []
    assert found.keys() == expected.keys()
    assert any(record.unranked for record in expected.values())
    for key, record in expected.items():
        for part in ("metrics", "intervals", "chance", "users", "candidates", "k", "unranked"):
            assert getattr(found[key], part) == getattr(record, part), (key, part)
        assert set(record.metrics) == {"hot", "cold", "mixed"} - set(record.unranked)
        assert not any(found[key].beyond.values())
    assert min(record.extractor.coverage for record in expected.values()) < 0.95


def test_the_board_is_that_of_a_run_with_them(runs):
    (found,) = boards(at_cutoffs(runs[10, 5], (3, 20), []), problems := [])
    (expected,) = boards(runs[3, 20], [])
    assert problems == []
    assert [row.values for row in found.rows] == [row.values for row in expected.rows]
    assert [block.chance for block in found.blocks] == [block.chance for block in expected.blocks]


def test_recorded_cutoffs_are_unchanged(runs):
    for (_, found), (_, record) in zip(at_cutoffs(runs[10, 5], (10, 5), []), runs[10, 5], strict=True):
        assert found == record


def test_no_cutoff_reaches_the_number_of_candidates_with_a_vector(runs):
    (path, record) = next(found for found in runs[10, 5] if found[1].recommender.name == "knn")
    listable = pl.read_parquet(users_path(path)).filter(candidates="cold")["listable"][0]
    assert listable < record.candidates["cold"]
    for k, sets in ((listable - 1, {"hot", "cold", "mixed"}), (listable, {"hot"})):
        ((_, found),) = at_cutoffs([(path, record)], (k,), [])
        assert set(found.metrics) == sets


def test_a_record_without_ranks_is_left_out_except_where_it_was_measured(runs, tmp_path):
    _, record = runs[10, 5][0]
    old = write(replace(record, ranks=None), tmp_path)
    problems = []
    ((_, found),) = at_cutoffs([old], (5, 20), problems)
    assert found.k == (5,)
    assert {metric for values in found.metrics.values() for metric in values} == {
        metric for values in record.metrics.values() for metric in values if metric.endswith("@5")
    }
    assert at_cutoffs([old], (20, 5), problems) == []
    assert [str(old[0]) in problem for problem in problems] == [True, True]


def test_unreadable_records_and_published_numbers_stay(results):
    wrong = (results.folder / "x.json", BenchError("x"))
    results.add(kind="imported", per_user=False)
    assert at_cutoffs([wrong, *results.read()], (10,), [])[0] == wrong
    assert at_cutoffs(results.read(), (10,), [])[0][1].metrics["hot"].keys() == {
        metric for metric in results.read()[0][1].metrics["hot"] if metric.endswith("@10")
    }


def damaged(name, change, runs, tmp_path):
    """Return a record beside which one column is changed, with the hash of the changed file."""
    path, record = next(found for found in runs[10, 5] if found[1].recommender.name == "knn")
    rows = pl.read_parquet(users_path(path))
    return write(record, tmp_path, rows.with_columns(change(pl.col(name)).alias(name)), read_ranks(path, record))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("relevant", lambda c: c + 1),
        ("free", lambda c: c * 0),
        ("free", lambda c: c.cast(pl.String) + "x"),
        ("listable", lambda c: c + 10_000),
        ("listable", lambda c: pl.lit(None)),
        ("candidates", lambda c: pl.lit("hot")),
    ],
)
def test_numbers_of_candidates_that_do_not_fit_cost_the_record(name, change, runs, tmp_path):
    problems = []
    assert at_cutoffs([damaged(name, change, runs, tmp_path)], (7,), problems) == []
    assert len(problems) == 1


def test_the_command_reports_other_cutoffs_and_names_what_is_left_out(runs, tmp_path, capsys):
    for path, record in runs[10, 5]:
        write(record, tmp_path / "r", pl.read_parquet(users_path(path)), read_ranks(path, record))
    lost = next(tmp_path.rglob("seed1.ranks.parquet"))
    lost.unlink()
    assert main(["report", str(tmp_path / "r"), "--k", "7,3", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert str(lost.with_name("seed1.json")) in said.err
    text = (tmp_path / "out" / "report.md").read_text()
    assert "k = 7, 3" in text
    assert "seed1.json" in text
    assert main(["leaderboard", str(tmp_path / "r"), "--k", "7", "--out", str(tmp_path / "site")]) == 0
    assert any("k = 7" in page.read_text() for page in (tmp_path / "site").rglob("*.html"))


def test_ranks_stand_beside_the_record_by_name(runs):
    path, _ = runs[10, 5][0]
    assert ranks_path(path) == path.with_name(path.stem + ".ranks.parquet")
    assert ranks_path(path).is_file()
