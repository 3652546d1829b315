"""What keeps a record off leaderboards, and what is said beside it."""

from dataclasses import replace

from bench.records import Training
from bench.report.eligible import eligible, reasons, remarks

REAL = {"data": "music4all-onion", "builtin": False}


def only(results):
    ((path, record),) = results.read()
    return path, record


def test_a_training_that_time_ended_is_refused_and_marked_in_a_preview(results):
    results.add("a", **REAL)
    path, record = only(results)
    assert reasons(record) == []
    cut = replace(record, recommender=replace(record.recommender, training=Training(stopped="deadline")))
    assert len(reasons(cut)) == 1
    found = eligible([(path, cut), (path, replace(cut, data=replace(cut.data, builtin=True)))])
    assert (len(found.entries), len(found.previews), len(found.refused)) == (0, 1, 1)
    assert any("max-time" in line for line in found.marked)


def test_rows_at_or_below_chance_are_marked(results):
    results.add("a", **REAL)
    _, record = only(results)
    metric = f"ndcg@{record.k[0]}"
    above = len(remarks(record))
    chance = {where: {metric: means[metric]} for where, means in record.metrics.items()}
    assert len(remarks(replace(record, chance=chance))) == above + len(chance)


def test_values_that_are_gone_are_refused(results):
    results.add("a", **REAL)
    path, record = only(results)
    path.with_suffix(".users.parquet").unlink()
    assert not eligible([(path, record)]).entries
