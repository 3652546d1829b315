"""A collection in which a network can learn something within seconds: a faint tone under a loud one."""

import numpy as np
import polars as pl
import pytest
import soundfile

RATE, SECONDS = 16_000, 3
CUT = "2020-02-01"
LABELS = {"low": 400.0, "middle": 1_000.0, "high": 2_500.0}


@pytest.fixture(scope="session")
def make_tones(tmp_path_factory):
    """Write `n` recordings, each with a tag that names the faint tone under its loud one; return their folder.

    A third is held out (part test), a sixth chooses the best epoch (part valid). The last four recordings are played
    after the cut-off alone. Listeners like one of the tones. With `permuted`, the tags of the recordings to train on
    are in random order, and listeners like all tones.
    """

    def make(n=48, permuted=False, seed=0):
        folder = tmp_path_factory.mktemp("tones")
        (folder / "audio").mkdir()
        rng = np.random.default_rng(seed)
        clock = np.arange(RATE * SECONDS) / RATE
        names = list(LABELS)
        ids, tags = [f"r{at:03d}" for at in range(n)], [names[at % 3] for at in range(n)]
        for name, tag in zip(ids, tags, strict=True):
            loud = 0.4 * np.sin(2 * np.pi * rng.uniform(200, 4_000) * clock)
            faint = 0.1 * np.sin(2 * np.pi * LABELS[tag] * clock + rng.uniform(0, 6))
            noise = rng.normal(0, 0.02, len(clock))
            soundfile.write(folder / "audio" / f"{name}.wav", loud + faint + noise, RATE, subtype="PCM_16")
        part = [["train", "train", "train", "test", "test", "valid"][at // 3 % 6] for at in range(n)]
        told = np.array(tags, object)
        if permuted:
            train = np.flatnonzero(np.array(part) == "train")
            told[train] = told[rng.permutation(train)]
        meta = {"track_id": ids, "artist": [f"a{at}" for at in range(n)], "tags": told.tolist(), "part": part}
        pl.DataFrame(meta).write_csv(folder / "tracks.csv")
        before, after = 1_575_000_000, 1_581_000_000
        plays = []
        for user in range(30):
            liked = np.arange(n - 4) if permuted else np.arange(user % 3, n - 4, 3)
            heard = [*rng.permutation(liked)[:12].tolist(), *(n - 1 - rng.permutation(12)[:6]).tolist()]
            times = [before + 1_000 * at for at in range(12)] + [after + 1_000 * at for at in range(6)]
            plays += [(f"u{user:02d}", ids[item], time) for item, time in zip(heard, times, strict=True)]
        pl.DataFrame(plays, schema=["user", "item", "time"], orient="row").write_csv(folder / "plays.csv")
        return folder

    return make


@pytest.fixture(scope="session")
def words_of():
    """Command-line words that name a folder of `make_tones`."""

    def words(folder):
        return ["--listens", str(folder / "plays.csv"), "--audio", str(folder / "audio"),
                "--meta", str(folder / "tracks.csv"), "--split", f"global_temporal:cut={CUT}"]  # fmt: skip

    return words
