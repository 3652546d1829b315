"""Files for torchcodec, with a substitute of its interface, because the FFmpeg libraries may be absent."""

import sys
import types

import numpy as np
import pytest

from bench.audio import ffmpeg
from bench.audio.decode import mono, probe, stream
from bench.errors import TrackError, UnavailableError

RATE = 22050


@pytest.fixture
def heard(tmp_path):
    """Return a function that writes bytes to a file and decodes them at the rate of the file."""

    def call(data, name):
        path = tmp_path / name
        path.write_bytes(data)
        return np.concatenate(list(stream(path, sample_rate=RATE)))

    return call


@pytest.fixture
def decoder(monkeypatch):
    """Put a substitute with torchcodec's interface in place; `requests` are the ranges asked of each new decoder."""
    state = types.SimpleNamespace(
        samples=np.random.default_rng(0).uniform(-0.5, 0.5, (12 * RATE, 2)).astype(np.float32),
        requests=[],
        seconds=12.0,
        fails=None,
    )

    class AudioDecoder:
        def __init__(self, source):
            self.metadata = types.SimpleNamespace(
                sample_rate=RATE,
                num_channels=2,
                codec="x",
                begin_stream_seconds_from_header=None,
                duration_seconds_from_header=state.seconds,
            )
            self.fresh = True

        def get_samples_played_in_range(self, start_seconds, stop_seconds):
            import torch

            state.requests.append((self.fresh, start_seconds))
            first, last = round(start_seconds * RATE), round(stop_seconds * RATE)
            if not self.fresh and state.fails == "seek":
                raise RuntimeError("No audio frames were decoded.")
            if state.fails == "damage":
                raise RuntimeError("Could not push packet to decoder: Invalid data\nmore")
            self.fresh = False
            if first >= len(state.samples):
                raise RuntimeError("No audio frames were decoded.")
            return types.SimpleNamespace(data=torch.from_numpy(state.samples[max(first, 0) : last].T.copy()))

    module = types.ModuleType("torchcodec.decoders")
    module.AudioDecoder = AudioDecoder
    monkeypatch.setitem(sys.modules, "torchcodec", types.ModuleType("torchcodec"))
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", module)
    return state


FLAC_IN_OGG = b"OggS\0\2" + bytes(20) + b"\1\x33\x7fFLAC\1\0" + bytes(500)
ODD = {
    "a.oga": FLAC_IN_OGG,
    "a.caf": b"caff\0\1\0\0" + bytes(500),
    "a.wma": b"\x30\x26\xb2\x75" + bytes(500),
    "a.spx": b"OggS\0\2" + bytes(20) + b"\1\x50Speex   1.2" + bytes(500),
}


@pytest.mark.parametrize("name", ODD)
def test_torchcodec_is_asked_for_what_libsndfile_refuses(decoder, heard, name, monkeypatch):
    monkeypatch.setattr(ffmpeg, "LONG_STEP", 100_000)
    decoder.fails = "seek"  # a decoder of these formats does not go on in the middle of a packet
    assert np.array_equal(heard(ODD[name], name), mono(decoder.samples))
    assert all(fresh for fresh, _ in decoder.requests)
    assert len(decoder.requests) >= 3


@pytest.mark.parametrize("name", ODD)
def test_a_missing_decoder_is_a_fault_of_the_machine(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchcodec", None)
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    (tmp_path / name).write_bytes(ODD[name])
    with pytest.raises(UnavailableError, match=r"music-embedding-bench\[m4a\]"):
        probe(tmp_path / name)


@pytest.mark.parametrize(
    "head", [b"\xff\xf1\x50\x80", b"ID3\3\0\0\0\0\0\x40" + bytes(64) + b"\xff\xf9\x50\x80", b"\x0b\x77", b"#!AMR\n"]
)
def test_formats_that_state_no_length_promise_none(decoder, heard, head, tmp_path):
    decoder.seconds = 116.5  # FFmpeg's guess from the bit rate of a quiet start
    assert len(heard(head + bytes(500), "a.aac")) == len(decoder.samples)
    assert probe(tmp_path / "a.aac").seconds is None
    decoder.fails = "damage"
    with pytest.raises(TrackError, match=r"^damaged: could not push packet to decoder: invalid data$"):
        heard(head + bytes(500), "a.aac")
