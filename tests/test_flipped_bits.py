"""One flipped bit in anything that is stored: it is found, or what is read is the same. It is never silent."""

import os
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import pytest
import torch

from bench import weights
from bench.datasets.demo import Demo
from bench.errors import BenchError
from bench.formats.sealed import DamagedError, read_sealed, write_sealed
from bench.records import read as read_record
from bench.records import write as write_record
from bench.records.rows import read_rows
from bench.splits.make import GlobalTemporal, make
from bench.splits.storage import read as read_split
from bench.splits.storage import write as write_split
from bench.store import Vector, VectorSet
from bench.synthetic import WorldSize
from bench.training.checkpoints import Checkpoints
from bench.weights import Part, Source, Weights

GOLDEN = Path(__file__).parent / "records" / "golden" / "v1" / "run-knn.json"
FLIPS = 50


class Tiny(Demo):
    name = "tiny"
    size: ClassVar[WorldSize] = WorldSize(tracks=30, artists=12, cold=7, seconds=1.0, listeners=20, plays=900, seed=7)


class Checkpoint:
    """A checkpoint of a training: damaged means that training starts from the beginning."""

    def __init__(self, folder):
        self.path = folder / "run" / "last.safetensors"
        torch.manual_seed(0)
        model, optimizer = self.make()
        model(torch.ones(4)).sum().backward()
        optimizer.step()
        best = {name: tensor * 2 for name, tensor in model.state_dict().items()}
        with Checkpoints(self.path.parent, 3, print) as store:
            store.save(model, optimizer, {"loss": [0.5], "valid": [0.25], "best": 0.25}, best)

    @staticmethod
    def make():
        model = torch.nn.Linear(4, 3)
        return model, torch.optim.Adam(model.parameters(), lr=0.05)

    def read(self):
        lines = []
        model, optimizer = self.make()
        with Checkpoints(self.path.parent, 3, lines.append) as store:
            found = store.resume(model, optimizer)
        if found is None:
            assert str(self.path) in lines[0]
            raise DamagedError
        history, best = found
        state = optimizer.state_dict()
        tensors = [*model.state_dict().values(), *best.values()]
        tensors += [value for entry in state["state"].values() for value in entry.values()]
        return history, state["param_groups"], [tensor.tolist() for tensor in tensors]


class ProbeCheckpoint:
    """The sealed file that probes write."""

    def __init__(self, folder):
        self.path = folder / "probe.safetensors"
        tensors = {"a": torch.arange(12.0).reshape(3, 4), "b": torch.tensor(True), "c": torch.zeros(0, 2)}
        write_sealed(self.path, tensors | {"d": torch.ones(5, dtype=torch.bfloat16)}, {"step": 3, "states": [1.5]})

    def read(self):
        tensors, about = read_sealed(self.path)
        return about, {name: (str(tensor.dtype), tensor.tolist()) for name, tensor in tensors.items()}


class Split:
    """A split on disk: damaged means that it is made again."""

    def __init__(self, folder):
        rng = np.random.default_rng(0)
        times = pl.Series(np.sort(rng.integers(1_577_836_800, 1_590_000_000, 900))).cast(pl.Int64)
        log = {
            "user": [f"u{i:02d}" for i in rng.integers(0, 30, 900)],
            "item": [f"i{i:02d}" for i in rng.integers(0, 40, 900)],
            "time": pl.from_epoch(times, "s").dt.replace_time_zone("UTC"),
        }
        self.path = write_split(make(pl.LazyFrame(log), GlobalTemporal(cut="2020-04-10")), folder)

    def read(self):
        split = read_split(self.path)
        return split.pairs.to_dicts(), split.settings, dict(split.counts), split.fingerprint


class Record:
    """The JSON file of a record."""

    def __init__(self, folder):
        self.path, _ = write_record(read_record(GOLDEN), folder)

    def read(self):
        return read_record(self.path)


class RecordRows:
    """The per-user file beside a record: damaged means that the row has no marks, and a report says so."""

    def __init__(self, folder):
        users = [f"u{i}" for i in range(40)]
        rows = pl.DataFrame({"user": users, "seen": ["hot"] * 40, "ndcg@5": np.linspace(0, 1, 40)})
        self.record, _ = write_record(read_record(GOLDEN), folder, rows)
        self.path = self.record.with_suffix(".users.parquet")

    def read(self):
        found = read_rows(self.path, read_record(self.record), ["user", "seen", "ndcg@5"])
        if isinstance(found, str):
            raise BenchError(found)
        return found.to_dicts()


class Converted:
    """Converted weights, whose hash is recorded; `which` is the file that is damaged."""

    which = "whole.safetensors"

    def __init__(self, folder):
        published = folder / "toy.npy"
        np.save(published, np.arange(300, dtype=np.float32))
        self.declared = Weights(
            "toy", "MIT", (Source("toy.npy", "https://x.invalid/toy.npy"),), (Part("whole", ("toy.npy",)),),
            lambda members: {"x": np.load(members["toy.npy"])},
        )  # fmt: skip
        weights.add(self.declared, published, log=lambda _: None)
        self.path = weights.folder(self.declared) / self.which

    def read(self):
        return weights.load(self.declared, "whole")["x"].tolist(), weights.sha256(self.declared, "whole")


class Manifest(Converted):
    which = "weights.json"


class Shard:
    """A shard of the store: damaged means that its rows are missing, and computed again."""

    def __init__(self, folder):
        self.folder = folder
        rng = np.random.default_rng(0)
        vectors = [Vector(f"{i:064x}", 2.5, {"a": rng.normal(size=5)}) for i in range(60)]
        self.open().append(vectors, [])
        (self.path,) = self.open().folder.glob("ok-*")

    def open(self):
        return VectorSet(self.folder, "x", {"k": 1}, {"a": 5}, "float32")

    def read(self):
        rows = [f"{i:064x}" for i in range(60)]
        found = self.open()
        if found.missing(rows):
            raise BenchError("missing")
        return found.read("a", rows)[0].tolist()


class DemoData:
    """The built-in data: damaged means that it is built again."""

    def __init__(self, folder):
        self.cache, self.copy = folder / "cache", folder / "copy"
        self.root = Tiny().prepare(None, self.cache)
        shutil.copytree(self.root, self.copy)
        self.files = sorted(path for path in self.root.rglob("*") if path.is_file())

    @property
    def path(self):
        return random.choice(self.files)

    def read(self):
        """Everything is as it was built, whatever was damaged before."""
        Tiny().prepare(None, self.cache)
        assert all(path.read_bytes() == (self.copy / path.relative_to(self.root)).read_bytes() for path in self.files)


KINDS = (Checkpoint, ProbeCheckpoint, Split, Record, RecordRows, Converted, Manifest, Shard)
STORED = {kind.__name__: kind for kind in KINDS}


def campaign(kind, folder, flips, seed):
    """Flip one bit at a time, most in the first or last kilobyte, where the headers are; count what happened."""
    stored, draw, seen = kind(folder), random.Random(seed), Counter()
    path = stored.path
    sound, expected = path.read_bytes(), stored.read()
    for second in range(flips):
        content = bytearray(sound)
        edge = min(len(content), 1000)
        at = draw.choice([draw.randrange(len(content)), draw.randrange(edge), len(content) - 1 - draw.randrange(edge)])
        bit = draw.randrange(8)
        content[at] ^= 1 << bit
        path.write_bytes(content)
        os.utime(path, (10**9 + second,) * 2)  # what remembers files by their times sees another state
        try:
            found = stored.read()
        except (BenchError, DamagedError):
            seen["found"] += 1
        else:
            assert found == expected, f"bit {bit} of byte {at} of {len(content)} is silent"
            seen["harmless"] += 1
        finally:
            path.write_bytes(sound)
    assert stored.read() == expected
    return seen


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("kind", STORED)
def test_a_flipped_bit_is_found_or_harmless(tmp_path, kind):
    seen = campaign(STORED[kind], tmp_path, FLIPS, seed=1)
    assert seen.total() == FLIPS
    assert seen["found"] > FLIPS // 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
@pytest.mark.parametrize("kind", STORED)
def test_many_flipped_bits_are_found_or_harmless(tmp_path, kind, seed):
    assert campaign(STORED[kind], tmp_path, 1000, seed).total() == 1000


def test_demo_data_with_a_flipped_bit_is_built_again(tmp_path, capsys):
    data, draw = DemoData(tmp_path), random.Random(1)
    for _ in range(FLIPS):
        path = draw.choice([draw.choice(data.files), data.root / "manifest.json", data.root / "listens.parquet"])
        content = bytearray(path.read_bytes())
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        capsys.readouterr()
        data.read()
        assert "made again" in capsys.readouterr().err
