from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from bench.files.atomic import write_text
from bench.metrics import ranking
from bench.metrics.from_ranks import hits_of
from bench.records import Record, read, read_all, write
from bench.records.codec import decode
from bench.records.intervals import mean_intervals_of
from bench.records.ranks import HeldOut
from bench.stats import bootstrap

ENVIRONMENT = {
    "python": "3.11.0",
    "platform": "Linux",
    "cpu": "Some CPU",
    "cores": 2,
    "device": "cpu",
    "packages": {},
    "revision": "abc",
    "command": None,
}
SIZES = {"hot": (60, 300), "cold": (40, 50), "mixed": (60, 350)}
NAMES = ("hitrate", "recall", "ndcg", "mrr", "map", "map_min", "precision")


def values_of(users: int, k: list[int], level: float, seed: int) -> dict[str, np.ndarray]:
    """Per-user values whose easy users are the same in every cell, as in life."""
    ease = np.random.default_rng(7).beta(1, 6, users)
    noise = np.random.default_rng(seed).normal(0, 0.02, users)
    base = np.clip(level * (0.5 + ease) + noise, 0, 1)
    found = {f"{name}@{n}": np.clip(base * (1 + n / 100), 0, 1) for name in NAMES for n in k}
    for n in k:
        found[f"hitrate@{n}"] = (found[f"ndcg@{n}"] > 0.15).astype(float)
    return found


@dataclass
class Results:
    """A results folder that is filled with real records, written by `bench.records`."""

    folder: Path
    paths: list[Path] = field(default_factory=list)

    def add(
        self,
        extractor: str = "mfcc",
        model: str = "knn",
        *,
        level: float = 0.2,
        seed: int = 0,
        lane: str = "corrected",
        sets: tuple[str, ...] = ("hot", "cold"),
        k: tuple[int, ...] = (10, 50),
        control: bool = False,
        per_user: bool = True,
        deterministic: bool = True,
        data: str = "demo",
        builtin: bool = True,
        split: str = "global",
        fold: int | None = None,
        users: dict[str, int] | None = None,
        table: dict[str, Any] | None = None,
        warnings: tuple[str, ...] = (),
        **changes: Any,
    ) -> Path:
        name = extractor.partition(":")[0]
        metrics, intervals, frames, beyond, chance = {}, {}, [], {}, {}
        n_users = {where: (users or {}).get(where, SIZES[where][0]) for where in sets}
        for number, where in enumerate(sets):
            own = int(hashlib.sha256(f"{extractor}{model}{lane}{seed}{fold or ''}{where}".encode()).hexdigest()[:8], 16)
            values = values_of(n_users[where], list(k), level / (1 + number), own)
            metrics[where] = {metric: float(v.mean()) for metric, v in values.items()}
            intervals[where] = {m: tuple(i) for m, i in bootstrap(values, resamples=200).items()}
            chance[where] = dict.fromkeys(values, 0.01)
            beyond[where] = {f"coverage@{k[0]}": 0.5, f"ild:mfcc@{k[0]}": 0.25, f"lift@{k[0]}": -0.00001}
            ids = [f"u{i:03d}" for i in range(n_users[where])]
            own_columns = {"candidates": [where] * len(ids), "user": ids, "relevant": [3] * len(ids)}
            frames.append(pl.DataFrame(own_columns | values))
        fields: dict[str, Any] = {
            "kind": "run",
            "asked": {},
            "inputs_sha256": hashlib.sha256(f"{extractor}{model}{lane}{seed}".encode()).hexdigest(),
            "data": {"name": data, "builtin": builtin, "license": "CC0-1.0", "fingerprint": {}},
            "split": {
                "name": split,
                "settings": {} if fold is None else {"fold": fold, "folds": 3},
                "fingerprint": ("f" if fold is None else str(fold)) * 64,
                "counts": {},
            },
            "extractor": {
                "name": name,
                "spec": extractor,
                "lane": lane if lane != "mixed" else "published",
                "settings": {"typed": extractor},
                "view": {"layers": [None], "treat": ""},
                "width": 0 if name == "none" else 104,
                "coverage": 1.0,
                "license": "Apache-2.0",
                "trained_on": [],
                "origin": {},
                "table_sha256": "0" * 64,
                "untrained": False,
            }
            | (table or {}),
            "recommender": {
                "name": model.partition(":")[0],
                "spec": model,
                "lane": lane if lane != "mixed" else "corrected",
                "settings": {"typed": model},
                "origin": {},
                "deterministic": deterministic,
            },
            "lane": lane,
            "seed": seed,
            "k": list(k),
            "control": control,
            "metrics": metrics,
            "intervals": intervals,
            "chance": chance,
            "users": n_users,
            "candidates": {where: SIZES[where][1] for where in sets},
            "beyond": beyond,
            "cost": {"extract_s_per_1000": 12.34, "fit_s": 0.5, "score_s": 1.25, "peak_memory_bytes": 2**28},
            "environment": ENVIRONMENT,
            "validation": {},
            "schema_version": 1,
            "warnings": list(warnings),
        }
        path, _ = write(decode(Record, fields | changes), self.folder, pl.concat(frames) if per_user else None)
        self.paths.append(path)
        return path

    def ranked(self, extractor: str, ranks: dict[str, np.ndarray], artists: int | None = None, **common: Any) -> Path:
        """A record with the ranks (U, I) of held-out items, all of them held out for every user, by candidate set.

        The first `artists` items have artists of their own, and the others share these.
        """
        path = self.add(extractor, sets=tuple(ranks), k=(10,), users={w: len(r) for w, r in ranks.items()}, **common)
        record = replace(read(path), candidates=dict.fromkeys(ranks, 1000))
        held_out, frames = {}, []
        for where, table in ranks.items():
            n, m = table.shape
            names = pl.Series([f"u{i:03d}" for i in range(n)])
            items, artist = pl.Series([f"i{i:03d}" for i in range(m)]), np.arange(m, dtype=np.int32) % (artists or m)
            order = np.argsort(table, axis=1)
            held_out[where] = HeldOut(
                listeners=names,
                indptr=np.arange(n + 1) * m,
                items=items,
                item=order.ravel().astype(np.int32),
                artists=pl.Series(sorted(f"a{i:03d}" for i in range(artists or m))),
                artist=artist[order].ravel(),
                rank=np.take_along_axis(table, order, axis=1).ravel().astype(np.int32),
            )
            values = ranking.values_of(hits_of(held_out[where], 10)[0], [10])
            record.metrics[where] = {metric: float(column.mean()) for metric, column in values.items()}
            record.intervals[where] = mean_intervals_of(where, values, held_out[where], 0)
            frames.append(pl.DataFrame({"candidates": [where] * n, "user": names, "relevant": [m] * n, **values}))
        return write(record, self.folder, pl.concat(frames), held_out)[0]

    def comparison(self, lane: str = "corrected", **common: Any) -> None:
        """Three real cells, two of them level, with their controls."""
        self.add("mert:layer=7", level=0.40, lane=lane, **common)
        self.add("clap", level=0.40, lane=lane, **common)
        self.add("mfcc", level=0.20, lane=lane, **common)
        self.add("shuffled:of=mfcc", level=0.05, lane=lane, control=True, **common)
        self.add("none", "popularity", level=0.10, lane=lane, control=True, **common)

    def probe(
        self,
        extractor: str = "mfcc",
        task: str = "gtzan",
        value: float = 0.5,
        *,
        metric: str = "accuracy",
        lane: str = "corrected",
        layer: str | None = None,
        seed: int = 0,
        control: bool = False,
        chance: float = 0.1,
        seed_folder: str = "mlp-00000000",
        table: dict[str, Any] | None = None,
        **changes: Any,
    ) -> Path:
        """A record as `bench probe` writes it, of the same extractor setting as `add` makes."""
        name = extractor.partition(":")[0]
        spec = extractor if layer is None else f"{extractor}:layer={layer}"
        about = {
            "name": task,
            "spec": task,
            "kind": "classes",
            "primary": metric,
            "convention": f"how {task} counts",
            "settings": {},
        }
        fields: dict[str, Any] = {
            "kind": "probe",
            "asked": {},
            "inputs_sha256": hashlib.sha256(f"{extractor}{task}{seed}".encode()).hexdigest(),
            "data": {
                "name": task,
                "builtin": True,
                "fingerprint": {},
                "collection": task,
                "task": about | {"labels": 10},
            },
            "split": {"name": "official", "settings": {}, "fingerprint": "e" * 64, "counts": {}},
            "extractor": {
                "name": name,
                "spec": spec,
                "lane": lane,
                "settings": {"typed": extractor},
                "view": {"layers": [layer], "treat": ""},
                "width": 104,
                "coverage": 1.0,
                "table_sha256": "",
            }
            | (table or {}),
            "recommender": {"name": "mlp", "spec": "mlp", "lane": lane, "settings": {}},
            "lane": lane,
            "seed": seed,
            "k": [],
            "control": control,
            "metrics": {"test": {metric: value, "f1": value * 0.9, f"{metric}:jazz": 0.1, "undefined": 0.0}},
            "intervals": {"test": {metric: [max(value - 0.02, 0), min(value + 0.02, 1)]}},
            "chance": {"test": {metric: chance}},
            "users": {"test": 290},
            "candidates": {"test": 10},
            "validation": {},
            "beyond": {},
            "cost": {},
            "environment": {},
            "warnings": [],
            "schema_version": 1,
        }
        view = hashlib.sha256(f"{spec}{lane}{metric}".encode()).hexdigest()[:8]
        path = self.folder / "mir" / task / f"{name}-{view}" / seed_folder / f"seed{seed}.json"
        write_text(path, json.dumps(fields | changes))
        return path

    def read(self) -> list[tuple[Path, Any]]:
        return list(read_all(self.folder))


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")
