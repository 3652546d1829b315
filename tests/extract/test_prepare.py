"""What is seen to before extraction: recordings that are all too short."""

import numpy as np
import pytest
import soundfile

from bench.errors import BenchError
from bench.extract import check_length
from bench.extract.readers import Source
from bench.registry import create

RATE = 8_000


@pytest.fixture
def recordings(tmp_path):
    def make(*seconds):
        out = []
        for at, length in enumerate(seconds):
            soundfile.write(tmp_path / f"{at}.wav", np.full(round(length * RATE), 0.1), RATE)
            out.append(Source(str(at), str(tmp_path / f"{at}.wav")))
        return out

    return make


def test_recordings_are_refused_only_if_all_are_too_short(recordings):
    choi = create("extractors", "choi:weights=random")
    with pytest.raises(BenchError) as caught:
        check_length(choi, recordings(9, 12.5, 2))
    for word in ("choi", "29.12 s", "12.5 s", "3 recordings", "--data demo-long"):
        assert word in str(caught.value)
    check_length(choi, recordings(9, 29.12))
    check_length(choi, [])
    check_length(create("extractors", "mfcc"), recordings(9))


def test_a_section_counts_and_not_its_file(recordings):
    choi = create("extractors", "choi:weights=random")
    (whole,) = recordings(60)
    for offset, duration, heard in ((None, 9.0, False), (40.0, None, False), (10.0, None, True), (30.0, 29.5, True)):
        section = [Source("0", whole.path, offset, duration)]
        if heard:
            check_length(choi, section)
        else:
            with pytest.raises(BenchError, match="choi hears"):
                check_length(choi, section)


def test_files_that_cannot_be_read_are_no_reason(tmp_path):
    (tmp_path / "broken.wav").write_text("this is not audio")
    check_length(create("extractors", "choi:weights=random"), [Source("0", str(tmp_path / "broken.wav"))])
