"""What containers and batch systems grant is what counts; what cannot be known stops nobody."""

import math
import os
import sys

import pytest
import torch

from bench import machine, memory


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Write the files of made-up control groups; by name, relative to /sys/fs/cgroup."""
    own, info, root = tmp_path / "own", tmp_path / "meminfo", tmp_path / "cgroup"
    info.write_text("MemTotal:       9000 kB\nMemAvailable:    8000 kB\n")
    monkeypatch.setattr(machine, "_OWN", own)
    monkeypatch.setattr(machine, "_GROUPS", root)
    monkeypatch.setattr(memory, "_INFO", info)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(16)), raising=False)

    def write(lines, files):
        own.write_text(lines)
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)

    return write


V2 = {
    "job/memory.max": "max\n",
    "job/memory.current": "500\n",
    "job/cpu.max": "max 100000\n",
    "memory.max": "4000\n",
    "memory.current": "1500\n",
    "memory.stat": "anon 900\ninactive_file 600\nactive_file 0\n",
    "cpu.max": "250000 100000\n",
}
V1 = {
    "memory/job/memory.limit_in_bytes": "4000\n",
    "memory/job/memory.usage_in_bytes": "1500\n",
    "memory/job/memory.stat": "inactive_file 1\ntotal_inactive_file 600\n",
    "memory/memory.limit_in_bytes": "9223372036854771712\n",
    "memory/memory.usage_in_bytes": "70000\n",
    "cpu/job/cpu.cfs_quota_us": "250000\n",
    "cpu/job/cpu.cfs_period_us": "100000\n",
    "cpu/cpu.cfs_quota_us": "-1\n",
    "cpu/cpu.cfs_period_us": "100000\n",
}
V1_LINES = "5:cpu,cpuacct:/job\n4:memory:/job\n1:name=systemd:/\n"


@pytest.mark.parametrize(("lines", "files"), [("0::/job\n", V2), (V1_LINES, V1)], ids=["v2", "v1"])
def test_the_tightest_group_counts_and_cached_files_are_free(groups, lines, files):
    groups(lines, files)
    assert memory.free("cpu") == 4000 - (1500 - 600)
    assert memory.total() == 4000
    assert machine.cores() == 3


def test_a_container_whose_group_has_the_name_of_the_host_is_limited_by_its_root(groups):
    groups("0::/docker/abc\n", {name: text for name, text in V2.items() if "/" not in name})
    assert memory.total() == 4000
    assert machine.cores() == 3


def test_a_group_above_its_limit_leaves_nothing(groups):
    groups("0::/\n", {"memory.max": "1000\n", "memory.current": "1200\n"})
    assert memory.free("cpu") == 0


@pytest.mark.parametrize("lines", ["", "0::/../elsewhere\n", "4:memory:/job\n5:cpu:/job\n"])
def test_without_limits_the_system_is_asked(groups, lines):
    groups(lines, {"job/memory.max": "max\n", "job/cpu.max": "max 100000\n"})
    assert memory.free("cpu") == 8000 * 1024
    assert machine.cores() == 16


def test_less_than_one_core_is_one(groups):
    groups("0::/\n", {"cpu.max": "10000 100000\n"})
    assert machine.cores() == 1


def test_a_system_without_any_of_this_is_unknown_not_an_error(groups, monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_INFO", tmp_path / "absent")
    monkeypatch.delattr(os, "sysconf", raising=False)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    monkeypatch.setitem(sys.modules, "resource", None)  # its import fails
    assert memory.free("cpu") == memory.total() == math.inf
    assert memory.peak() is None
    assert machine.cores() == 1


def test_this_machine_is_known():
    assert 0 < memory.free("cpu") <= memory.total() < math.inf
    assert memory.peak() > 2**20
    assert 1 <= machine.cores() <= os.cpu_count()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_blocks_that_torch_reserved_and_does_not_use_are_free():
    before = memory.free("cuda")
    block = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    assert memory.free("cuda") <= before - 2**30 + 2**26
    del block  # stays reserved
    assert torch.cuda.memory_reserved("cuda") - torch.cuda.memory_allocated("cuda") >= 2**30
    assert memory.free("cuda") >= before - 2**26
