"""Evidence beside every compared row: boards whose verdicts are known because they are planted."""

from dataclasses import replace

import numpy as np
import pytest

from bench.cli import main
from bench.records import Family, ranks_path, read, write
from bench.report import boards
from bench.report.evidence_grid import evidence_grid
from bench.report.power import comparisons
from bench.stats import PairScores, difference, holm, pair_weights, two_way_tests

METRIC = "ndcg@10"
U, I = 120, 30  # noqa: E741


def ranks(skill, seed=0, users=U, items=I):
    """Ranks of items among 1,000: of a share `skill` of pairs, which a seed chooses, among the first ten."""
    rng = np.random.default_rng(seed)
    near = rng.random((users, items)) < skill
    scores = rng.random((users, 980)).argsort(axis=1)[:, :items] + 11
    places = rng.random((users, 10)).argsort(axis=1) + 1
    order = np.cumsum(near, axis=1)
    near &= order <= 10
    return np.where(near, np.take_along_axis(places, np.minimum(order, 10) - 1, axis=1), scores)


def only(results):
    problems = []
    (board,) = boards(results.read(), problems)
    assert problems == []
    return board


def evidence(board, where="cold", metric=METRIC):
    return {row.extractor: one for row in board.rows if (one := row.evidence(where, metric))}


def control(results, of="a", where="cold", skill=0.01):
    for seed in range(5):
        results.ranked(f"shuffled:of={of}", {where: ranks(skill, 100 + seed)}, seed=seed, control=True)


def test_equal_rows_are_equivalent_or_without_a_margin_not_told_apart(results):
    for name in ("a", "b"):
        results.ranked(name, {"cold": ranks(0.2)})
    one = evidence(only(results))["b"]
    assert (one.verdict, one.differ, one.p, one.margin) == ("not told apart", 0, 1.0, None)
    control(results)
    board = only(results)
    one = evidence(board)["b"]
    assert (one.verdict, one.differ) == ("equivalent", 0)
    assert one.margin == pytest.approx(0.1 * evidence(board)["a"].gain.mean)
    text = str(evidence_grid(board, board.blocks[0]))
    assert "no difference" not in text


def test_a_clear_difference_is_told_apart_and_stands_beside_the_gain_over_shuffled(results):
    results.ranked("a", {"cold": ranks(0.25, 1)})
    results.ranked("b", {"cold": ranks(0.1, 2)})
    control(results)
    board = only(results)
    found = evidence(board)
    assert [found[name].verdict for name in "ab"] == ["best", "told apart"]
    assert found["b"].two_way
    assert found["b"].gain is None  # only a has shuffled rows
    assert found["a"].gain.mean > 0.05
    a, b = (row.values["cold"][METRIC] for row in board.rows[:2])
    assert found["b"].difference.mean == pytest.approx(b.mean - a.mean)
    assert not b.best


def test_few_users_that_differ_leave_it_undecided(results):
    table = ranks(0.2)
    results.ranked("a", {"hot": table})
    worse = table.copy()
    worse[:3] = np.where(worse[:3] <= 10, worse[:3] + 500, worse[:3])
    results.ranked("b", {"hot": worse})
    one = evidence(only(results), "hot")["b"]
    assert (one.verdict, one.differ) == ("undecided", 3)


def test_a_small_difference_within_the_margin_is_equivalent_and_beyond_it_not_told_apart(results):
    table = ranks(0.25, 3)
    results.ranked("a", {"hot": table})
    swapped = table.copy()
    rng = np.random.default_rng(1)
    for row in swapped[:60]:  # some users get their first and second places the other way round
        one, two = rng.permutation(np.flatnonzero(row <= 10))[:2]
        row[[one, two]] = row[[two, one]]
    swapped[60:90] = np.where(swapped[60:90] == 10, 300, swapped[60:90])
    results.ranked("b", {"hot": swapped})
    control(results, where="hot")
    one = evidence(only(results), "hot")["b"]
    assert one.differ >= 6
    assert abs(one.difference.mean) < one.margin
    assert one.verdict == ("told apart" if one.p <= 0.05 else "equivalent")
    results.ranked("c", {"hot": ranks(0.25, 6)})
    one = evidence(only(results), "hot")["c"]
    assert one.verdict == "not told apart"
    assert one.difference.interval().low < -one.margin


def test_cold_rows_that_differ_on_one_artist_are_not_told_apart(results):
    """Every listener finds the tracks of one artist: thousands of listeners are one observation of artists."""
    table = ranks(0.15, 5)
    better = table + 1
    better[:, 0] = 1
    results.ranked("a", {"cold": better}, artists=10)
    results.ranked("b", {"cold": table}, artists=10)
    one = evidence(only(results))["b"]
    results.ranked("a", {"hot": better})
    results.ranked("b", {"hot": table})
    assert one.two_way
    assert one.difference.clusters.variance > 5 * one.difference.listeners.variance
    over_users = evidence(only(results), "hot")["b"]
    assert over_users.verdict == "told apart"
    assert one.p > 10 * over_users.p


def test_tests_and_intervals_are_those_of_the_statistics(results):
    tables = {"a": ranks(0.2, 6), "b": ranks(0.18, 7), "c": ranks(0.16, 8)}
    for name, table in tables.items():
        results.ranked(name, {"cold": table}, artists=12)
    found = evidence(only(results))
    listener, item = np.divmod(np.arange(U * I), I)
    gains = 1 / np.log2(np.arange(2, 12))

    def scores(table):
        credit = np.where(table <= 10, gains[np.minimum(table, 10) - 1], 0.0) * I / gains[:I].sum()
        return PairScores(credit.reshape(1, -1), pair_weights(listener), listener, item % 12)

    parts = {name: difference(scores(tables[name]), scores(tables["a"])) for name in "bc"}
    asked = [(scores(tables["a"]), scores(tables[name])) for name in "bc"]
    p = {name: test.p for name, (test, _) in zip("bc", two_way_tests(asked, comparisons=2), strict=True)}
    for name, adjusted in holm(p).items():
        assert found[name].p == pytest.approx(adjusted)
        assert found[name].difference.interval() == pytest.approx(parts[name].interval())


def test_seeds_and_folds_have_two_way_intervals(results):
    for fold in (1, 2):
        for seed in range(3):
            table = ranks(0.2 + 0.01 * seed, 10 * fold + seed)
            results.ranked("a", {"cold": table}, seed=seed, fold=fold, split="cold_random", deterministic=False)
            results.ranked("b", {"cold": ranks(0.15, 50 + fold)}, seed=seed, fold=fold, split="cold_random")
    board = only(results)
    (a, b) = board.rows
    assert a.seeds == (0, 1, 2)
    assert a.few
    value = a.values["cold"][METRIC]
    assert value.low < value.mean < value.high
    one = b.evidence("cold", METRIC)
    assert one.users == U  # the same listeners in both folds
    assert one.two_way
    assert one.difference.seeds.variance > 0
    assert one.difference.mean == pytest.approx(b.mean("cold", METRIC) - a.mean("cold", METRIC))


def test_records_without_ranks_are_compared_over_users_alone_and_named(results):
    results.ranked("a", {"cold": ranks(0.2, 1)})
    path = results.ranked("b", {"cold": ranks(0.1, 2)})
    ranks_path(path).unlink()
    problems = []
    (board,) = boards(results.read(), problems)
    one = board.rows[1].evidence("cold", METRIC)
    assert not one.two_way
    assert one.verdict == "told apart"
    assert [str(ranks_path(path)) in problem for problem in problems] == [True]
    assert any("over users alone, and too optimistic: b × knn." in note.text for note in board.notes)


def test_damaged_ranks_fall_back_to_the_values_of_users(results):
    results.ranked("a", {"cold": ranks(0.2, 1)})
    path = results.ranked("b", {"cold": ranks(0.1, 2)})
    content = bytearray(ranks_path(path).read_bytes())
    content[len(content) // 2] ^= 255
    ranks_path(path).write_bytes(content)
    problems = []
    (board,) = boards(results.read(), problems)
    assert board.rows[1].evidence("cold", METRIC).verdict == "told apart"
    assert len(problems) == 1


def test_a_declared_family_counts_even_if_its_rows_are_absent_and_more_rows_are_told(results):
    for number, name in enumerate("abc"):
        results.ranked(name, {"cold": ranks(0.2 - 0.02 * number, number)})
    few = evidence(only(results))["b"]
    assert few.comparisons == 2

    def declare(rows):
        for path, record in results.read():
            frame, held = None, None
            family = Family(tuple(f"{n} × knn" for n in range(rows)), metric=METRIC, alpha=0.05, margin=0.1)
            written = write(replace(record, family=family), results.folder, frame, held)[0]
            assert written == path

    declare(20)
    many = evidence(only(results))["b"]
    assert many.comparisons == 19
    assert many.p > few.p
    declare(2)
    board = only(results)
    assert evidence(board)["b"].comparisons == 2
    assert any("3 rows, and no command declared more than 2" in note.text for note in board.notes)


def test_the_smallest_detectable_difference_stands_below_the_table(results):
    results.ranked("a", {"cold": ranks(0.2, 1)})
    results.ranked("b", {"cold": ranks(0.19, 2)})
    control(results)
    board = only(results)
    (one,) = comparisons(board.blocks[0], "cold", METRIC)
    grid = evidence_grid(board, board.blocks[0])
    assert f"cold {one.smallest:.4f}".replace("0.", ".") in grid.notes[0]
    assert f"({100 * one.smallest / one.gain:.0f} % of the gain over shuffled)" in grid.notes[0]
    (wider,) = comparisons(board.blocks[0], "cold", METRIC, power=0.95)
    assert wider.smallest > one.smallest


def test_a_single_row_has_no_evidence_table(results):
    results.ranked("a", {"cold": ranks(0.2)})
    board = only(results)
    assert evidence_grid(board, board.blocks[0]) is None


def test_power_says_what_a_difference_needs(results, capsys):
    results.ranked("a", {"cold": ranks(0.2, 1)}, artists=10)
    results.ranked("b", {"cold": ranks(0.19, 2)}, artists=10)
    control(results)
    assert main(["power", str(results.folder)]) == 0
    by_default = capsys.readouterr().out
    assert "cold, to detect" in by_default
    assert main(["power", str(results.folder), "--difference", "0.9"]) == 0
    easy = capsys.readouterr().out
    assert "to detect .9000" in easy
    assert main(["power", str(results.folder), "--difference", "0.0001"]) == 0
    hopeless = capsys.readouterr().out
    assert "no number of listeners suffices: artists dominate" in hopeless
    assert "suffices" not in easy
    with pytest.raises(SystemExit):
        main(["power", str(results.folder), "--difference", "2"])


def test_power_needs_two_rows(results, capsys):
    assert main(["power", str(results.folder)]) == 1
    assert "there is no results folder" in capsys.readouterr().err
    results.add()
    assert main(["power", str(results.folder)]) == 0
    assert "No two rows" in capsys.readouterr().out


def test_a_record_holds_the_two_way_interval(results):
    path = results.ranked("a", {"cold": ranks(0.2)})
    (row,) = only(results).rows
    value = row.values["cold"][METRIC]
    assert [value.low, value.high] == list(read(path).intervals["cold"][METRIC])
