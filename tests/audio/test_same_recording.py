"""The same recording in another encoding, level and cut is found; other recordings, noise and steady tones are not."""

import numpy as np
import pytest

from bench.audio.fingerprint import RATE, fingerprints, words
from bench.audio.pcm_cache import Recording
from bench.audio.same_recording import MOST_ERRORS, errors, same_recordings

SECONDS = 8


def piece(seed):
    """Random chords at `RATE`, four a second, (n,) float32."""
    rng = np.random.default_rng(seed)
    clock = np.arange(RATE // 4) / RATE
    notes = 220 * 2 ** (rng.integers(0, 36, (4 * SECONDS, 3)) / 12)
    chords = [np.sin(2 * np.pi * chord[:, None] * clock).sum(axis=0) * np.exp(-6 * clock) for chord in notes]
    return np.concatenate(chords).astype(np.float32)


def noise(seed, level):
    return np.random.default_rng(seed).normal(0, level, SECONDS * RATE).astype(np.float32)


def test_copies_are_connected_and_others_are_apart():
    copies = [
        piece(0)[cut:] * level + noise(cut, 0.02 * level)[cut:] for cut, level in ((0, 1), (7_321, 0.1), (260, 2))
    ]
    others = [piece(seed) for seed in range(1, 9)]
    found = same_recordings([words(one) for one in [*others[:4], *copies, *others[4:]]])
    connected = {4}
    for a, b in found.tolist():
        assert {a, b} <= {4, 5, 6}
        connected |= {a, b}
    assert connected == {4, 5, 6}


def test_the_share_of_unlike_bits_is_that_of_the_shift():
    one = words(piece(0))
    flipped = one ^ np.uint32(0b101)
    assert errors(one, flipped, 0) == 2 / 32
    assert errors(one[7:], one, -7) == 0
    assert errors(one, one[7:], 7) == 0
    assert errors(one, one, 7) > MOST_ERRORS
    assert errors(one[:39], one[:39], 0) == 1  # too short


@pytest.mark.parametrize("same", ["silence", "tone", "short"])
def test_what_says_nothing_is_no_copy(same):
    clock = np.arange(SECONDS * RATE) / RATE
    sound = {"silence": 0 * clock, "tone": np.sin(2 * np.pi * 440 * clock), "short": piece(0)[:RATE]}[same]
    made = words(sound.astype(np.float32))
    assert len(same_recordings([made, made.copy()])) == 0


def test_fingerprints_are_kept_by_content(tmp_path):
    import soundfile

    path = tmp_path / "a.wav"
    soundfile.write(path, piece(0) / 3, RATE)
    (first,) = fingerprints([Recording("key", str(path))], tmp_path, print)
    path.unlink()
    again, lost = fingerprints([Recording("key", str(path)), Recording("other", str(path))], tmp_path, print)
    assert np.array_equal(first, again)
    assert len(first) > 60
    assert len(lost) == 0
