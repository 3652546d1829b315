"""Where a search looks, and what it is told to try next."""

import numpy as np
import pytest

from bench.errors import BenchError
from bench.records import Trial
from bench.registry import get, names
from bench.run.tune.space import parse
from bench.run.tune.trials import Journal, propose
from bench.specs import Spec, settings_from

TEXT = "rate=0.0001..0.1(log),layers=1..3,width=8..512(log),loss=full|sampled,share=-0.5..0.5"


def test_a_space_is_read_and_spelt():
    assert ",".join(map(str, parse(TEXT))) == TEXT
    assert parse("") == ()
    assert parse(" a = 1..2 , b=x|y ")[0].whole


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rate", "is neither key=a"),
        ("=1..2", "is neither key=a"),
        ("rate=1..x", "does not go from number to number"),
        ("rate=2..1", "from a smaller number to a larger one"),
        ("rate=nan..1", "from a smaller number to a larger one"),
        ("rate=0..1(log)", "it must begin above 0"),
        ("rate=a||b", "empty or repeated choice"),
        ("rate=1..2,rate=a|b", "rate is given twice"),
    ],
)
def test_what_cannot_be_a_space_is_named(text, words):
    with pytest.raises(BenchError, match=words):
        parse(text)


def test_draws_lie_within_and_everywhere():
    space, random = parse(TEXT), np.random.default_rng(0)
    drawn = [{one.key: one.draw(random) for one in space} for _ in range(400)]
    rates = np.log10([float(each["rate"]) for each in drawn])
    assert rates.min() > -4.01
    assert rates.max() < -0.99
    assert abs((rates < -2.5).mean() - 0.5) < 0.1
    assert {each["layers"] for each in drawn} == {"1", "2", "3"}
    assert {each["loss"] for each in drawn} == {"full", "sampled"}
    widths = [int(each["width"]) for each in drawn]
    assert min(widths) < 12
    assert max(widths) > 300
    assert all(len(each["rate"].replace("0.", "").lstrip("0")) <= 4 or "e" in each["rate"] for each in drawn)


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_proposal_depends_on_seed_and_past_alone(sampler):
    if sampler == "tpe":
        pytest.importorskip("optuna")
    space = parse(TEXT)

    def search(seed, start=()):
        trials = list(start)
        while len(trials) < 14:
            settings = propose(space, trials, sampler, seed)
            value = None if len(trials) == 3 else -abs(np.log10(float(settings["rate"])) + 2)
            trials.append(Trial(len(trials), settings, value, 0.0, "", None, ""))
        return trials

    whole = search(1)
    assert search(1, whole[:6]) == whole
    assert [t.settings for t in search(2)] != [t.settings for t in whole]
    for trial in whole:
        assert -0.5 <= float(trial.settings["share"]) <= 0.5
        assert trial.settings["layers"] in ("1", "2", "3")


def test_tpe_learns_where_to_look():
    pytest.importorskip("optuna")
    space, trials = parse("x=0.0..1.0"), []
    for number in range(40):
        settings = propose(space, trials, "tpe", 0)
        trials.append(Trial(number, settings, -abs(float(settings["x"]) - 0.3), 0.0, "", None, ""))
    late = [abs(float(trial.settings["x"]) - 0.3) for trial in trials[25:]]
    assert np.median(late) < 0.2  # uniform draws: 0.25


SPACES = {name: cls for name in names("recommenders") if (cls := get("recommenders", name)).SPACE}


@pytest.mark.parametrize("name", SPACES)
def test_every_models_own_space_holds_what_its_settings_accept(name):
    cls = SPACES[name]
    for one in parse(cls.SPACE):
        for end in one.ends:
            settings_from(cls.Settings, Spec(name, {one.key: end}))


def test_the_models_that_are_worth_a_search_offer_a_space():
    wanted = {"shallow", "bert4rec", "sasrec", "elsa", "ease", "itemknn", "knn", "bpr", "ials"}
    assert all(parse(SPACES[name].SPACE) for name in wanted)


def test_a_journal_survives_a_line_cut_off(tmp_path):
    journal = Journal(tmp_path / "s" / "j.jsonl")
    assert journal.read() == []
    one = Trial(0, {"a": "1"}, 0.5, 1.0, "patience", None, "")
    two = Trial(1, {"a": "2"}, None, 0.1, "", None, "no")
    journal.append(one)
    with open(tmp_path / "s" / "j.jsonl", "a") as file:
        file.write('{"number": 1, "settings": {"a"')
    assert journal.read() == [one]
    journal.append(two)
    assert journal.read() == [one, two]
