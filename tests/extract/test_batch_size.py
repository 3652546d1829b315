"""Batches as large as the memory of a GPU allows, and a GPU that is refused because it is too small."""

from types import SimpleNamespace

import numpy as np
import pytest

from bench import memory
from bench.cli import main
from bench.errors import BenchError
from bench.extract import Extraction, open_set
from bench.extract.batch_size import batch_size, check_memory
from bench.extract.readers import Source
from bench.registry import create, get
from bench.run.extraction_plan import ExtractionPlan
from bench.run.extraction_task import Audio
from bench.run.inputs import catalog_of
from bench.run.options import Environment
from bench.testing import clips
from bench.testing.pretend_device import NAME, pretend_device

COUNT = 40


def sized(weights, window):
    """Return an extractor that needs so many bytes."""
    return SimpleNamespace(name="sized", memory=lambda batch: weights + batch * window)


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    folder = tmp_path_factory.mktemp("music")
    clips.write(folder, [1.0] * COUNT, 22_050)
    return folder


@pytest.mark.parametrize(
    ("free", "batch"),
    [(1e9, 256), (3325, 256), (3324, 128), (925, 64), (924, 32), (325, 16), (324, 8), (200, 4), (130, 1)],
)
def test_the_largest_power_of_two_that_fits_into_four_fifths_of_the_memory(free, batch):
    with pretend_device(memory=free):
        assert batch_size(sized(100, 10), NAME) == batch
    assert 100 + 10 * batch <= 0.8 * free or batch == 1


def test_a_cpu_and_an_extractor_that_does_not_know_its_memory_take_16(monkeypatch):
    monkeypatch.setattr(memory, "free", lambda device: 1e15)
    assert batch_size(sized(100, 10), "cpu") == 16
    with pretend_device():
        assert batch_size(create("extractors", "mert:weights=random,window=none"), NAME) == 16


def test_a_gpu_without_room_for_one_window_is_refused_and_a_cpu_never():
    check_memory(sized(1e15, 1e15), "cpu")
    with pretend_device(memory=109), pytest.raises(BenchError, match=r"110 B on pretend .* 109 B are free"):
        check_memory(sized(100, 10), NAME)
    with pretend_device(memory=110):
        check_memory(sized(100, 10), NAME)


@pytest.mark.parametrize(("asked", "sizes"), [(None, [32, 8]), (5, [5] * 8)])
def test_extraction_chooses_the_batch_before_it_loads_the_model(music, tmp_path, asked, sizes):
    mfcc, seen = create("extractors", "mfcc"), []
    frames = type(mfcc).frames

    class Seen(type(mfcc)):
        def frames(self, waves):
            seen.append(len(waves))
            yield from frames(self, waves)

    sources = [Source(path.name, str(path)) for path in sorted(music.iterdir())]
    with pretend_device(memory=mfcc.memory(33) / 0.8):
        outcome = Extraction(Seen(mfcc.settings), tmp_path / "there", NAME, batch=asked)(sources)
    assert (outcome.done, seen) == (COUNT, sizes)
    Extraction(mfcc, tmp_path / "cpu", "cpu")(sources)
    rows = [source.row for source in sources]
    found, expected = (open_set(tmp_path / name, mfcc).read("mfcc", rows)[0] for name in ("there", "cpu"))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_the_plan_names_the_memory_and_refuses_a_gpu_before_any_work(music, tmp_path, capsys):
    words = ["extract", "--extractor", "mfcc", "--audio", str(music), "--cache", str(tmp_path), "--dry-run"]
    with pretend_device():
        assert main([*words, "--device", NAME]) == 0
    need = create("extractors", "mfcc").memory(256) / 1e9
    assert f"about {need:.3g} GB on {NAME} at batches of 256" in capsys.readouterr().err
    with pretend_device() as log:
        log.memory = 1e6
        assert main([*words, "--device", NAME]) == 1
        assert log.launches == 0
    assert "1 MB are free" in capsys.readouterr().err
    assert main([*words, "--device", "cpu"]) == 0
    assert "at batches of" not in capsys.readouterr().err


@pytest.mark.parametrize(("specs", "kept"), [(["mfcc"], True), (["mfcc", "mfcc:n_mfcc=12"], False)])
def test_models_that_were_loaded_for_timing_do_not_take_the_memory_of_the_next(music, tmp_path, specs, kept):
    audio = Audio.of(catalog_of(str(music), []), tmp_path)
    plan = ExtractionPlan([create("extractors", spec) for spec in specs], audio, Environment(tmp_path))
    with pretend_device() as log:
        assert len(plan.plan(NAME)) == len(specs)
        assert (log.alive() > 0) == kept


def test_the_plan_suggests_a_faster_precision_on_a_gpu_only(music, tmp_path):
    audio = Audio.of(catalog_of(str(music), []), tmp_path)
    plan = ExtractionPlan([get("extractors", "mert").tiny()], audio, Environment(tmp_path))
    assert "bfloat16" not in " ".join(plan.plan("cpu"))
    with pretend_device():
        again = ExtractionPlan([get("extractors", "mert").tiny()], audio, Environment(tmp_path))
        assert "precision=bfloat16" in again.plan(NAME)[1]
