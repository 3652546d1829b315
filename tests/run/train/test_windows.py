import numpy as np
import pytest
import torch

from bench.audio.pcm_cache import FULL_SCALE, Pcm
from bench.errors import BenchError
from bench.protocols import Interactions, TrainingData
from bench.run.train.windows import Windows, validation_links


def data(histories, n=8, valid=range(4)):
    """Training data of `n` recordings; histories: the recordings of each user."""
    user = np.repeat(np.arange(len(histories)), [len(each) for each in histories]).astype(np.int32)
    item = np.concatenate([sorted(each) for each in histories]).astype(np.int32)
    zeros, ones = np.zeros(len(item), np.int64), np.ones(len(item), np.int32)
    chosen = np.isin(np.arange(n), list(valid))
    pairs = Interactions(user, item, zeros, zeros, ones, len(histories), n)
    return TrainingData([f"t{at}" for at in range(n)], ~chosen, chosen, interactions=pairs)


def links(*args, **options):
    return {tuple(pair) for pair in validation_links(data(*args, **options)).tolist()}


def test_links_are_pairs_of_validation_recordings_with_enough_listeners():
    valid = range(1, 8, 2)  # 1, 3, 5, 7 are the places 0 to 3
    # Six pairs: 1-3 has seven listeners, 1-5 and 3-5 six, and at most a tenth of six pairs may be linked.
    assert links([[1, 3, 5]] * 6 + [[1, 3]] + [[1, 2, 7]], valid=valid) == {(0, 1)}
    # Nobody shares five: what the best pair shares is enough.
    assert links([[1, 3]] * 3 + [[5, 7]] * 2, valid=valid) == {(0, 1)}


def test_without_links_there_is_nothing_to_rank():
    with pytest.raises(BenchError, match="share no listeners"):
        links([[0, 5], [1, 6], [2, 7]])
    with pytest.raises(BenchError, match="equally many"):
        links([[0, 1, 2, 3]] * 5)


def test_the_vector_of_a_recording_is_the_mean_over_its_windows():
    rng = np.random.default_rng(0)
    length = np.array([25, 40, 7])
    samples = rng.integers(-FULL_SCALE, FULL_SCALE, length.sum()).astype(np.int16)
    pcm = Pcm(samples, np.cumsum(length) - length, length, {})
    network = torch.nn.Linear(10, 3)
    windows = Windows(pcm, 10, torch.nn.Identity(), "cpu")
    found = windows.vectors(network, np.array([2, 0, 1]), 2)
    for row, recording in enumerate((2, 0, 1)):
        own = samples[pcm.start[recording] :][: length[recording]]
        cut = [own[:10]] if len(own) < 10 else [own[at : at + 10] for at in range(0, len(own) - 9, 10)]
        waves = torch.from_numpy(np.stack([np.pad(each, (0, 10 - len(each))) for each in cut]) / FULL_SCALE)
        np.testing.assert_allclose(found[row], network(waves.float()).mean(dim=0).detach(), atol=1e-6)
