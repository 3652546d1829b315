"""Files whose headers lie, that are damaged inside, or that hold more than one recording: decoded whole, or refused."""

import io
import os
import re
import struct

import numpy as np
import pytest
import soundfile

from bench.audio import containers, mpeg, sndfile
from bench.audio.decode import probe, stream
from bench.errors import TrackError, UnavailableError

RATE = 22050


def sound(seconds, channels=1, seed=0):
    """Noise under a tone; (n, channels)."""
    n = round(seconds * RATE)
    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(n) / RATE) + 0.1 * np.random.default_rng(seed).standard_normal(n)
    return np.repeat(wave[:, None], channels, 1).astype(np.float32)


def encoded(samples, rate=RATE, **how):
    out = io.BytesIO()
    soundfile.write(out, samples, rate, **how)
    return out.getvalue()


MP3 = {"format": "MP3", "bitrate_mode": "CONSTANT", "compression_level": 0.5}
OGG = {"format": "OGG", "subtype": "VORBIS"}


def headless(data):
    """Drop the first frame, which holds the Xing header."""
    return data[mpeg.frame(data, 0).length :]


def tag(size, stated=None):
    """An ID3v2 tag of zeros with a stated size."""
    n = size if stated is None else stated
    return b"ID3\3\0\0" + bytes((n >> 21 & 127, n >> 14 & 127, n >> 7 & 127, n & 127)) + bytes(size)


@pytest.fixture
def heard(tmp_path):
    """Return a function that writes bytes to a file and decodes them at the rate of the file."""

    def call(data, name="a.bin", rate=RATE, **part):
        path = tmp_path / name
        path.write_bytes(data)
        return np.concatenate(list(stream(path, sample_rate=rate, **part)))

    return call


@pytest.fixture
def reason(heard):
    def call(data, name="a.bin", **part):
        with pytest.raises(TrackError) as caught:
            heard(data, name, **part)
        return str(caught.value)

    return call


@pytest.fixture(scope="module")
def song():
    return encoded(sound(6), **MP3)


# MP3


def test_mp3_behind_damage_is_decoded(heard, song):
    clean, half = headless(song), len(song) // 2
    whole = heard(clean)
    rng = np.random.default_rng(1)
    hole = heard(clean[:half] + bytes(1300) + clean[half + 1300 :])
    assert len(whole) - 12 * 576 < len(hole) <= len(whole)
    assert np.abs(hole[-RATE:] - whole[-RATE:]).max() < 1e-4
    for junk in (bytes(2000), rng.bytes(2000)):
        longer = heard(clean[:half] + junk + clean[half:])
        assert abs(len(longer) - len(whole)) <= 2 * 576
        assert np.abs(longer[-RATE:] - whole[-RATE:]).max() < 1e-4
        # The place is found behind the damage, too.
        late = heard(clean[:half] + junk + clean[half:], offset=5.0)
        assert len(late) == len(longer) - 5 * RATE
        assert np.array_equal(late[-1000:], longer[-1000:])


def test_much_damage_without_a_stated_length_is_refused(reason, song):
    clean, half = headless(song), len(song) // 2
    for spoiled in (
        clean[:half] + bytes(len(clean) - half),
        clean[:half] + bytes(8000) + clean[half + 8000 :],
        clean[:half] + np.random.default_rng(1).bytes(len(clean) // 4),
    ):
        assert re.fullmatch(r"damaged: \d+ of \d+ bytes are not audio", reason(spoiled))


def test_what_precedes_an_mp3_is_skipped(heard, song):
    text = b"Ripped with love, see our page for more.\r\n" * 90
    for data in (headless(song), song, encoded(sound(6), format="MP3", bitrate_mode="VARIABLE")):
        whole = heard(data)
        for before in (bytes(4096), text, tag(3000) + tag(80_000), tag(8000, stated=5000)):
            for name in ("a.mp3", "a.bin"):
                assert np.array_equal(heard(before + data, name), whole), (before[:4], name)


def test_what_follows_an_mp3_is_no_damage(heard, song):
    v1 = b"TAG" + bytes(125)
    items = 60_000
    ape = bytes(items - 32) + b"APETAGEX" + struct.pack("<IIII", 2000, items, 1, 0) + bytes(8)
    lyrics = b"LYRICSBEGIN" + bytes(30_000) + b"%06dLYRICS200" % 30_011
    for data in (headless(song), song):
        whole = heard(data)
        for after in (v1, ape + v1, lyrics + v1, bytes(900)):
            assert np.array_equal(heard(data + after), whole)


def test_joined_mp3s_are_decoded_whole(heard, reason, tmp_path, song):
    first = heard(song)
    other = encoded(sound(4, seed=7), format="MP3", bitrate_mode="VARIABLE", compression_level=0.2)
    second = heard(other)
    assert (len(first), len(second)) == (6 * RATE, 4 * RATE)
    for parts in ((song, other), (other, song), (song, tag(500), other, b"TAG" + bytes(125)), (other, other, other)):
        waves = [{song: first, other: second}[part] for part in parts if part in (song, other)]
        both = np.concatenate(waves)
        joined = b"".join(parts)
        assert np.array_equal(heard(joined), both)
        assert np.array_equal(heard(joined, offset=7.0, duration=2.0), both[7 * RATE : 9 * RATE])
        assert np.array_equal(heard(joined, limit=5.0), both[: 5 * RATE])
    assert probe(tmp_path / "a.bin").seconds is None
    tail = len(mpeg_frames(headless(other))) * 576
    assert len(heard(song + headless(other))) == len(first) + tail
    assert reason(song + encoded(sound(4), 44100, **MP3)).startswith("joined recordings differ: 22050 Hz, 1 channels")
    assert reason(song + encoded(sound(4, 2), **MP3)).startswith("joined recordings differ: 22050 Hz, 1 channels")
    assert reason(song + other[: len(other) // 2]).startswith("truncated: ")


def mpeg_frames(data):
    """Return the offsets of the frames of clean data."""
    offsets, at = [], 0
    while head := mpeg.frame(data, at):
        offsets.append(at)
        at += head.length
    return offsets


# Ogg


@pytest.mark.parametrize(("subtype", "rate"), [("VORBIS", 22050), ("OPUS", 48000)])
def test_chained_ogg_is_decoded_whole(heard, reason, subtype, rate):
    how = {"format": "OGG", "subtype": subtype}
    one, two = encoded(sound(3), rate, **how), encoded(sound(2, seed=5), rate, **how)
    first, second = heard(one, rate=rate), heard(two, rate=rate)
    assert len(first) == 3 * RATE
    for joined, both in ((one + two, [first, second]), (one + one + two, [first, first, second])):
        both = np.concatenate(both)
        assert np.array_equal(heard(joined, rate=rate), both)
        late = len(first) + 5000
        part = heard(joined, rate=rate, offset=late / rate, duration=9000 / rate)
        assert np.abs(part - both[late : late + 9000]).max() < 1e-6
    assert reason(one + encoded(sound(2, 2), rate, **how)).startswith("joined recordings differ: ")


@pytest.mark.parametrize(("subtype", "rate"), [("VORBIS", 22050), ("OPUS", 48000)])
def test_damage_in_ogg_is_refused(reason, heard, subtype, rate):
    data = encoded(sound(6), rate, format="OGG", subtype=subtype)
    seconds = 6 * RATE / rate
    for at in (len(data) // 2, len(data) - 2000):  # the last page holds a second of Vorbis
        spoiled = data[:at] + bytes(500) + data[at + 500 :]
        found = re.fullmatch(r"truncated: (\d\.\d) of (\d\.\d) seconds decoded", reason(spoiled))
        assert float(found[1]) < 0.95 * seconds
        assert float(found[1]) < float(found[2]) <= seconds + 0.06
        assert len(heard(spoiled, rate=rate, limit=1.0)) == rate
        assert reason(data + spoiled).startswith("truncated: ")
        assert reason(spoiled + data).startswith("truncated: ")
    assert len(heard(data + b"TAG" + bytes(125), rate=rate)) == 6 * RATE


# FLAC


def test_flac_written_to_a_pipe(heard, reason, tmp_path):
    data = bytearray(encoded(sound(6), format="FLAC"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    assert len(heard(data)) == 6 * RATE
    assert probe(tmp_path / "a.bin").seconds is None
    half = len(data) // 2
    data[half : half + 30_000] = bytes(30_000)
    assert reason(data).startswith("damaged: the decoder stops after ")


@pytest.mark.parametrize("frames", [1000, 132_300, 32_768, 131_072])
def test_joined_flac_is_refused(reason, frames):
    one = encoded(sound(6)[:frames], format="FLAC")
    assert reason(one + one) == f"damaged: a second recording begins at byte {len(one)}"


# WAV and AU


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_U8", "FLOAT", "ULAW"])
@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
def test_wav_of_stated_size_zero(heard, reason, subtype, endian):
    data = bytearray(encoded(sound(2, 2), format="WAV", subtype=subtype, endian=endian))
    whole = heard(data)
    at = data.index(b"data")
    data[at + 4 : at + 8] = bytes(4)
    assert np.array_equal(heard(data), whole)
    assert reason(data[: at + 8] + b"LIST" + bytes(4)) == "no samples"


def test_au_of_stated_size_zero(heard):
    data = bytearray(encoded(sound(2), format="AU"))
    whole = heard(data)
    data[8:12] = bytes(4)
    assert np.array_equal(heard(data), whole)


def test_wav_of_stated_size_zero_in_a_packed_format(reason):
    data = bytearray(encoded(sound(2), format="WAV", subtype="IMA_ADPCM"))
    at = data.index(b"data")
    data[at + 4 : at + 8] = bytes(4)
    assert reason(data) == "damaged: the header states a wrong length (IMA_ADPCM)"


def test_bytes_behind_the_samples_of_a_wav(heard, reason):
    data = encoded(sound(2), format="WAV")
    whole = heard(data)
    chunk = b"LIST" + struct.pack("<I", 20_000) + np.random.default_rng(0).bytes(20_000)
    for after in (chunk, bytes(20_000), b"some text"):
        assert np.array_equal(heard(data + after), whole)
    more = np.random.default_rng(0).bytes(20_000)
    told = f"damaged: 20000 of {len(data) + 20_000} bytes lie behind the samples that the header states"
    assert reason(data + more) == told


def test_wav_beyond_4_gib(tmp_path):
    """The stated size is the remainder of a division by 2**32; the file is sparse."""
    data = bytearray(encoded(sound(1), format="WAV"))
    samples, path = bytes(data[44:]), tmp_path / "long.wav"
    size = (1 << 32) + len(samples)
    data[4:8], data[40:44] = struct.pack("<I", 36 + len(samples)), struct.pack("<I", len(samples))
    with open(path, "wb") as file:
        file.write(data)
        file.truncate(44 + size)
        file.seek(-len(samples), os.SEEK_END)
        file.write(samples)
    assert containers.unstated(str(path), 44 + size) == (44, 44 + size, "little")
    assert probe(path).seconds == size / 2 / RATE
    last = np.concatenate(list(stream(path, sample_rate=RATE, offset=(size - len(samples)) / 2 / RATE)))
    assert np.array_equal(last, np.frombuffer(samples, "<i2") / np.float32(32768))


def test_channels_that_cancel_are_named(reason):
    wave = sound(1)
    cancelling = encoded(np.hstack([wave, -wave]), format="WAV", subtype="FLOAT")
    assert reason(cancelling) == "silent: the channels cancel each other in their mean"
    assert reason(encoded(0 * wave, format="WAV")) == "silent"


def test_a_failed_read_of_the_disk_is_a_fault_of_the_machine(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(sound(1), format="WAV"))
    source = sndfile.Sndfile(str(path), path.stat().st_size)

    def read(**_):
        raise soundfile.LibsndfileError(sndfile.SYSTEM)

    monkeypatch.setattr(source._file, "read", read)
    with pytest.raises(UnavailableError):
        list(source.blocks(0, None))
