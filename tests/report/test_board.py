import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import jsonschema
import numpy as np
import polars as pl
import pytest
from scipy.stats import ttest_rel

from bench.errors import BenchError
from bench.records import read, users_path, write
from bench.report import boards, significance
from bench.report.columns import main_grid
from bench.report.format import HEARD, MAIN
from bench.stats import LEAST_USERS, bootstrap, holm, paired_test, wilson


def only(results, problems=None):
    (board,) = boards(results.read(), problems)
    return board


def names(rows):
    return [(row.extractor, row.model) for row in rows]


def brief(board):
    return " ".join(note.text for note in board.notes if note.brief)


def every(board):
    return " ".join(note.text for note in board.notes)


def test_rows_stand_best_first_with_controls_apart_and_chance(results):
    results.comparison()
    block = only(results).blocks[0]
    assert names(block.rows) == [("mert:layer=7", "knn"), ("clap", "knn"), ("mfcc", "knn")]
    assert names(block.controls) == [("none", "popularity"), ("shuffled:of=mfcc", "knn")]
    assert block.chance.values["hot"]["ndcg@10"].mean == 0.01
    assert block.chance.first is None
    assert not block.chance.control


def test_values_and_intervals_of_a_single_seed_are_those_of_the_record(results):
    path = results.add()
    (row,) = only(results).rows
    value = row.values["hot"]["ndcg@50"]
    record = read(path)
    assert value.mean == record.metrics["hot"]["ndcg@50"]
    assert [value.low, value.high] == list(record.intervals["hot"]["ndcg@50"])


def test_these_tests_use_records_of_the_published_schema(results):
    path = results.add()
    schema = json.loads(files("bench.records").joinpath("record.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads(path.read_text(encoding="utf-8")), schema)


def test_lanes_never_share_a_block(results):
    results.comparison("corrected")
    results.comparison("published")
    results.add(lane="mixed")
    board = only(results)
    assert [block.lane for block in board.blocks] == ["corrected", "published", "mixed"]
    assert [len(block.rows) for block in board.blocks] == [3, 3, 1]
    for block in board.blocks:
        assert all(record.lane == block.lane for row in block.all for _, record in row.records)
    assert "There is no control in the mixed lane" in brief(board)


def test_other_data_split_or_k_is_another_board(results):
    results.add()
    results.add(data="yambda", builtin=False)
    results.add(k=(20,))
    path, record = results.read()[0]
    other = replace(record, split=replace(record.split, fingerprint="0" * 64))
    found = boards([*results.read(), (path.with_name("other.json"), other)])
    assert [(b.data, b.fingerprint[0], b.k) for b in found] == [
        ("demo", "0", tuple(record.k)),
        ("demo", "f", (10, 50)),
        ("demo", "f", (20,)),
        ("yambda", "f", (10, 50)),
    ]
    assert [b.builtin for b in found] == [True, True, True, False]
    assert "not for leaderboards" in brief(found[0])
    assert "not for leaderboards" not in every(found[3])


def test_more_cutoffs_of_the_same_main_k_share_a_board(results):
    results.add("a", k=(10,))
    results.add("b", k=(10, 50, 5))
    results.add("c", k=(10, 5))
    board = only(results)
    assert board.k == (10, 5, 50)
    assert {row.extractor: row.mean("hot", "ndcg@5") is None for row in board.rows} == {
        "a": True,
        "b": False,
        "c": False,
    }
    assert board.blocks[0].chance.mean("hot", "ndcg@50") == 0.01
    assert "It differs between rows" not in every(board)
    assert "hot" not in board.blocks[0].undecided


def test_the_same_cell_with_fewer_cutoffs_is_no_second_row(results):
    kept = results.add("a", k=(10, 5))
    path, record = results.read()[0]
    fewer = {w: {m: v for m, v in values.items() if m.endswith("@10")} for w, values in record.metrics.items()}
    twin = replace(record, k=(10,), metrics=fewer)
    problems = []
    (board,) = boards([(path.with_name("other.json"), twin), (kept, record)], problems)
    assert [row.records for row in board.rows] == [[(kept, record)]]
    assert board.rows[0].mean("hot", "ndcg@5") == record.metrics["hot"]["ndcg@5"]
    assert problems == []
    fewer["hot"]["ndcg@10"] += 0.01  # other inputs: that is told
    boards([(path.with_name("other.json"), twin), (kept, record)], problems)
    assert len(problems) == 1


def test_paths_in_names_are_shown_in_full_only_where_they_tell_rows_apart(results):
    for text in ("/a/v.npy,id=x", "(/a+b/w.npy)", "/a/x.npy", "/b/x.npy"):
        results.add(f"precomputed:path={text}", table={"settings": {"path": text}})
    results.add("shuffled:of=(precomputed:path=/a/v.npy)+mfcc")
    assert {label for label, _ in names(only(results).rows)} == {
        "precomputed:path=v.npy,id=x",
        "precomputed:path=(w.npy)",
        "precomputed:path=/a/x.npy",
        "precomputed:path=/b/x.npy",
        "shuffled:of=(precomputed:path=v.npy)+mfcc",
    }


def test_views_and_settings_are_rows_of_their_own(results):
    results.add("mert")
    results.add("mert", table={"view": {"layers": ["7"], "treat": ""}})
    results.add("mert", table={"view": {"layers": [None], "treat": "l2+pca:8"}})
    results.add("mert", table={"settings": {"changed": 1}, "view": {"layers": ["7"], "treat": ""}})
    labels = names(only(results).rows)
    assert len(set(labels)) == 4
    assert ("mert (l2+pca:8)", "knn") in labels
    assert sum(extractor == "mert layer 7" for extractor, _ in labels) == 2


def test_seeds_are_averaged_and_resampled_with_the_users(results):
    paths = [
        results.add(model="net", level=level, seed=seed, deterministic=False)
        for seed, level in enumerate((0.1, 0.3, 0.5))
    ]
    (row,) = only(results).rows
    value = row.values["hot"]["ndcg@10"]
    each = [read(path) for path in paths]
    assert value.mean == pytest.approx(np.mean([r.metrics["hot"]["ndcg@10"] for r in each]))
    tables = [
        pl.read_parquet(users_path(path)).filter(pl.col("candidates") == "hot")["ndcg@10"].to_numpy() for path in paths
    ]
    users_alone = bootstrap(np.mean(tables, axis=0))
    # Seeds differ more than users here, so an interval over users alone would be far too narrow.
    assert value.high - value.low > 2 * (users_alone.high - users_alone.low)
    assert not row.spanned
    assert not row.once
    assert "over users and seeds: a percentile bootstrap, of several records Student's t" in every(only(results))


def test_seeds_without_per_user_files_span_their_intervals_and_say_so(results):
    paths = [results.add(seed=seed, level=0.1 + seed / 5, per_user=seed == 0) for seed in (0, 1)]
    board = only(results)
    (row,) = board.rows
    bounds = [read(path).intervals["hot"]["recall@10"] for path in paths]
    value = row.values["hot"]["recall@10"]
    assert (value.low, value.high) == (min(b[0] for b in bounds), max(b[1] for b in bounds))
    assert row.spanned
    assert "‡ no usable per-user files" in brief(board)


def test_bold_is_what_cannot_be_told_from_the_best(results):
    results.comparison()
    board = only(results)
    by_name = {row.extractor: row for row in board.rows}
    best, level, worse = by_name["clap"], by_name["mert:layer=7"], by_name["mfcc"]
    columns = {row.extractor: users_of(row, "hot") for row in board.rows}
    for metric in ("ndcg@10", "recall@50", "hitrate@10"):
        top = max((best, level, worse), key=lambda row: row.mean("hot", metric))
        others = [row for row in (best, level, worse) if row is not top]
        pairs = [(columns[top.extractor][metric], columns[row.extractor][metric]) for row in others]
        p = {str(i): 1.0 if (a == b).all() else float(ttest_rel(a, b).pvalue) for i, (a, b) in enumerate(pairs)}
        assert [row.values["hot"][metric].best for row in others] == [q > 0.05 for q in holm(p).values()]
        assert top.values["hot"][metric].best
    assert best.values["hot"]["ndcg@10"].best
    assert level.values["hot"]["ndcg@10"].best
    assert not worse.values["hot"]["ndcg@10"].best
    assert not any(v.best for row in board.blocks[0].controls for v in row.values["hot"].values())
    assert "not told apart from it" in brief(board)


def test_many_rows_are_corrected_for_their_number():
    """What one comparison would call worse, twenty alike ones may not."""
    rng = np.random.default_rng(3)
    a = rng.normal(0.31, 1, (1, 60))
    p = paired_test(a, np.zeros((1, 60))).p
    assert 0.005 < p < 0.05
    assert min(holm({str(i): p for i in range(20)}).values()) > 0.05


def users_of(row, where):
    frame = pl.read_parquet(users_path(row.records[0][0])).filter(pl.col("candidates") == where).sort("user")
    return {name: frame[name].to_numpy() for name in frame.columns[3:]}


def test_bold_looks_at_users_by_name_not_by_place(results):
    results.comparison()
    before = [row.values for row in only(results).rows]
    path = results.paths[0]
    shuffled = pl.read_parquet(users_path(path)).sample(fraction=1.0, shuffle=True, seed=1)
    write(read(path), results.folder, shuffled)
    assert [row.values for row in only(results).rows] == before


def test_reading_few_rows_at_a_time_changes_nothing(results, monkeypatch):
    results.comparison()
    results.add(model="net", seed=1)
    results.add(model="net", seed=2)
    at_once = only(results)
    monkeypatch.setattr(significance, "_RESAMPLED", 0)
    monkeypatch.setattr(significance, "_HELD", 0)
    for old, new in zip(at_once.rows, only(results).rows, strict=True):
        for metric, value in old.values["hot"].items():
            again = new.values["hot"][metric]
            assert (again.low, again.high) == pytest.approx((value.low, value.high), abs=1e-12)
            assert again.best == value.best


@pytest.mark.parametrize("how", ["absent", "garbage", "foreign", "other users", "more rows", "fifo", "edited"])
def test_a_row_without_usable_per_user_values_alone_loses_its_marks(results, how):
    results.comparison()
    kept = results.paths[2]
    file = users_path(results.paths[1])  # of clap, which is level with the best
    whole = pl.read_parquet(file)
    file.unlink()
    if how == "garbage":
        file.write_bytes(b"not parquet")
    elif how == "foreign":
        file.write_bytes(users_path(kept).read_bytes())
    elif how == "other users":
        whole.with_columns(pl.col("user") + "x").write_parquet(file)
    elif how == "more rows":
        pl.concat([whole, whole]).write_parquet(file)
    elif how == "fifo":
        os.mkfifo(file)
    elif how == "edited":
        whole.with_columns(pl.col("ndcg@10").shuffle(seed=1)).write_parquet(file)  # the same mean
    problems = []
    board = only(results, problems)
    by_name = {row.extractor: row for row in board.rows}
    assert not any(v.best for values in by_name["clap"].values.values() for v in values.values())
    assert by_name["mert:layer=7"].values["hot"]["ndcg@10"].best
    assert not by_name["mfcc"].values["hot"]["ndcg@10"].best
    assert "never bold: clap × knn." in brief(board)
    assert bool(problems) == (how != "absent")
    assert all(str(file) in problem for problem in problems)


def test_nothing_is_bold_where_a_single_row_can_be_tested(results):
    results.comparison()
    for path in results.paths[:2]:
        users_path(path).unlink()
    board = only(results)
    assert not any(v.best for row in board.rows for values in row.values.values() for v in values.values())
    assert "Nothing is compared with the best row" in brief(board)


def test_of_few_users_there_is_no_interval_and_no_mark(results):
    few = LEAST_USERS - 1
    for name, level in (("clap", 0.6), ("mert", 0.5), ("mfcc", 0.1)):
        results.add(name, level=level, users={"hot": few, "cold": LEAST_USERS})
    results.add("mfcc", "net", level=0.2, seed=0, users={"hot": few, "cold": LEAST_USERS})
    results.add("mfcc", "net", level=0.3, seed=1, users={"hot": few, "cold": LEAST_USERS})
    (block,) = only(results).blocks
    for row in block.all:
        assert all((v.low, v.high, v.best) == (None, None, False) for v in row.values["hot"].values())
        assert row.values["cold"]["ndcg@10"].low is not None
    assert {where: block.undecided.get(where) for where in ("hot", "cold")} == {
        "hot": f"there are fewer than {LEAST_USERS} users",
        "cold": None,
    }
    assert block.rows[0].values["cold"]["ndcg@10"].best


def test_values_that_are_all_the_same_have_no_interval_without_width(results):
    zero = {"hot": {"hitrate@10": (0.0, 0.0), "ndcg@10": (0.3, 0.3)}}
    means = {"hot": {"hitrate@10": 0.0, "ndcg@10": 0.3}}
    results.add(sets=("hot",), intervals=zero, metrics=means, per_user=False)
    (row,) = only(results).rows
    assert (row.values["hot"]["hitrate@10"].low, row.values["hot"]["hitrate@10"].high) == wilson(0.0, 60)
    assert row.values["hot"]["ndcg@10"].low is None


def test_users_that_differ_from_the_best_row_are_counted(results):
    """A row that a handful of users tell from the best is undecided, and says so."""
    paths = [results.add(name, sets=("hot",), level=0.3) for name in ("a", "b", "c")]
    best = pl.read_parquet(users_path(paths[0]))
    for path, changed in zip(paths[1:], (3, 40), strict=True):
        record = read(path)
        frame = best.with_columns(
            pl.when(pl.int_range(pl.len()) < changed).then(0.0).otherwise(pl.col("ndcg@10")).alias("ndcg@10")
        )
        record.metrics["hot"].update({metric: frame[metric].mean() for metric in record.metrics["hot"]})
        write(record, results.folder, frame)
    board = only(results)
    values = {row.extractor: row.values["hot"]["ndcg@10"] for row in board.rows}
    assert [values[name].evidence.differ for name in "abc"] == [None, 3, 40]
    assert [values[name].best for name in "abc"] == [True, True, False]
    assert "hot 3 to 40 of 60" in brief(board)
    assert "reach p 0.05: b × knn (hot 3)." in brief(board)
    assert values["b"].evidence.verdict == "undecided"


def test_a_row_on_other_users_alone_loses_its_marks(results):
    results.comparison(sets=("hot",))
    path = results.add("other", level=0.4, sets=("hot",))
    frame = pl.read_parquet(users_path(path)).with_columns(pl.col("user") + "x")
    write(read(path), results.folder, frame)
    board = only(results)
    values = {row.extractor: row.values["hot"]["ndcg@10"] for row in board.blocks[0].rows}
    assert {name for name, value in values.items() if value.best} == {"clap", "mert:layer=7"}
    assert "never bold: other × knn." in brief(board)


def test_a_metric_that_a_per_user_file_lacks_is_unmarked_in_that_row_alone(results):
    results.comparison(sets=("hot",))
    path = results.paths[0]
    write(read(path), results.folder, pl.read_parquet(users_path(path)).drop("ndcg@10"))
    values = {row.extractor: row.values["hot"] for row in only(results).blocks[0].rows}
    assert values["clap"]["ndcg@10"].best
    assert not values["mert:layer=7"]["ndcg@10"].best
    assert values["mert:layer=7"]["ndcg@50"].best


def test_a_single_real_row_is_not_called_best(results):
    results.add()
    results.add("none", "popularity", level=0.1, control=True)
    board = only(results)
    assert not any(v.best for row in board.rows for v in row.values["hot"].values())
    assert "not told apart" not in every(board)


def test_a_control_that_is_not_beaten_is_named(results):
    results.add(level=0.1)
    results.add("none", "popularity", level=0.5, control=True)
    text = brief(only(results))
    assert "On hot NDCG@10 (corrected) no row beats the control none × popularity." in text
    assert "On cold NDCG@10" in text


def test_a_control_that_ranks_nothing_is_no_strong_control(results):
    results.add(level=0.1)
    results.add("none", "popularity", level=0.05, control=True, sets=("hot",), unranked=["cold"])
    board = only(results)
    text = brief(board)
    assert "No figures on cold for none × popularity" in text
    assert "no row beats" not in text
    (control,) = board.blocks[0].controls
    assert control.mean("cold", "ndcg@10") is None
    assert board.sets == ["cold", "hot"]


def test_a_set_that_some_rows_lack_is_absent_there(results):
    results.add("clap", level=0.3)
    results.add("mfcc", level=0.2, sets=("hot",))
    board = only(results)
    assert board.sets == ["cold", "hot"]
    assert board.blocks[0].rows[1].mean("cold", "ndcg@10") is None
    assert board.blocks[0].rows[0].mean("cold", "ndcg@10") is not None


def test_a_metric_that_one_seed_lacks_is_absent(results):
    results.add(seed=0)
    path = results.add(seed=1)
    record = read(path)
    del record.metrics["hot"]["mrr@10"]
    found = [(p, record if p == path else r) for p, r in results.read()]
    (row,) = boards(found)[0].rows
    assert "mrr@10" not in row.values["hot"]
    assert "mrr@50" in row.values["hot"]


def test_single_training_untrained_and_imported_are_marked(results):
    results.add("a", "net", deterministic=False)
    results.add("b", table={"untrained": True})
    results.add("c", kind="imported", per_user=False)
    text = brief(only(results))
    assert "† a single seed" in text
    assert "¶ random weights" in text
    assert "§ published figures" in text


def test_warnings_contamination_and_coverage_become_notes(results):
    results.add("a", level=0.3, data="music4all-onion", warnings=("twins in the catalogue", "other"))
    results.add(
        "b",
        level=0.1,
        data="music4all-onion",
        warnings=("twins in the catalogue",),
        table={"coverage": 0.99951, "trained_on": ["Music4All", "MSD"]},
    )
    text = brief(only(results))
    assert text.count("twins in the catalogue") == 1
    assert "Warning (a × knn, b × knn): twins" in text
    assert "Warning (a × knn): other" in text
    assert "b 99.9 % of the tracks have a vector. The others are never recommended there and count as missed" in text
    assert "of its own" not in text
    assert "trained on music4all-onion itself: b (Music4All)" in text
    assert "Declared training data: b: MSD, Music4All" in every(only(results))


def test_users_and_candidates_that_differ_are_given_as_a_range(results):
    results.add("a")
    results.add("b", candidates={"hot": 250, "cold": 50}, chance={"hot": {"ndcg@10": 0.02}, "cold": {}})
    board = only(results)
    assert "Users: cold 40, hot 60. Candidates: cold 50, hot 250 to 300." in brief(board)
    assert board.blocks[0].chance.mean("hot", "ndcg@10") == 0.01
    assert "It differs between rows" in every(board)


def test_unreadable_and_damaged_records_are_listed_never_fatal(results, altered):
    path = results.add()
    (results.folder / "broken.json").write_text("{")
    damaged = {
        "extractor.spec": {"extractor": {"name": "mfcc"}},
        "metrics.tepid": {"metrics": {"tepid": {"ndcg@10": 0.1}}},
        "metrics.hot": {"metrics": {"hot": {"ndcg": 0.1}}},
        "metrics": {"metrics": None},
        "lane": {"lane": "fast"},
        "k": {"k": []},
    }
    bad = [altered(path, lambda c, new=new: c.update(new), f"bad{at}.json") for at, new in enumerate(damaged.values())]
    problems = []
    found = boards(results.read(), problems)
    assert len(found) == 1
    assert len(found[0].rows) == 1
    assert len(problems) == 1 + len(bad)
    assert all(any(str(one) in problem for problem in problems) for one in bad)


def test_the_same_cell_twice_counts_once(results):
    path = results.add()
    record = read(path)
    for again, word in ((record, "repeats"), (replace(record, inputs_sha256="1" * 64), "with other inputs")):
        problems = []
        (board,) = boards([(path, record), (path.with_name("z.json"), again)], problems)
        assert [p for p, _ in board.rows[0].records] == [path]
        (text,) = problems
        assert text.startswith(str(path.with_name("z.json")))
        assert word in text


def test_errors_are_passed_on_without_a_list(results):
    assert boards([(Path("x"), BenchError("x is no record"))]) == []


def test_reports_import_no_torch():
    code = "import bench.report, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_column_says_which_tested_tracks_were_heard_where_that_is_known(results):
    def column():
        grid = main_grid(only(results), only(results).blocks[0], MAIN)
        heads = [head.heading for head in grid.heads]
        if "Heard" not in heads:
            return None
        return {row[0].text: row[heads.index("Heard")].text for section in grid.sections[:1] for row in section.rows}

    results.add("mfcc")
    assert column() is None
    results.add("cnn", table={"heard_share": 0.0})
    results.add("cnn:weights=b", table={"heard_share": 0.0001})
    assert column() == {"mfcc": "–", "cnn": "0 %", "cnn:weights=b": "0.1 %"}
    assert HEARD in brief(only(results))
