"""Extraction on a device: equal vectors, one wait a batch, and errors of the device that are no errors of tracks."""

from typing import ClassVar

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.extract import Extraction, open_set
from bench.extract.readers import Source
from bench.protocols import Extractor, NoSettings, Window
from bench.testing import clips
from bench.testing.pretend_device import NAME, pretend_device

RATE, CLIPS = 8_000, 24
ROWS = [f"r{i}" for i in range(CLIPS)]


class OnDevice(Extractor):
    """Two layers, products of the spectrum with fixed weights."""

    name, sample_rate, license = "on-device", RATE, "none"
    layers: ClassVar = {"low": 4, "high": 12}
    window = Window(length=4_000, hop=4_000, shortest=128)

    def __init__(self):
        super().__init__(NoSettings())
        self.calls = 0

    def fingerprint(self):
        return {"toy": 1}

    def load(self, device, dtype):
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.randn(128, 12, generator=generator).to(device)

    def frames(self, waves):
        self.calls += 1
        frames = waves.unfold(1, 128, 128) @ self.weight
        yield "low", frames[:, :, :4]
        yield "high", torch.relu(frames)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return clips.write(tmp_path_factory.mktemp("clips"), [0.5] * CLIPS, RATE)


def extract(cache, extractor, paths, device, batch=4, said=None, twice=False):
    """Return the outcome and the store's set; with `twice`, the tracks come in two calls."""
    log = (lambda line: None) if said is None else said.append
    work = Extraction(extractor, cache, device=device, batch=batch, workers=1, log=log)
    sources = [Source(row, str(path)) for row, path in zip(ROWS, paths, strict=True)]
    half = CLIPS // 2 if twice else CLIPS
    outcome = work(sources[:half])
    if twice:
        outcome = work(sources[half:])
    return outcome, open_set(cache, extractor)


@pytest.mark.parametrize("float64", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "mean_cov", "mean_std"])
def test_vectors_equal_those_of_the_cpu(paths, tmp_path, float64, pooling):
    class Pooled(OnDevice):
        pass

    Pooled.pooling = pooling
    _, expected = extract(tmp_path / "cpu", Pooled(), paths, "cpu")
    with pretend_device(float64=float64):
        outcome, found = extract(tmp_path / "there", Pooled(), paths, NAME)
    assert outcome.done == CLIPS
    for layer in Pooled.layers:
        np.testing.assert_allclose(found.read(layer, ROWS)[0], expected.read(layer, ROWS)[0], rtol=1e-6, atol=1e-6)


def test_the_host_waits_once_a_batch_and_after_the_next_one_has_started(paths, tmp_path):
    order = []

    class Ordered(OnDevice):
        def frames(self, waves):
            order.append("start")
            yield from super().frames(waves)

    with pretend_device() as log:
        note = log.note
        log.note = lambda kind, **more: (order.append(kind) if kind == "event" else None, note(kind, **more))
        extract(tmp_path, Ordered(), paths, NAME)
    batches = CLIPS // 4
    # One copy of the weights, then one event a batch. Before there was a copy up and a copy back of each layer: 3.
    assert log.total == 1 + batches
    assert log.queued.total() == 2 * batches
    assert order[:4] == ["start", "start", "event", "start"]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered\nCompile with TORCH_USE_CUDA_DSA"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED_CUDART"),
        torch.AcceleratorError("CUDA error: device-side assert triggered"),
    ],
)
def test_a_lost_device_stops_the_run_without_failures(paths, tmp_path, error):
    class Lost(OnDevice):
        def frames(self, waves):
            if self.calls >= 2:
                raise error
            yield from super().frames(waves)

    with pytest.raises(BenchError, match="start the command again"):
        extract(tmp_path, Lost(), paths, "cpu")
    stored = open_set(tmp_path, Lost()).rows()
    assert len(stored) == 8
    assert set(stored["status"]) == {"ok"}
    outcome, found = extract(tmp_path, OnDevice(), paths, "cpu")
    assert outcome.failed == []
    assert len(found.rows()) == CLIPS


def test_a_lost_device_is_also_noticed_when_a_batch_is_fetched(paths, tmp_path):
    with pretend_device() as log:
        note = log.note

        def fail(kind, **more):
            note(kind, **more)
            if kind == "event" and log.waits.total() > 3:
                raise torch.AcceleratorError("CUDA error: unspecified launch failure")

        log.note = fail
        with pytest.raises(BenchError, match="cannot use it any more"):
            extract(tmp_path, OnDevice(), paths, NAME)
    assert set(open_set(tmp_path, OnDevice()).rows()["status"]) == {"ok"}


class Narrow(OnDevice):
    """A device with memory for two windows, whose libraries say so in their own words."""

    words = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"

    def frames(self, waves):
        activations = waves * 2  # alive while the error is raised
        if len(waves) > 2:
            raise RuntimeError(self.words)
        yield from super().frames(activations / 2)


@pytest.mark.parametrize(
    "words",
    [
        Narrow.words,
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "cuFFT error: CUFFT_ALLOC_FAILED",
        "CUDA error: out of memory",
    ],
)
def test_memory_of_libraries_halves_the_batch(paths, tmp_path, words):
    class Worded(Narrow):
        pass

    Worded.words = words
    said = []
    outcome, _ = extract(tmp_path, Worded(), paths, "cpu", batch=8, said=said)
    assert (outcome.done, outcome.failed) == (CLIPS, [])
    assert [line.rpartition(" ")[2] for line in said] == ["4", "2"]


def test_a_device_that_cannot_free_its_cache_is_lost(paths, tmp_path, monkeypatch):
    def empty():
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    with pretend_device():
        monkeypatch.setattr(torch.pretend, "empty_cache", empty, raising=False)
        with pytest.raises(BenchError, match="cannot use it any more"):
            extract(tmp_path, Narrow(), paths, NAME, batch=8)
    assert len(open_set(tmp_path, Narrow()).rows()) == 0


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: invalid configuration argument"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasGemmStridedBatchedEx`"),
        RuntimeError("cuFFT error: CUFFT_INTERNAL_ERROR"),
    ],
)
def test_a_batch_that_the_device_refuses_runs_window_by_window(paths, tmp_path, error):
    class Single(OnDevice):
        def frames(self, waves):
            if len(waves) > 1:
                raise error
            yield from super().frames(waves)

    outcome, _ = extract(tmp_path, Single(), paths, "cpu")
    assert (outcome.done, outcome.failed) == (CLIPS, [])


def test_the_halved_batch_is_remembered(paths, tmp_path):
    said = []
    extract(tmp_path, Narrow(), paths, "cpu", batch=8, said=said, twice=True)
    assert len(said) == 2


def test_no_activation_is_alive_when_the_cache_is_emptied(paths, tmp_path, monkeypatch):
    alive = []
    with pretend_device() as log:
        monkeypatch.setattr(torch.pretend, "empty_cache", lambda: alive.append(log.alive()), raising=False)
        extract(tmp_path, Narrow(), paths, NAME, batch=8)
    weights = 128 * 12 * 4
    assert alive == [weights, weights]


def test_unload_frees_the_model(paths, tmp_path):
    with pretend_device() as log:
        work = Extraction(OnDevice(), tmp_path, device=NAME, workers=1)
        work([Source(ROWS[0], str(paths[0]))])
        assert log.alive() > 0
        work.unload()
        assert log.alive() == 0
