"""Every installed task passes the contract, on the fixture of its data or on the small dataset."""

import pytest

from bench.registry import names
from bench.testing import TaskContract, task_fixtures

CHECKS = [name for name in dir(TaskContract) if name.startswith("test_")]


@pytest.fixture(scope="module", params=names("tasks"))
def contract(request, small_dataset):
    class Built(TaskContract):
        spec = task_fixtures.SPECS.get(request.param, request.param)

        def dataset(self):
            return small_dataset

    less = {"links": "least=1,listeners=2", "text-labels": "least=2", "catalog-genre": "least=2,valid=0.4"}
    if request.param in less:
        Built.spec = f"{request.param}:{less[request.param]}"
    return Built()


@pytest.mark.parametrize("check", CHECKS)
def test_the_task_passes_the_contract(contract, check):
    getattr(contract, check)()
