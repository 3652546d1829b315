"""Weights that may not be used commercially say so below every table, and in the record."""

from types import SimpleNamespace

from bench.report.build import boards
from bench.report.notes import notes
from bench.run.recommend.record import non_commercial

BOUND = {"non_commercial": True, "license": "CC BY-NC 4.0"}


def test_non_commercial_weights_are_named_below_the_table(results):
    results.add("mert", table=BOUND)
    results.add("mfcc")
    (board,) = boards(results.read())
    (said,) = [note for note in notes(board) if "non-commercial" in note.text]
    assert said.brief
    assert "mert (CC BY-NC 4.0)" in said.text
    assert "mfcc" not in said.text


def test_a_plugin_is_bound_by_its_weights_or_by_its_own_word():
    def plugin(*, own=False, files=()):
        return SimpleNamespace(non_commercial=own, weights=[SimpleNamespace(non_commercial=one) for one in files])

    assert non_commercial(plugin(files=[False, True]))
    assert non_commercial(plugin(own=True))
    assert not non_commercial(plugin(files=[False]))
    assert not non_commercial(plugin())
