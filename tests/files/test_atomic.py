"""Files that cannot be written: one message, whichever library was writing, and nothing left behind."""

import os
import sys

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from bench.errors import BenchError
from bench.files.atomic import refuse_link, whole

TABLE = pl.DataFrame({"a": np.random.default_rng(0).normal(size=20_000)})
WRITERS = {
    "polars to parquet": TABLE.write_parquet,
    "polars to csv": TABLE.write_csv,
    "pyarrow": lambda path: pq.write_table(pa.table({"a": TABLE["a"].to_list()}), path),
    "numpy": lambda path: np.save(path, TABLE["a"].to_numpy()),
    "safetensors": lambda path: save_file({"a": torch.zeros(20_000)}, path),
    "python": lambda path: path.write_text("x" * 100_000),
}


@pytest.fixture
def small_files():
    """No file of this process may grow beyond 20 kB."""
    if sys.platform == "win32":
        pytest.skip("Windows has no such limit")
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("writer", WRITERS)
def test_a_disk_that_takes_no_more_is_named_by_every_writer(tmp_path, writer):
    path = tmp_path / "file.npy"
    said = rf"cannot write {path}: (.*File too large|\d+ requested and \d+ written)[ .]"
    with pytest.raises(BenchError, match=said), whole(path) as temporary:
        WRITERS[writer](temporary)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [ValueError("(os error x)"), KeyboardInterrupt("(os error 28)"), KeyError("a")])
def test_other_errors_pass_and_leave_nothing(tmp_path, error):
    def write():
        with whole(tmp_path / "file") as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(type(error)):
        write()
    assert list(tmp_path.iterdir()) == []


def test_only_ordinary_files_are_written_in_place(tmp_path):
    refuse_link(tmp_path / "absent")
    (tmp_path / "file").write_text("x")
    refuse_link(tmp_path / "file")
    os.link(tmp_path / "file", tmp_path / "other")
    for place in (tmp_path / "file", tmp_path):
        with pytest.raises(BenchError, match="nothing is written there"):
            refuse_link(place)
