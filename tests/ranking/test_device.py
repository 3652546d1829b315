"""Ranking on a device gives the lists of the host, and copies lists instead of scores."""

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.ranking.rank import rank
from bench.testing.pretend_device import NAME, pretend_device

from .test_rank import case, check_ranks, held, history, sets


def both(scores, k, seen, masks, seed=0, block=None, held_out=None):
    """Return the ranking of the host, that of a device, and the log of the device."""

    def run(given):
        return rank(
            lambda users: given[users] if isinstance(given, np.ndarray) else given[int(users[0]) : int(users[-1]) + 1],
            np.arange(len(scores), dtype=np.int32),
            history=history(seen),
            candidates=sets(scores.shape[1], **masks),
            k=k,
            seed=seed,
            block=block,
            held_out=held_out and dict.fromkeys(masks, held_out),
            who="knn",
        )

    host = run(scores)
    with pretend_device() as log:
        there = torch.from_numpy(scores).to(NAME)
        log.clear()
        found = run(there)
    return host, found, log


@pytest.mark.parametrize("values", [0, 1, 3, 40, 10**6])
@pytest.mark.parametrize("k", [1, 4, 12])
@pytest.mark.parametrize("n_items", [3, 12, 90, 3000])
def test_the_lists_are_those_of_the_host(n_items, k, values):
    for seed in range(4):
        scores, seen, cold = case(seed, 9, n_items, values, n_items // 2)
        scores[2, : n_items // 2] = -np.inf
        masks = {"cold": cold, "mixed": np.ones(n_items, bool)}
        wanted = held(seed, 9, n_items, min(n_items, 90))
        host, found, _ = both(scores, k, seen, masks, seed, block=5, held_out=wanted)
        check_ranks(found, wanted, scores, seen, masks, seed)
        for name in ("cold", "mixed"):
            assert found.topk[name].tolist() == host.topk[name].tolist()
            assert found.constant[name].tolist() == host.constant[name].tolist()


def test_the_host_waits_once_for_a_block_and_a_set_unless_ties_decide():
    rng = np.random.default_rng(0)
    scores = rng.permutation(40 * 300).reshape(40, 300).astype(np.float32)
    masks = {"hot": np.arange(300) < 200, "mixed": np.ones(300, bool)}
    seen = [[7], *[[]] * 39]
    _, _, log = both(scores, 10, seen, masks, block=10)
    # 4 blocks, 2 sets. Before, the scores of every block were copied whole: 12,000 numbers instead of 40 x 2 x 2 x 11.
    assert log.total == 4 * 2
    wanted = held(0, 40, 300, 20)
    assert both(scores, 10, seen, masks, block=10, held_out=wanted)[2].total == 4 * 2  # ranks come with the lists
    scores[3, :150] = 1e6  # a tie at rank k in one row: its scores are copied as well
    host, found, log = both(scores, 10, seen, masks, block=10)
    assert log.total == 4 * 2 + 2
    assert found.topk["hot"].tolist() == host.topk["hot"].tolist()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_named(value):
    scores = np.random.default_rng(0).random((8, 50), np.float32)
    scores[6, 17] = value
    with pretend_device():
        there = torch.from_numpy(scores).to(NAME)
        with pytest.raises(BenchError, match=f"knn gave {value} for user 6, item row 17"):
            rank(
                lambda users: there[int(users[0]) : int(users[-1]) + 1],
                np.arange(8, dtype=np.int32),
                history=history([[]] * 8),
                candidates=sets(50),
                k=4,
                seed=0,
                block=3,
                who="knn",
            )
