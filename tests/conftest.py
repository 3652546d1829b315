"""Worlds small enough for every test run: real audio, real listening, made by the project's own generator."""

import json
import os
import shutil
import subprocess
import sys

# Work this small gains nothing from threads, and on a busy machine threads wait for one another. Set before NumPy and
# torch are imported; processes that tests start inherit it.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import polars as pl  # noqa: E402
import pytest  # noqa: E402

from bench import weights  # noqa: E402
from bench.errors import BenchError  # noqa: E402
from bench.records.reading import content_sha256  # noqa: E402
from bench.registry import get  # noqa: E402
from bench.synthetic import WorldSize, make_plays, make_world, render  # noqa: E402


@pytest.fixture(scope="session")
def altered():
    """Change a record's file, by a function on its JSON values, so that its hash fits: what the fault is alone."""

    def alter(path, change, name=None):
        content = json.loads(path.read_text(encoding="utf-8"))
        change(content)
        if content.get("schema_version") != 1:
            content["content_sha256"] = content_sha256(content)
        path = path.with_name(name) if name else path
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    return alter


@pytest.fixture(scope="session")
def install(tmp_path_factory):
    """Install packages from their folders as pip would, without network; return an environment that sees them."""

    def run(*packages):
        target, build = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("build")
        # pip builds in a copy, so that the checkout stays clean.
        copies = [shutil.copytree(package, build / package.name) for package in packages]
        words = ["pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation", "--target", target, *copies]
        subprocess.run([sys.executable, "-m", *map(str, words)], check=True)
        paths = [str(target), os.environ.get("PYTHONPATH", "")]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}

    return run


@pytest.fixture(scope="session")
def make_folder(tmp_path_factory):
    """Write a world: a folder with audio/, plays.csv and tracks.parquet."""

    def make(size):
        import soundfile

        folder = tmp_path_factory.mktemp("world")
        (folder / "audio").mkdir()
        world = make_world(size)
        ids = [track.track_id for track in world.tracks]
        for row, name in enumerate(ids):
            soundfile.write(folder / "audio" / f"{name}.wav", render(world, row), size.rate, subtype="PCM_16")
        plays = make_plays(world)
        frame = pl.DataFrame(
            {
                "user": [plays.listeners[u] for u in plays.user.tolist()],
                "item": [ids[t] for t in plays.track.tolist()],
                "time": pl.Series(plays.time, dtype=pl.Int64),
            }
        )
        frame.write_csv(folder / "plays.csv")
        pl.DataFrame(world.rows()).select("track_id", "artist", "genre").write_parquet(folder / "tracks.parquet")
        return folder

    return make


@pytest.fixture(scope="session")
def world_folder(make_folder):
    """The folder of a world of 60 tracks of 3 s and 60 listeners."""
    return make_folder(
        WorldSize(tracks=60, artists=16, cold=14, seconds=3.0, rate=22_050, listeners=60, plays=6_000, seed=5)
    )


@pytest.fixture(scope="session")
def small_world(world_folder):
    """Command-line words that name the small world."""
    return [
        "--listens", str(world_folder / "plays.csv"),
        "--audio", str(world_folder / "audio"),
        "--meta", str(world_folder / "tracks.parquet"),
        "--split", "global_temporal:cut=2020-02-20,start=2019-02-20,end=2020-03-21",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def cache_with(tmp_path_factory):
    """Return a function that fills a cache with real weights from PyPI; it returns None if the user's has them."""

    def fill(declared):
        if weights.present(declared):
            return None
        folder, before = tmp_path_factory.mktemp("cache"), os.environ.get("BENCH_CACHE")
        os.environ["BENCH_CACHE"] = str(folder)
        try:
            weights.pull(declared, lambda _line: None)
        except BenchError as error:
            if "pip" not in str(error):
                raise
            pytest.skip(f"needs network: {error}")
        finally:
            os.environ.pop("BENCH_CACHE")
            if before is not None:
                os.environ["BENCH_CACHE"] = before
        return folder

    return fill


@pytest.fixture(scope="session")
def real_cache(cache_with):
    """A cache with MusiCNN's trained weights; None if the user's has them."""
    return cache_with(get("extractors", "musicnn").weights[0])
