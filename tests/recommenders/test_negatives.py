"""Negatives, distinct rows and counts on a GPU: arrays of fixed size, without a wait, and the same distribution."""

import pytest
import torch

from bench.testing.pretend_device import NAME, pretend_device
from bench_recommenders import _negatives as negatives

PAIRS, DRAWS, POOL = 4, 20_000, 12
KNOWN = torch.tensor([[0, 1, 2, 3, 4, 5], [0, 0, 0, 0, 0, 11], [3, 4, 5, 6, 7, 8], [1, 3, 5, 7, 9, 11]])
"""What each of four users knows, of 12 tracks."""


def drawn(device="cpu"):
    """Return negatives (PAIRS, DRAWS) of a pair of each user and the first track that the user knows."""
    user = torch.arange(PAIRS).to(device)
    known = KNOWN.to(device)
    find = negatives.KnownPairs(user.repeat_interleave(known.shape[1]), known.flatten(), POOL)
    return negatives.sample_negatives(known[:, 0], torch.arange(POOL, device=device), DRAWS, find.of_users(user))


@pytest.mark.parametrize("redraw", ["_redraw", "_redraw_all"])
def test_draws_are_uniform_among_the_unknown(redraw, monkeypatch):
    monkeypatch.setattr(negatives, "_redraw", getattr(negatives, redraw))
    torch.manual_seed(0)
    found = drawn()
    for user, row in enumerate(found):
        share = row.bincount(minlength=POOL) / DRAWS
        known = KNOWN[user].unique()
        unknown = [track for track in range(POOL) if track not in known]
        left = (len(known) / POOL) ** (negatives.ROUNDS + 1)  # all draws known: the pair's own track
        error = 5 * (1 / len(unknown) / DRAWS) ** 0.5
        torch.testing.assert_close(
            share[unknown], torch.full((len(unknown),), (1 - left) / len(unknown)), atol=error, rtol=0
        )
        assert share[known[1:]].sum() == 0
        assert abs(share[KNOWN[user, 0]] - left) < 5 * (left / DRAWS) ** 0.5 + 1e-6


def test_a_device_draws_without_waiting(monkeypatch):
    with pretend_device() as log:
        torch.manual_seed(0)
        found = drawn(NAME)
        # Before: nonzero, and three boolean masks for each of up to 8 rounds. Three arrays go to the device here.
        assert {kind for kind, _ in log.waits} == {"to device"}
        found = found.cpu()
    monkeypatch.setattr(negatives, "_redraw", negatives._redraw_all)
    torch.manual_seed(0)
    assert torch.equal(found, drawn())


def test_who_knows_everything_gets_the_own_track():
    with pretend_device():
        own, pool = torch.tensor([3, 4]).to(NAME), torch.arange(9).to(NAME)
        found = negatives.sample_negatives(own, pool, 5, lambda pair, _: torch.ones_like(pair, dtype=torch.bool))
        assert found.tolist() == [[3] * 5, [4] * 5]


def test_distinct_rows_of_a_device_have_a_fixed_number():
    indexes = [torch.tensor([7, 2, 7]), torch.tensor([[2, 9], [9, 2]])]
    with pretend_device() as log:
        there = [index.to(NAME) for index in indexes]
        log.clear()
        rows, places = negatives.distinct_rows(10, *there)
        assert log.total == 0
        assert len(rows) == 7
        for index, place in zip(there, places, strict=True):
            assert rows[place].tolist() == index.tolist()
        assert rows.tolist()[:3] == [2, 7, 9]
        assert negatives.distinct_rows(7, *[index.remainder(7) for index in there])[0] is None


def test_counts_of_a_device_are_those_of_bincount():
    index, weight = torch.tensor([3, 0, 3, 1]), torch.tensor([0.5, 2.0, 0.25, 1.0])
    with pretend_device() as log:
        there = index.to(NAME), weight.to(NAME)
        log.clear()
        found = negatives.counts(there[0], 6), negatives.counts(there[0], 6, there[1])
        assert log.total == 0
        assert [each.tolist() for each in found] == [[1, 1, 0, 2, 0, 0], [2.0, 1.0, 0.0, 0.75, 0.0, 0.0]]
    assert torch.equal(negatives.counts(index, 6), index.bincount(minlength=6))
