"""Synthetic labels from hidden vectors, and tables with more or less information about these vectors."""

import numpy as np
import pytest

from bench.metrics.key_score import NAMES
from bench.probes import PARTS, ProbeData

SIZES = {"train": 500, "valid": 200, "test": 400}
WIDTHS = {"tags": 8, "classes": 5, "keys": 24, "values": 2}


class Planted:
    """Hidden vectors, and `data(kind, table)` for the tables oracle, aligned, noisy and shuffled."""

    def __init__(self, seed=0, sizes=SIZES):
        self.rng = np.random.default_rng(seed)
        total = sum(sizes.values())
        self.hidden = self.rng.normal(size=(total, 6))
        self.aligned = self.hidden @ self.rng.normal(size=(6, 16)) + 0.3 * self.rng.normal(size=(total, 16))
        self.cuts = np.cumsum(list(sizes.values()))[:-1]
        self.mixers = {kind: self.rng.normal(size=(6, width)) for kind, width in WIDTHS.items()}

    def labels(self, kind):
        scores = self.hidden @ self.mixers[kind]
        if kind == "tags":
            return scores > np.quantile(scores, np.linspace(0.5, 0.9, scores.shape[1]), axis=0).diagonal()
        return scores if kind == "values" else scores.argmax(axis=1)

    def table(self, kind, name):
        if name == "oracle":
            y = self.labels(kind)
            return np.eye(WIDTHS[kind])[y] if y.ndim == 1 else y.astype(float)
        if name == "noisy":
            return self.aligned + 4 * self.rng.normal(size=self.aligned.shape)
        return self.rng.permutation(self.aligned) if name == "shuffled" else self.aligned

    def data(self, kind, table="aligned", groups=None):
        x = self.table(kind, table) if isinstance(table, str) else table
        names = NAMES if kind == "keys" else [f"{kind}{i}" for i in range(WIDTHS[kind])]
        split = lambda a: dict(zip(PARTS, np.split(a, self.cuts), strict=True))  # noqa: E731
        return ProbeData(kind, split(x.astype(np.float32)), split(self.labels(kind)), names, groups)


@pytest.fixture
def planted():
    return Planted()


@pytest.fixture
def few():
    return Planted(sizes={"train": 150, "valid": 100, "test": 200})


@pytest.fixture(autouse=True)
def one_thread():
    """Problems this small are slower on several threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
