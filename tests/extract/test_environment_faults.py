"""Failures that another machine or package would cure are listed and never remembered."""

import sys
import types

import numpy as np
import pytest
import soundfile
import torch
from safetensors.numpy import load_file

from bench.cli import main
from bench.extract import Extraction, open_set
from bench.extract.readers import Source
from bench.protocols import Extractor, NoSettings, Window
from bench.store import Failure, Vector, VectorSet
from bench.testing import clips

RATE = 8000


class Mean(Extractor):
    """The mean of each window; fails on loud windows with `error`."""

    name = "mean"
    license = "MIT"
    sample_rate = RATE
    layers = {"mean": 1}  # noqa: RUF012
    window = Window(length=4_000, hop=4_000, shortest=400)
    error: Exception | None = None

    def __init__(self):
        super().__init__(NoSettings())

    def fingerprint(self):
        return {}

    def load(self, device, dtype):
        pass

    def frames(self, waves):
        if self.error is not None and float(waves.abs().max()) > 0.5:
            raise self.error
        yield "mean", waves.mean(-1, keepdim=True)[:, None]


def embed(cache, extractor, paths):
    """Embed files one window at a time under the row keys r0, r1, ...; return failures and rows of the set."""
    work = Extraction(extractor, cache, batch=1, log=lambda line: None)
    outcome = work([Source(f"r{i}", str(path)) for i, path in enumerate(paths)])
    return dict(outcome.failed), open_set(cache, extractor)


@pytest.fixture
def no_decoder(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchcodec", None)
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)


def install_decoder(monkeypatch):
    """Install a substitute with the interface of torchcodec; each file is two seconds of noise."""

    class AudioDecoder:
        def __init__(self, source):
            self.metadata = types.SimpleNamespace(
                sample_rate=RATE,
                num_channels=1,
                codec="aac",
                begin_stream_seconds_from_header=0.0,
                duration_seconds_from_header=2.0,
            )

        def get_samples_played_in_range(self, start_seconds, stop_seconds):
            if start_seconds > 0:
                raise RuntimeError("No audio frames were decoded.")
            return types.SimpleNamespace(data=torch.rand(1, 2 * RATE) - 0.4)

    decoders = types.ModuleType("torchcodec.decoders")
    decoders.AudioDecoder = AudioDecoder
    monkeypatch.setitem(sys.modules, "torchcodec", types.ModuleType("torchcodec"))
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", decoders)


def test_a_decoder_that_is_installed_later_is_used(tmp_path, no_decoder, monkeypatch, capsys):
    library = tmp_path / "library"
    library.mkdir()
    clips.write(library, [0.5], RATE)
    (library / "song.m4a").write_bytes(b"\0\0\0 ftypM4A " + bytes(4000))
    (library / "text.mp3").write_text("this is not a song\n" * 99)
    words = ["extract", "--extractor", "mfcc", "--audio", str(library), "--cache", str(tmp_path / "c")]
    for _ in range(2):  # the second run tries the song again, but not the text
        assert main(words) == 0
        said = capsys.readouterr().out
        assert "song: no decoder for .m4a: pip install 'music-embedding-bench[m4a]'" in said
        assert "1 of 3 tracks have vectors" in said
    (folder,) = (tmp_path / "c" / "store").glob("mfcc-*")
    stored = [reason.tobytes() for path in folder.glob("failed-*") for reason in load_file(path)["reason"]]
    assert stored == [b"not audio: format not recognised"]
    install_decoder(monkeypatch)
    assert main(words) == 0
    assert "2 of 3 tracks have vectors" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "stored"),
    [
        (MemoryError(), False),
        (torch.OutOfMemoryError("CUDA out of memory"), False),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"), False),
        (RuntimeError("cuFFT error: CUFFT_INTERNAL_ERROR"), False),
        (ImportError("No module named 'einops'"), False),
        (OSError("libcublas.so.12: cannot open shared object file"), False),
        (RuntimeError("shape mismatch"), True),
        (ValueError("too loud"), True),
    ],
)
@pytest.mark.parametrize("loud", [0, 2])  # before and after the model is known to work
def test_only_failures_of_the_recording_are_stored(tmp_path, error, stored, loud):
    paths = []
    for at in range(3):
        level = 0.9 if at == loud else 0.1
        paths.append(tmp_path / f"{at}.wav")
        soundfile.write(paths[-1], level * np.sin(np.arange(4000 + at)), RATE)
    extractor = Mean()
    extractor.error = error
    failed, filled = embed(tmp_path / "c", extractor, paths)
    assert list(failed) == [f"r{loud}"]
    rows = filled.rows().filter(status="failed")["row"].to_list()
    assert rows == ([f"r{loud}"] if stored else [])
    assert filled.missing(["r0", "r1", "r2"]) == ([] if stored else [f"r{loud}"])


@pytest.mark.parametrize(("error", "stored"), [(OSError(5, "Input/output error"), False), (KeyError("x"), True)])
def test_errors_while_a_file_is_read(tmp_path, monkeypatch, error, stored):
    from bench.audio import windows

    path = clips.write(tmp_path, [0.5], RATE)[0]

    def stream(*_, **__):
        raise error

    monkeypatch.setattr(windows, "stream", stream)
    failed, filled = embed(tmp_path / "c", Mean(), [path])
    assert failed.keys() == {"r0"}
    assert filled.missing(["r0"]) == ([] if stored else ["r0"])


def test_failures_of_another_reader_are_tried_again(tmp_path):
    def opened(reader):
        return VectorSet(tmp_path, "x", {}, {"a": 1}, "float32", reader)

    old, new = opened("reader 1"), opened("reader 2")
    old.append([Vector("v", 1.0, {"a": np.zeros(1)})], [Failure("f", "not audio"), Failure("g", "no decoder for .m4a")])
    assert old.missing(["v", "f", "g"]) == []
    assert new.missing(["v", "f", "g"]) == ["f", "g"]
    assert new.rows()["row"].to_list() == ["v"]
    new.append([], [Failure("f", "not audio")])
    assert new.missing(["v", "f", "g"]) == ["g"]
    assert old.missing(["v", "f", "g"]) == []  # another machine with other decoders


def test_failures_of_versions_that_did_not_name_the_reader_are_tried_again(tmp_path):
    filled = open_set(tmp_path, Mean())
    VectorSet(tmp_path / "store", "mean", filled.key, filled.layers, "float32").append([], [Failure("f", "not audio")])
    assert len(list(filled.folder.glob("failed-*"))) == 1
    assert filled.missing(["f"]) == ["f"]
