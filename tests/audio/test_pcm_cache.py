import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import soundfile

from bench.audio.decode import stream
from bench.audio.pcm_cache import FULL_SCALE, Recording, decoded, estimated_bytes
from bench.errors import BenchError


@pytest.fixture
def recordings(tmp_path):
    rng = np.random.default_rng(0)
    found = []
    for at, seconds in enumerate((0.5, 2.0, 1.25, 0.75)):
        path = tmp_path / f"{at}.wav"
        soundfile.write(path, rng.uniform(-0.5, 0.5, (round(22_050 * seconds), 2)), 22_050, subtype="PCM_16")
        found.append(Recording(f"row{at}", str(path)))
    found[3] = found[3]._replace(offset=0.25, duration=0.25)
    return found


def reference(one):
    blocks = list(stream(one.path, sample_rate=16_000, offset=one.offset, duration=one.duration))
    return np.rint(np.concatenate(blocks) * FULL_SCALE).astype(np.int16)


def test_the_samples_are_those_of_the_decoder(recordings, tmp_path):
    pcm = decoded(recordings, 16_000, tmp_path / "cache")
    assert not pcm.problems
    for at, one in enumerate(recordings):
        start, length = int(pcm.start[at]), int(pcm.length[at])
        np.testing.assert_array_equal(pcm.samples[start : start + length], reference(one))
    assert abs(estimated_bytes(recordings, 16_000) - 2 * pcm.length.sum()) < 10


def test_windows_lie_inside_their_recording_and_short_ones_are_padded(recordings, tmp_path):
    pcm = decoded(recordings, 16_000, tmp_path / "cache")
    which = np.repeat(np.arange(4), 50)
    drawn = pcm.draw(which, 8_001, np.random.default_rng(1))
    places = set()
    for recording, window in zip(which.tolist(), drawn, strict=True):
        whole = reference(recordings[recording])
        if len(whole) <= 8_001:
            np.testing.assert_array_equal(window, np.pad(whole, (0, 8_001 - len(whole))))
        else:
            found = [at for at in range(len(whole) - 8_000) if (whole[at : at + 8] == window[:8]).all()]
            assert any((whole[at : at + 8_001] == window).all() for at in found)
            places.update(found)
    assert len(places) > 60
    np.testing.assert_array_equal(drawn, pcm.draw(which, 8_001, np.random.default_rng(1)))
    spread = pcm.spread(1, 8_000, 3)
    np.testing.assert_array_equal(spread, reference(recordings[1]).reshape(4, 8_000)[[0, 2, 3]])


def test_what_cannot_be_decoded_is_named_and_left_empty(recordings, tmp_path):
    broken = tmp_path / "1.wav"
    broken.write_bytes(b"RIFF" + bytes(60))
    pcm = decoded(recordings, 16_000, tmp_path / "cache")
    assert list(pcm.problems) == [1]
    assert pcm.length[1] == 0
    with pytest.raises(BenchError, match="none of 1 recordings"):
        decoded(recordings[1:2], 16_000, tmp_path / "cache")


def test_a_killed_process_goes_on_where_it_was(recordings, tmp_path):
    code = textwrap.dedent(f"""
        import os, signal, sys
        from bench.audio import pcm_cache
        pcm_cache.SYNC = 1
        def progress(done, failed):
            if done == 2:
                os.kill(os.getpid(), signal.SIGKILL)
        recordings = [pcm_cache.Recording(*each) for each in {[tuple(each) for each in recordings]!r}]
        pcm_cache.decoded(recordings, 16_000, pcm_cache.Path({str(tmp_path / "cache")!r}), progress)
    """)
    killed = subprocess.run([sys.executable, "-c", code], check=False, env={**os.environ})
    assert killed.returncode == -signal.SIGKILL
    (folder,) = (tmp_path / "cache" / "pcm").iterdir()
    assert not (folder / "index.json").exists()
    with open(folder / "samples.part", "ab") as file:
        file.write(b"garbage")  # what was not in the journal yet
    for at in (0, 1):
        os.unlink(recordings[at].path)  # so that they cannot be decoded again
    seen = []
    pcm = decoded(recordings, 16_000, tmp_path / "cache", lambda done, failed: seen.append((done, failed)))
    assert seen[:2] == [(3, 0), (4, 0)]
    start, length = int(pcm.start[3]), int(pcm.length[3])
    np.testing.assert_array_equal(pcm.samples[start : start + length], reference(recordings[3]))
    again = decoded(recordings, 16_000, tmp_path / "cache", lambda done, failed: seen.append((done, failed)))
    assert seen[2:] == [(4, 0), (4, 0)]  # nothing is decoded again
    np.testing.assert_array_equal(again.samples, pcm.samples)
