import itertools
import math
import os
import struct
import sys
import tracemalloc
import types

import numpy as np
import pytest
import soundfile

from bench.audio import ffmpeg, sndfile
from bench.audio.decode import RESAMPLER, mono, probe, stream
from bench.errors import TrackError

FORMATS = {
    "wav": {"format": "WAV", "subtype": "PCM_16"},
    "flac": {"format": "FLAC"},
    "ogg": {"format": "OGG", "subtype": "VORBIS"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "mp3": {"format": "MP3"},
    "aiff": {"format": "AIFF"},
    "au": {"format": "AU"},
    "w64": {"format": "W64"},
    "caf": {"format": "CAF"},
}


def tone(seconds, rate, channels=1, frequency=440.0, noise=0.0, seed=0):
    """A tone, quieter in each further channel; (n, channels)."""
    n = round(seconds * rate)
    wave = 0.5 * np.sin(2 * np.pi * frequency * np.arange(n) / rate)
    wave = wave + noise * np.random.default_rng(seed).standard_normal(n)
    return (wave[:, None] / np.arange(1, channels + 1)).astype(np.float32)


@pytest.fixture
def save(tmp_path):
    def write(samples, rate, name="a.wav", **how):
        extension = name.rsplit(".", 1)[-1]
        how = how or FORMATS[extension]
        path = tmp_path / name
        soundfile.write(path, samples, rate, **how)
        return path

    return write


def heard(path, rate=16000, **part):
    blocks = list(stream(path, sample_rate=rate, **part))
    assert all(b.dtype == np.float32 and b.ndim == 1 and b.flags.c_contiguous and len(b) for b in blocks)
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def reason(path, rate=16000, **part):
    with pytest.raises(TrackError) as caught:
        heard(path, rate, **part)
    return str(caught.value)


def promised_length(n, rate, target):
    return math.floor(n * target / rate + 0.5)


# Formats, rates, channels


def possible(name, rate, channels):
    if name == "mp3":
        return rate <= 48000 and channels <= 2
    return name != "opus" or rate in (8000, 16000, 48000)


@pytest.mark.parametrize(
    ("name", "rate", "channels"),
    [
        case
        for case in itertools.product(FORMATS, (8000, 16000, 22050, 44100, 48000, 96000), (1, 2, 6))
        if possible(*case)
    ],
)
def test_formats_rates_channels(save, name, rate, channels):
    n = rate // 2 + 7
    path = save(tone(n / rate, rate, channels), rate, f"a.{name}")
    info = probe(path)
    assert (info.sample_rate, info.channels, info.decoder) == (rate, channels, "libsndfile")
    assert info.seconds == pytest.approx(n / rate, rel=1e-9)
    wave = heard(path)
    assert len(wave) == promised_length(n, rate, 16000)
    level = np.mean(1 / np.arange(1, channels + 1))
    middle = wave[2000:-2000]
    ideal = level * tone(1, 16000)[2000 : 2000 + len(middle), 0]
    lossy = name in ("ogg", "opus", "mp3")
    assert np.abs(middle - ideal).max() < (0.06 if lossy else 2e-4)


def test_the_same_tone_from_two_rates_agrees(save):
    a = heard(save(tone(2, 44100), 44100, "a.wav", subtype="FLOAT"))
    b = heard(save(tone(2, 16000), 16000, "b.wav", subtype="FLOAT"))
    assert len(a) == len(b) == 32000
    assert np.abs(a - b)[500:-500].max() < 1e-4
    assert np.array_equal(b, tone(2, 16000)[:, 0])


@pytest.mark.parametrize(("rate", "target"), [(44100, 16000), (16000, 44100), (48000, 22050), (22050, 24000)])
def test_exact_lengths(save, rate, target):
    for n in (1, 2, 3, 99, 441, 1000, 32768, 32769, 65537):
        samples = np.full(n, 0.5, np.float32)
        expected = promised_length(n, rate, target)
        path = save(samples, rate)
        if expected:
            assert len(heard(path, target)) == expected
        else:
            assert reason(path, target) == "silent"


@pytest.mark.parametrize("name", ["flac", "ogg", "mp3", "opus"])
def test_samples_do_not_depend_on_block_sizes(save, name, monkeypatch):
    how = FORMATS[name]
    if name == "mp3":  # lowest bit rate, so that packets depend on earlier ones
        how = {"format": "MP3", "bitrate_mode": "CONSTANT", "compression_level": 0.99}
    path = save(tone(3, 48000, 2, noise=0.2), 48000, f"a.{name}", **how)
    whole = heard(path)
    for block in (1000, 4099, 1 << 20):
        monkeypatch.setattr(sndfile, "BLOCK", block)
        other = heard(path)
        assert len(other) == len(whole)
        assert np.abs(other - whole).max() < 1e-6


def test_mono_is_the_mean(save):
    rng = np.random.default_rng(0)
    for channels in (1, 2, 3, 8):
        block = rng.standard_normal((100, channels)).astype(np.float32)
        assert np.allclose(mono(block), block.astype(np.float64).mean(1), atol=1e-6)
    assert reason(save(np.array([[0.5, -0.5]] * 9000), 16000)) == "silent: the channels cancel each other in their mean"
    assert RESAMPLER == "soxr-hq"


# Offset, duration, limit


@pytest.mark.parametrize("name", [*FORMATS, "lean.mp3", "headless.mp3"])
def test_offsets_are_exact_to_the_sample(save, name, monkeypatch):
    monkeypatch.setattr(sndfile, "PREROLL", 30_000)  # the default is longer than these files
    rate, samples = 48000, tone(4, 48000, 2, noise=0.2)
    if "." in name:
        how = {"format": "MP3", "bitrate_mode": "CONSTANT", "compression_level": 0.95}
        path = save(samples, rate, "a.mp3", **how)
        if name == "headless.mp3":
            _drop_xing(path)
    else:
        path = save(samples, rate, f"a.{name}")
    whole = heard(path, rate)
    for first, count in [(1, 3000), (1151, 5000), (30_001, 48_000), (95_000, 70_000), (len(whole) - 999, 999)]:
        part = heard(path, rate, offset=first / rate, duration=count / rate)
        assert len(part) == count
        assert np.abs(part - whole[first : first + count]).max() < 1e-6, (first, count)
    rest = heard(path, rate, offset=2.0)
    assert np.abs(rest - whole[2 * rate :]).max() < 1e-6


def test_duration_and_limit(save):
    path = save(tone(3, 44100, noise=0.2), 44100)
    assert len(heard(path, offset=1.0, duration=1.5)) == 24000
    assert len(heard(path, offset=2.5, duration=5.0)) == 8000  # up to the end
    whole = heard(path)
    for limit in (0.01, 1.0, 2.999, 3.0, 9.0):
        assert np.array_equal(heard(path, limit=limit), whole[: round(limit * 16000)])


def test_offset_beyond_the_end(save):
    for name in ("wav", "mp3"):
        path = save(tone(1, 44100), 44100, f"a.{name}")
        assert reason(path, offset=40.0) == "offset beyond the end: 40 s of 1 s"
    _drop_xing(path)
    assert reason(path, offset=40.0) == "offset beyond the end: 40 s"


# Lengths that are not in the header


def _drop_xing(path):
    data = path.read_bytes()
    second = data.find(data[:2], 4)
    path.write_bytes(data[second:])


def test_mp3_without_a_length_is_read_to_its_end(save):
    """After a loud start, the rest is quiet, so the bit rate of the first frames gives a wrong length."""
    samples = tone(20, 44100, 2, noise=0.3)
    samples[44100:] *= 1e-3
    path = save(samples, 44100, "a.mp3", format="MP3", bitrate_mode="VARIABLE", compression_level=0.1)
    _drop_xing(path)
    assert soundfile.info(path).duration < 15  # the estimate of libsndfile
    assert probe(path).seconds is None
    assert len(heard(path)) / 16000 == pytest.approx(20, abs=0.1)


def test_wav_written_to_a_pipe(save):
    path = save(tone(1, 16000), 16000)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff" * 4
    path.write_bytes(data)
    assert len(heard(path)) == 16000


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "aiff", "au", "w64"])
def test_truncated(save, name):
    path = save(tone(10, 16000, noise=0.2), 16000, f"a.{name}")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    words = reason(path).split()
    assert words[0] == "truncated:"
    assert 2.5 < float(words[1]) < 6
    assert words[2:] == ["of", words[3], "seconds", "decoded"]
    assert float(words[3]) == pytest.approx(10, abs=0.1)
    # The section before the damage still decodes.
    assert len(heard(path, offset=0.5, duration=1.0)) == 16000
    assert len(heard(path, limit=2.0)) == 32000


def test_a_few_lost_samples_are_accepted(save):
    path = save(tone(10, 16000, noise=0.2), 16000)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.97)])
    assert 15.5e4 < len(heard(path)) < 16e4


# Reasons


def test_reasons(save, tmp_path):
    assert reason(tmp_path / "no.wav") == "missing"
    assert reason(tmp_path) == "cannot be read: it is not a file"
    empty = tmp_path / "empty.mp3"
    empty.write_bytes(b"")
    assert reason(empty) == "empty file"
    assert reason(save(np.zeros((0, 1)), 16000)) == "no samples"
    for name in ("text.mp3", "text.wav", "text.raw", "noextension"):
        text = tmp_path / name
        text.write_text("this is not a song, it is a sentence\n" * 50)
        assert reason(text) == "not audio: format not recognised"
    silence = np.zeros(48000, np.float32)
    assert reason(save(silence, 44100)) == "silent"
    silence[40_000] = 0.01
    assert len(heard(save(silence, 44100))) == 17415
    assert reason(save(silence, 44100), limit=0.5) == "silent"
    for bad in (np.nan, np.inf, -np.inf):
        spoiled = tone(3, 44100)
        spoiled[100_000] = bad
        path = save(spoiled, 44100, subtype="FLOAT")
        assert reason(path) == reason(path, 44100) == "NaN or infinite samples"
        assert len(heard(path, limit=1.0)) == 16000
    with pytest.raises(TrackError, match="missing"):
        probe(tmp_path / "no.wav")


def test_no_permission(save, tmp_path):
    path = save(tone(1, 16000), 16000)
    path.chmod(0)
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        assert reason(path) == "cannot be read: Permission denied"
    finally:
        if root:
            os.seteuid(0)


def test_formats_of_the_optional_decoder(tmp_path):
    heads = {"a.m4a": b"junk", "b.wma": b"junk", "c.mp3": b"\0\0\0 ftypM4A \0\0", "d": b"\xff\xf1\x50\x80"}
    for name, head in heads.items():
        (tmp_path / name).write_bytes(head + bytes(500))
        told = reason(tmp_path / name)
        if "no decoder" in told:
            label = {"c.mp3": "MP4", "d": "AAC"}.get(name, os.path.splitext(name)[1])
            assert told == f"no decoder for {label}: pip install 'music-embedding-bench[m4a]'"
        else:  # torchcodec is installed
            assert told.startswith(("not audio: ", "truncated", "no samples"))


def test_requests_to_the_optional_decoder_are_contiguous(tmp_path, monkeypatch):
    """Use a substitute with the interface of torchcodec, because the FFmpeg libraries may be absent."""
    rate, begin = 48000, 0.025
    samples = tone(3, rate, 2, noise=0.2)
    asked = []

    class AudioDecoder:
        def __init__(self, source):
            assert source == str(tmp_path / "a.m4a")
            self.metadata = types.SimpleNamespace(
                sample_rate=rate,
                num_channels=2,
                codec="aac",
                begin_stream_seconds_from_header=begin,
                duration_seconds_from_header=promise,
            )

        def get_samples_played_in_range(self, start_seconds, stop_seconds):
            asked.append((start_seconds, stop_seconds))
            first, last = (round((at - begin) * rate) for at in (start_seconds, stop_seconds))
            if first >= len(samples):
                raise RuntimeError("No audio frames were decoded.\nMore about that.")
            return types.SimpleNamespace(data=torch.from_numpy(samples[first:last].T.copy()))

    import torch

    decoders = types.ModuleType("torchcodec.decoders")
    decoders.AudioDecoder = AudioDecoder
    monkeypatch.setitem(sys.modules, "torchcodec", types.ModuleType("torchcodec"))
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", decoders)
    monkeypatch.setattr(ffmpeg, "STEP", 50_000)
    path = tmp_path / "a.m4a"
    path.write_bytes(b"\0\0\0 ftypM4A " + bytes(1000))
    for promise in (3.0, None):
        assert np.array_equal(heard(path, rate), mono(samples))
        part = heard(path, rate, offset=0.5, duration=1.2)
        assert np.array_equal(part, mono(samples)[24_000 : 24_000 + 57_600])
        assert probe(path).seconds == promise
    assert asked[:3] == [(begin + k * 50_000 / rate, begin + (k + 1) * 50_000 / rate) for k in range(3)]
    promise = 10.0
    assert reason(path) == "truncated: 3.0 of 10.0 seconds decoded"


def test_names_do_not_matter(save, tmp_path):
    samples = tone(1, 44100, 2)
    path = save(samples, 44100, "a.mp3")
    for name in ("mislabelled.wav", "日本 – ñ 🎵.ogg", "noextension", "song.M4A"):
        path.rename(tmp_path / name)
        path = tmp_path / name
        assert probe(path).format.startswith("MP3")
        assert len(heard(str(path))) == 16000


def test_odd_rates_are_refused(save):
    path = save(tone(1, 16000), 16000)
    data = bytearray(path.read_bytes())
    data[24:28] = struct.pack("<I", 7)
    path.write_bytes(data)
    assert reason(path) == "not audio: 7 Hz, 1 channels"


def test_files_that_decode_to_too_many_frames_are_stopped(save, monkeypatch):
    """A wrong length in a header has no effect; a file that decodes to too many frames fails."""
    path = save(tone(0.2, 16000, noise=0.2), 16000, "a.flac")
    data = bytearray(path.read_bytes())
    data[21:26] = bytes([data[21] | 0x0F]) + b"\xff" * 4  # total samples: 2**36 - 1
    path.write_bytes(data)
    assert reason(path).startswith("truncated: 0.2 of 4294967.3 seconds")
    zeros = save(np.full(16000 * 30, 0.25), 16000, "b.flac")
    assert len(heard(zeros)) == 480000
    monkeypatch.setattr(sndfile, "DENSEST", 1)
    assert reason(zeros).startswith("damaged: ")


# Damage


@pytest.mark.parametrize("name", ["wav", "flac", "ogg", "mp3", "opus"])
def test_damaged_files_decode_or_fail_with_a_reason(save, name, tmp_path, capfd):
    rng = np.random.default_rng(5)
    data = save(tone(2, 16000, 2, noise=0.02), 16000, f"a.{name}").read_bytes()
    damaged = tmp_path / "damaged"
    outcomes = set()
    for turn in range(100):
        copy = bytearray(data)
        at, length = int(rng.integers(0, len(copy))), int(rng.integers(1, 2000))
        if turn % 5 == 0:
            for spot in rng.integers(0, len(copy), 20):
                copy[spot] ^= 1 << int(rng.integers(0, 8))
        elif turn % 5 == 1:
            del copy[max(at, 1) :]
        elif turn % 5 == 2:
            copy[at : at + length] = bytes(min(length, len(copy) - at))
        elif turn % 5 == 3:
            for spot in rng.integers(0, 100, 5):
                copy[spot] = int(rng.integers(0, 256))
        else:
            del copy[at : at + length]
        damaged.write_bytes(copy or b"x")
        total = 0
        try:
            for block in stream(damaged, sample_rate=16000, offset=0.5 if turn % 2 else None):
                total += len(block)
                assert np.isfinite(block).all()
                assert total < 20 * 16000 * 48
            outcomes.add("fine")
        except TrackError as error:
            outcomes.add(str(error).split(":")[0])
    assert {"fine", "not audio"} <= outcomes
    capfd.readouterr()  # libmpg123 prints warnings on damaged MP3


# Memory


@pytest.mark.parametrize("rate", [16000, 44100])
def test_memory_does_not_grow_with_length(tmp_path, rate):
    """Decode an hour of a sparse WAV file: all zeros after the first second."""
    seconds = 3600
    path = tmp_path / "long.wav"
    soundfile.write(path, tone(1, rate), rate, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    data[4:8] = struct.pack("<I", 36 + 2 * rate * seconds)
    data[40:44] = struct.pack("<I", 2 * rate * seconds)
    with open(path, "wb") as file:
        file.write(data)
        file.truncate(44 + 2 * rate * seconds)
    tracemalloc.start()
    total = sum(len(block) for block in stream(path, sample_rate=16000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 16000 * seconds
    assert peak < 4 * 2**20
