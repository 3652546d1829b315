import os
import tempfile

import pytest
import torch

from bench.errors import BenchError


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Thousands of small files, in memory where there is such a folder; and no threads for tiny products."""
    if os.access("/dev/shm", os.W_OK):
        monkeypatch.setattr(tempfile, "tempdir", "/dev/shm")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def broken():
    """Return a function that runs every check of a contract on a plugin: check -> message of those that fail."""

    def run(base, plugin, **attributes):
        attributes.setdefault("make", lambda self: plugin(plugin.Settings()))
        contract = type("Check", (base,), attributes)()
        found = {}
        for name in sorted(name for name in dir(contract) if name.startswith("test_")):
            getattr(contract, "_works", {}).clear()  # so that no check sees what another one left in the model
            try:
                getattr(contract, name)()
            except (AssertionError, BenchError) as error:
                found[name.removeprefix("test_")] = str(error)
        return found

    return run
