"""The pretended device computes as the CPU does, refuses what a GPU refuses, and logs where the host waits."""

import numpy as np
import pytest
import torch
from torch import nn

from bench import devices, memory, records
from bench.cli import main
from bench.errors import BenchError
from bench.testing.pretend_device import NAME, pretend_device


def _train(device):
    """Return the loss and weights after five steps of a small network with dropout, attention and Adam."""
    torch.manual_seed(1)
    layers = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    net = nn.Sequential(nn.Embedding(10, 16), layers, nn.Linear(16, 3)).to(device)
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    x = torch.arange(10).to(device)[None]
    for _ in range(5):
        loss = nn.functional.cross_entropy(net(x)[0], x[0].remainder(3)) + torch.rand((), device=device)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return loss.item(), net[2].weight.detach().cpu().numpy()


def test_training_gives_the_numbers_of_the_cpu():
    expected, weights = _train("cpu")  # autograd starts its threads before the device is known
    with pretend_device() as log:
        loss, found = _train(NAME)
    assert loss == expected
    np.testing.assert_array_equal(found, weights)
    assert log.waits["item", "test_pretend_device.py:_train"] == 1
    assert log.waits["to host", "test_pretend_device.py:_train"] == 1
    assert log.launches > 100


def test_a_number_that_is_written_at_indices_is_copied_to_the_device():
    with pretend_device() as log:
        x = torch.zeros(4, device=NAME)
        at = torch.arange(2, device=NAME)
        x[at] = 1.0
        assert [kind for kind, _ in log.waits] == ["to device"]
        x.index_put_((at,), x.new_full((), 2.0))
        assert log.total == 1
        assert x.tolist() == [2.0, 2.0, 0.0, 0.0]


def test_inference_mode_and_views():
    with pretend_device(), torch.inference_mode():
        x = torch.arange(12.0, device=NAME).reshape(3, 4)
        x[1] += 1
        x.t()[0].mul_(2)
        assert x.device.type == NAME
        assert x.tolist() == [[0, 1, 2, 3], [10, 6, 7, 8], [16, 9, 10, 11]]


def test_the_peak_is_the_most_that_was_alive_at_once_and_views_take_nothing():
    with pretend_device(memory=10_000) as log:
        first = torch.ones(100, device=NAME)
        assert log.alive() == 400
        log.clear()
        doubled = first.view(10, 10).t() * 2
        kept = doubled[0] + 1
        del doubled
        assert log.alive() == 400 + 40
        assert log.peak == 400 + 400 + 40
        assert memory.free(NAME) == 10_000 - 440
        assert kept.tolist() == [3.0] * 10
        del first, kept
        assert log.alive() == 0


def test_attention_keeps_no_logits_in_inference():
    with pretend_device() as log, torch.inference_mode():
        query = torch.ones(1, 1, 512, 4, device=NAME)
        log.clear()
        torch.nn.functional.scaled_dot_product_attention(query, query, query)
        assert log.peak == 2 * 4 * 512 * 4


@pytest.mark.parametrize(
    "act",
    [
        lambda there: there + torch.ones(3),
        lambda there: torch.stack([there, torch.ones(3)]),
        lambda there: there.index_select(0, torch.zeros(1, dtype=torch.int64)),
        lambda there: torch.rand(3, device=NAME, generator=torch.Generator()),
        lambda there: torch.nn.functional.embedding(torch.tensor([0]), there[:, None]),
    ],
)
def test_it_refuses_mixed_devices_and_generators(act):
    with pretend_device(), pytest.raises(RuntimeError):
        act(torch.ones(3, device=NAME))


def test_it_gives_no_numpy_array():
    with pretend_device():
        there = torch.ones(3, device=NAME)
        for act in (there.numpy, lambda: np.asarray(there)):
            with pytest.raises(TypeError):
                act()
        assert there.cpu().numpy().tolist() == [1, 1, 1]


def test_numbers_and_generators_of_its_own_are_accepted():
    with pretend_device() as log:
        there = torch.ones(3, device=NAME) * torch.tensor(2.0)
        drawn = [torch.rand(3, device=NAME, generator=torch.Generator(NAME).manual_seed(5)).tolist() for _ in "ab"]
    assert log.waits["item", "test_pretend_device.py:<listcomp>"] == 2
    assert drawn[0] == drawn[1]
    assert there.held.tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("kind", "act"),
    [
        ("item", lambda x: x.sum().item()),
        ("item", lambda x: bool((x > 0).any())),
        ("nonzero", lambda x: x.nonzero()),
        ("nonzero", lambda x: torch.where(x > 0)),
        ("boolean mask", lambda x: x[x > 0]),
        ("boolean mask", lambda x: x.masked_select(x > 0)),
        ("to host", lambda x: x.cpu()),
        ("to device", lambda x: torch.ones(3).to(NAME)),
        ("to device", lambda x: torch.tensor([1.0, 2.0], device=NAME)),
        ("to device", lambda x: x.copy_(torch.zeros(3))),
        ("index of the host", lambda x: x[torch.tensor([0, 1])]),
        ("unique", lambda x: x.unique()),
    ],
)
def test_waits_are_logged(kind, act):
    with pretend_device() as log:
        x = torch.tensor([1.0, 2.0, -1.0]).to(NAME)
        log.clear()
        act(x)
        assert {each for each, _ in log.waits} == {kind}
        log.clear()
        torch.where(x > 0, x, x.exp()).cumsum(0)
        assert log.total == 0
        torch.ones(3).to(NAME, non_blocking=True)
        assert (log.total, log.queued.total()) == (0, 1)


def test_memory_alive_counts_storages_once():
    with pretend_device() as log:
        x = torch.zeros(1000, device=NAME)
        view = x[10:]
        assert log.alive() == 4000
        del x
        assert log.alive() == 4000
        del view
        assert log.alive() == 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_lowers_products_and_keeps_norms(dtype):
    with pretend_device(), torch.autocast(NAME, dtype):
        x = torch.ones(2, 4, device=NAME)
        assert nn.functional.linear(x, x).dtype == dtype
        assert (x @ x.t()).dtype == dtype
        assert nn.functional.layer_norm(x @ x.t(), (2,)).dtype == torch.float32


def test_a_device_without_float64_refuses_it():
    with pretend_device(float64=False):
        assert not devices.has_float64(NAME)
        with pytest.raises(TypeError, match="float64"):
            torch.zeros(3, device=NAME).double()
    with pretend_device():
        assert devices.has_float64(NAME)
        assert torch.zeros(3, device=NAME).double().dtype == torch.float64


def test_arrays_are_sent_by_one_copy():
    arrays = [np.arange(6).reshape(2, 3), np.array([True, False, True]), np.empty(0, np.int64), np.float32([[1.5]])]
    with pretend_device() as log:
        found = devices.send(NAME, *(each.copy() for each in arrays), np.arange(8)[::2])
        assert (log.total, log.queued.total()) == (0, 1)
        for tensor, array in zip(found, [*arrays, np.array([0, 2, 4, 6])], strict=True):
            assert tensor.device.type == NAME
            np.testing.assert_array_equal(tensor.cpu().numpy(), array)
            assert tensor.cpu().numpy().dtype == array.dtype
    (here,) = devices.send("cpu", arrays[0])
    assert here.numpy() is not arrays[0]
    assert here.data_ptr() == arrays[0].ctypes.data  # not a copy


def test_devices_are_checked():
    assert devices.choose("cpu")[0] == "cpu"
    assert devices.choose("auto")[0] == ("cuda" if torch.cuda.is_available() else "cpu")
    with pretend_device():
        assert devices.choose(NAME)[0] == NAME
    for wanted in ("meta", "mps:7", "xpu", "tpu", "cuda:99"):
        with pytest.raises(BenchError, match=wanted):
            devices.choose(wanted)


def test_a_record_names_the_gpu():
    with pretend_device():
        assert records.environment(NAME).gpu == {"name": "a device that does not exist"}
    assert records.environment("cpu").gpu is None


@pytest.mark.parametrize("spec", ["mfcc", "mert", "shallow:epochs=1"])
def test_bench_check_runs_on_a_pretended_gpu(spec, capsys):
    code = main(["check", spec, "--device", NAME])
    assert code == 0, capsys.readouterr().out


def test_bench_check_finds_what_would_fail_on_a_gpu(monkeypatch, capsys):
    """A plugin that leaves its weights on the CPU works there, and on no GPU."""
    from bench_extractors.mfcc import MFCC

    load = MFCC.load
    monkeypatch.setattr(MFCC, "load", lambda self, _device, dtype: load(self, "cpu", dtype))
    assert main(["check", "mfcc"]) == 0
    assert main(["check", "mfcc", "--device", NAME]) == 1
    assert "one device" in capsys.readouterr().out
