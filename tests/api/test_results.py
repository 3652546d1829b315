"""Results show what the records say, and compare rows over the same listeners."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import bench
from bench.errors import BenchError
from bench.records import read_all, users_path

OWN, OTHER = "mfcc x knn", "random x knn"


def test_a_folder_gives_what_the_call_returned(world):
    found = bench.load_results(world.results)
    assert len(found) == len(world.found)
    assert found.to_polars().equals(world.found.to_polars())
    assert not found.problems


def test_the_long_frame_has_the_digits_of_the_records(world):
    frame = world.found.to_polars()
    for _, record in read_all(world.results):
        mine = frame.filter(extractor=record.extractor.spec, model=record.recommender.spec)
        for where, recorded in record.metrics.items():
            shown = {f"{name}@{k}": value for name, k, value in mine.filter(set=where)["metric", "k", "value"].rows()}
            assert {name: shown[name] for name in recorded} == recorded
    assert world.found.to_pandas()["value"].tolist() == frame["value"].to_list()


def test_the_table_is_sorted_and_says_what_controls_say(world):
    table = world.found.table()
    board = world.found.boards[0]
    where, metric = board.ranked_by
    (own,) = table.filter(~pl.col("control")).to_dicts()
    (row,) = (row for row in board.rows if not row.control)
    assert own["extractor"] == "mfcc"
    assert own[f"{where} {metric}"] == row.mean(where, metric)
    assert own[f"{where} x chance"] == row.times_chance(where, metric)
    assert own[f"{where} controls"] == row.controls[where].verdict
    controls = table.filter("control")[f"{where} {metric}"].drop_nulls().to_list()
    assert controls == sorted(controls, reverse=True)
    assert len(table) == len(board.rows)


def test_two_rows_are_compared_listener_by_listener(world):
    found, turned = world.found.compare(OWN, OTHER), world.found.compare(OTHER, OWN)
    where, metric = world.found.boards[0].ranked_by
    assert (found.candidates, found.metric) == (where, metric)
    assert found.difference == pytest.approx(found.mean_a - found.mean_b)
    assert found.low < found.difference < found.high
    assert 0 < found.p <= 1
    assert (turned.difference, turned.low, turned.high) == pytest.approx((-found.difference, -found.high, -found.low))
    assert (turned.better, turned.worse, turned.p) == (found.worse, found.better, pytest.approx(found.p))
    values = {}
    for path, record in read_all(world.results):
        if users_path(path).exists():
            users = pl.read_parquet(users_path(path)).filter(pl.col("candidates").cast(pl.String) == where)
            values[f"{record.extractor.spec} x {record.recommender.spec}"] = users.sort("user")[metric].to_numpy()
    gains = values[OWN] - values[OTHER]
    assert found.difference == pytest.approx(gains.mean())
    assert (found.better, found.worse, found.users) == ((gains > 0).sum(), (gains < 0).sum(), len(gains))


def test_a_row_may_be_named_by_what_it_alone_has(world):
    assert world.found.compare("mfcc", "popularity", candidates="mixed").a == OWN
    with pytest.raises(BenchError, match="could be"):
        world.found.compare("knn", OWN)
    with pytest.raises(BenchError, match="Did you mean"):
        world.found.compare("mfcc x kn", OTHER)
    with pytest.raises(BenchError, match="ndcg@7"):
        world.found.compare(OWN, OTHER, metric="ndcg@7")
    with pytest.raises(BenchError, match="board 3"):
        world.found.compare(OWN, OTHER, board=3)


def test_rows_without_values_of_single_users_are_not_compared(world, tmp_path):
    for path, record in read_all(world.results):
        target = tmp_path / record.path
        target.parent.mkdir(parents=True)
        target.write_bytes(path.read_bytes())
    with pytest.raises(BenchError, match="cannot be compared"):
        bench.load_results(tmp_path).compare(OWN, OTHER)


def test_a_notebook_shows_every_row(world):
    page = world.found._repr_html_()
    for row in world.found.boards[0].rows:
        assert page.count(row.model) >= 2  # in the short table and below it
    assert "<script" not in page
    assert "<body" not in page
    assert repr(world.found).startswith("Results(")


def test_a_hostile_name_is_text(world):
    name = "<img src=x onerror=alert(1)>"
    path, record = world.found.records[0]
    hostile = bench.Results([(path, replace(record, data=replace(record.data, name=name)))])
    page = hostile._repr_html_()
    assert "&lt;img" in page
    assert "<img" not in page


@pytest.mark.parametrize("name", ["a/b", "", ".hidden", "a,b", "a+b"])
def test_a_name_that_no_file_or_spec_can_have_is_refused(world, tmp_path, name):
    with pytest.raises(BenchError, match="name"):
        bench.evaluate(["a"], np.zeros((1, 2)), world.options["listens"], name=name, cache=tmp_path)


def test_figures_are_drawn(world, tmp_path):
    figures = world.found.plot()
    assert [path.name for path in figures.save(tmp_path)] == [f"{plot.name}.svg" for plot in figures]
    assert figures
    assert figures._repr_html_().count("<figure") == len(figures)


def test_a_folder_without_records_is_refused(tmp_path):
    with pytest.raises(BenchError, match="no result record"):
        bench.load_results(tmp_path)
