"""What the demo can tell apart: NDCG@10 of standardised kNN in several worlds, and what the vectors know.

    python benchmarks/demo_power.py [seed ...]        # seeds of worlds: 2019 (the built-in one), 1, 2, 3, 4

Planted vectors are the traits that determine tastes; MFCC + attack has the true direction of the sounds added. p is
that of reports: over listeners on hot tracks, over listeners and artists on cold ones. The last table has the accuracy
of a ridge classifier for tracks by artists that it was not fitted on.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench import records
from bench.cli import main as bench
from bench.metrics.from_ranks import pair_values
from bench.records.ranks import read_ranks
from bench.registry import create
from bench.stats import PairScores, item_clusters, pair_weights, paired_test, two_way_tests

PAIRS = (
    ("planted", "MusiCNN"),
    ("MusiCNN", "MFCC"),
    ("MFCC", "shuffled MFCC"),
    ("MFCC + attack", "MFCC"),
    ("MusiCNN", "popularity"),
)
HEARD = ("MusiCNN", "MFCC")
COPIES = 26
"""Columns of the attack beside the 104 of MFCC: a fifth of the variance."""


@dataclass(frozen=True)
class Power:
    """The figures of one world."""

    ndcg: dict[tuple[str, str], float]
    """By candidate set and row."""
    p: dict[tuple[str, str, str], float]
    """By candidate set and pair of rows."""
    accuracy: dict[tuple[str, str], float]
    """By extractor and trait."""


def measure(data: str, cache: Path, folder: Path, heard: Sequence[str] = HEARD) -> Power:
    """Measure one demo; `folder` is for vectors and records, `heard` names the extractors that hear its audio."""
    root = create("datasets", data).prepare(None, cache)
    place = ["--data", data, "--cache", str(cache), "--device", "cpu"]
    tracks = pl.read_parquet(root / "tracks.parquet")
    accuracy = {}
    for name in heard:
        ids, vectors = exported(name, folder, place)
        about = ids.join(tracks, on="track_id", how="left", maintain_order="left")
        for trait, value in (("attack", "swelling"), ("scene", "coast")):
            accuracy[name, trait] = ridge(vectors, (about[trait] == value).to_numpy(), about["artist"].to_list())
    ids, vectors = exported("MFCC", folder, place)
    swelling = ids.join(tracks, on="track_id", how="left", maintain_order="left")["attack"] == "swelling"
    both = np.hstack([vectors, np.tile(swelling.to_numpy()[:, None], COPIES)])
    ids.with_columns(pl.from_numpy(both)).write_parquet(folder / "both.parquet")
    specs = {
        f"precomputed:path={root / 'oracle.parquet'}": "planted",
        f"precomputed:path={folder / 'both.parquet'}": "MFCC + attack",
        **{name.lower(): name for name in heard},
    }
    words = ["--extractor", ",".join(specs), "--model", "knn", "--treat", "standardize", "--results", str(folder)]
    run("run", *words, *place)
    scores = read(folder, specs | {"none": "popularity", "shuffled:of=mfcc": "shuffled MFCC"})
    ndcg = {key: float(each.by_seed.mean()) for key, each in scores.items()}
    return Power(ndcg, tested(scores), accuracy)


def run(*words: str) -> None:
    """Run bench in this process; what it prints is shown only if it fails."""
    said = StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = bench([*words, "--quiet"])
    if code:
        raise SystemExit(said.getvalue())


def exported(name: str, folder: Path, place: list[str]) -> tuple[pl.DataFrame, NDArray[np.float64]]:
    """Return the track ids (N rows) and the vectors (N, D) of an extractor."""
    run("export", "--extractor", name.lower(), "--out", str(folder / f"{name}.npy"), *place)
    ids = (folder / f"{name}.ids.txt").read_text(encoding="utf-8").split()
    return pl.DataFrame({"track_id": ids}), np.load(folder / f"{name}.npy").astype(np.float64)


def read(folder: Path, rows: dict[str, str]) -> dict[tuple[str, str], PairScores]:
    """Return NDCG@10 of the held-out pairs by candidate set and row; `rows` names the rows by extractor."""
    out = {}
    for path in folder.rglob("seed0.json"):
        record = records.read(path)
        row = rows.get(record.extractor.spec)
        if row is None or record.recommender.spec not in ("knn", "popularity"):
            continue
        found = read_ranks(path, record)
        if isinstance(found, str):
            raise SystemExit(f"{path}: {found}")
        for where in {"hot", "cold"} & set(found) - set(record.unranked):
            held = found[where]
            order = np.lexsort((held.item, held.listener))
            listener, cluster = held.listener[order], item_clusters(held.artist, held.item)[order]
            values = pair_values("ndcg", 10, held)[None, order]
            out[where, row] = PairScores(values, pair_weights(listener), listener, cluster)
    return out


def tested(scores: dict[tuple[str, str], PairScores]) -> dict[tuple[str, str, str], float]:
    """Return p of each of `PAIRS` that was measured."""
    p = {}
    for where in ("hot", "cold"):
        for a, b in PAIRS:
            if (where, a) in scores and (where, b) in scores:
                one, other = scores[where, a], scores[where, b]
                if where == "hot":
                    test = paired_test(per_listener(one), per_listener(other), comparisons=len(PAIRS))
                else:
                    ((test, _),) = two_way_tests([(one, other)], comparisons=len(PAIRS))
                p[where, a, b] = test.p
    return p


def per_listener(scores: PairScores) -> NDArray[np.float64]:
    """Return the metric of each listener (1, U)."""
    total = np.bincount(scores.listener, weights=scores.weight * scores.values[0])
    return np.asarray(total * len(total), np.float64)[None]


def ridge(x: NDArray[np.float64], truth: NDArray[np.bool_], artists: list[str], folds: int = 10) -> float:
    """Return the balanced accuracy of a ridge classifier for tracks by artists that it was not fitted on."""
    _, artist = np.unique(artists, return_inverse=True)
    fold = (np.random.default_rng(0).permutation(artist.max() + 1) % folds)[artist]
    x = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-9)
    said = np.zeros(len(x))
    for each in range(folds):
        known, tested = x[fold != each], x[fold == each]
        wanted = np.where(truth[fold != each], 1.0, -1.0)
        gram = known.T @ known + len(known) * np.eye(x.shape[1])
        said[fold == each] = tested @ np.linalg.solve(gram, known.T @ wanted)
    return float(((said[truth] > 0).mean() + (said[~truth] <= 0).mean()) / 2)


def main(seeds: list[int]) -> None:
    """Measure each world, and print the tables."""
    found = []
    with TemporaryDirectory() as scratch:
        for seed in seeds:
            folder = Path(scratch) / str(seed)
            folder.mkdir()
            found.append(measure("demo" if seed == 2019 else f"demo:seed={seed}", Path(scratch) / "cache", folder))
    order = ("planted", "MusiCNN", "MFCC + attack", "MFCC", "popularity", "shuffled MFCC")
    for where in ("cold", "hot"):
        rows = {row: [one.ndcg[where, row] for one in found] for row in order if (where, row) in found[0].ndcg}
        show(
            f"{where} NDCG@10",
            seeds,
            {row: [*values, float(np.mean(values))] for row, values in rows.items()},
            "{:.3f}",
        )
    for where in ("cold", "hot"):
        pairs = [key for key in found[0].p if key[0] == where]
        show(f"{where} p", seeds, {f"{a} - {b}": [one.p[where, a, b] for one in found] for _, a, b in pairs}, "{:.4f}")
    known = {f"{name}: {trait}": [one.accuracy[name, trait] for one in found] for name, trait in found[0].accuracy}
    show("accuracy", seeds, {name: [*values, float(np.mean(values))] for name, values in known.items()}, "{:.3f}")


def show(title: str, seeds: list[int], columns: dict[str, list[float]], form: str) -> None:
    """Print a table in Markdown: a row for each world, and one for the mean where a column has one value more."""
    print(f"\n| {title} | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
    for row, values in enumerate(zip(*columns.values(), strict=True)):
        name = f"world {seeds[row]}" if row < len(seeds) else "mean"
        print(f"| {name} | {' | '.join(form.format(value).removeprefix('0') for value in values)} |")


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]] or [2019, 1, 2, 3, 4])
