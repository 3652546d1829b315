"""The small synthetic world as a dataset with metadata, and fixtures of the tasks' data."""

import polars as pl
import pytest

from bench.listening.log_dataset import FileDataset
from bench.synthetic import WorldSize, make_world
from bench.testing import task_fixtures


@pytest.fixture(scope="session")
def small_dataset(world_folder, tmp_path_factory):
    """Return the plays of the small world, with the metadata of its tracks."""
    size = WorldSize(tracks=60, artists=16, cold=14, seconds=3.0, rate=22_050, listeners=60, plays=6_000, seed=5)
    meta = tmp_path_factory.mktemp("meta") / "tracks.parquet"
    names = ["track_id", "artist", "title", "genre", "key", "tags", "description"]
    pl.DataFrame(make_world(size).rows()).select(names).write_parquet(meta)
    return FileDataset(world_folder / "plays.csv", None, meta)


@pytest.fixture(scope="session")
def fixture_folder(tmp_path_factory):
    """Return a function that gives the folder of a task's fixture; it is shared, so do not write into it."""
    known = {}

    def folder(name):
        writer = task_fixtures.WRITERS[name]
        if writer not in known:
            known[writer] = task_fixtures.write(name, tmp_path_factory.mktemp("fixture") / "data")
        return known[writer]

    return folder
