"""Cold artists of HetRec 2011 by Spotify descriptors: measured beside expected figures, by plain ``bench run``.

    python benchmarks/hetrec.py ROOT DESCRIPTORS                    # ten seconds of one core
    python benchmarks/hetrec.py ROOT DESCRIPTORS --random-folds 60  # also two sets of descriptors on random folds

ROOT holds hetrec2011-lastfm-2k (user_artists.dat, artists.dat). DESCRIPTORS is ``data_w_genres.csv`` of
swarupa29/Data-science-project-Song-Genre at commit 06aca6f2: 22,727 artists; its hash is checked. Neither is part of
this project, and nothing of them is kept outside ``--folder``.

Artists are joined by name: letters and digits of the decomposed name in ASCII, in lower case, with "and" for "&" and
without a leading "the"; of several rows with one name that with most tracks. Artists with five listeners or more are
kept. That log and the vectors are written to ``--folder``; ``bench run --data lastfm-2k`` does the rest. Nine of the
ten numbers of DESCRIPTORS are a vector: duration_ms says how long tracks are, not how they sound.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench import records
from bench.cli import main as bench
from bench.datasets.lastfm_2k import LastFM2K
from bench.files.atomic import file_sha256
from bench.metrics.from_ranks import pair_values
from bench.records import Record
from bench.records.ranks import HeldOut, read_ranks
from bench.stats import PairedTest, PairScores, item_clusters, pair_weights, paired_test, two_way, two_way_tests

DESCRIPTORS = "06ed5251f02dbd74dea88f3acdcca698144d1087a4540fa18b7769f928637bcb"
NINE = (
    *("acousticness", "danceability", "energy", "instrumentalness", "liveness"),
    *("loudness", "speechiness", "tempo", "valence"),
)
LISTENERS = 5
METRIC = "ndcg@10"
FOLDS = (1, 2, 3, 4, 5)
EXPECTED = {
    "listeners": 1878,
    "artists": 1777,
    "pairs": 56_891,
    **{f"NDCG@10, fold {fold}": value for fold, value in zip(FOLDS, (0.199, 0.193, 0.156, 0.212, 0.157), strict=True)},
    "NDCG@10, mean of the folds": 0.183,
    "NDCG@10, sd of the folds": 0.025,
    "half-width over listeners, fold 1": 0.011,
    "shuffled rows, fold 1": 0.038,
    "chance, fold 1": 0.036,
}
SETS = {
    "a": ("acousticness", "danceability", "energy"),
    "b": ("loudness", "speechiness", "valence"),
}
"""Two disjoint sets of descriptors that are about as good as one another."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("descriptors", type=Path)
    parser.add_argument("--folder", type=Path, help="log, vectors, cache and results (default: a new temporary folder)")
    parser.add_argument("--random-folds", type=int, default=0, metavar="N", help="a multiple of 5")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        vectors, plays = joined(arguments.root, arguments.descriptors, folder)
        table(measured(folder, vectors, plays))
        if arguments.random_folds:
            two_sets(folder, vectors, arguments.random_folds // len(FOLDS))


# -- the log and the vectors -----------------------------------------------------------------------------------


def joined(root: Path, descriptors: Path, folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Write the log of the artists with a vector; return vectors (track_id, nine numbers) and counts (user, item)."""
    if (found := file_sha256(descriptors)) != DESCRIPTORS:
        raise SystemExit(f"{descriptors} has sha256 {found}, not {DESCRIPTORS}: another file than the expected one.")
    data = LastFM2K()
    root = data.prepare(root, folder / "cache")
    plays = data.listens(root).select("user", "item", "count").collect()
    known = plays.group_by("item").len().filter(pl.col("len") >= LISTENERS)
    names = data.meta(root).select(pl.col("track_id").cast(pl.Int64).alias("item"), key=_keys("artist"))
    names = names.join(known, on="item", how="semi")
    rows = pl.read_csv(descriptors).with_columns(key=_keys("artists")).filter(pl.col("key") != "")
    rows = rows.sort("count", descending=True, maintain_order=True).unique("key", keep="first", maintain_order=True)
    vectors = names.join(rows, on="key").sort("item").select(pl.col("item").cast(pl.String).alias("track_id"), *NINE)
    plays = plays.filter(pl.col("item").cast(pl.String).is_in(vectors["track_id"].implode()))
    log = folder / "lastfm-2k"
    log.mkdir(parents=True, exist_ok=True)
    plays.rename({"user": "userID", "item": "artistID", "count": "weight"}).write_csv(
        log / "user_artists.dat", separator="\t"
    )
    artists = next(path for path in data.sources(root) if path.name == "artists.dat")
    (log / "artists.dat").write_bytes(artists.read_bytes())
    return vectors, plays


def _keys(column: str) -> pl.Expr:
    return pl.col(column).map_elements(key, return_dtype=pl.String)


def key(name: str) -> str:
    """Return the letters and digits by which names are compared."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower().replace("&", "and")
    return "".join(filter(str.isalnum, plain.strip().removeprefix("the ")))


# -- runs ------------------------------------------------------------------------------------------------------


def run(folder: Path, tables: Sequence[pl.DataFrame], split: str, *more: str) -> list[tuple[Path, Record]]:
    """Run standardised kNN on tables of vectors; return the records of the cells, controls last."""
    results = folder / "results" / split.replace(":", "-").replace(",", "-")
    specs = []
    for number, vectors in enumerate(tables):
        path = folder / f"spotify-{vectors.width - 1}-descriptors{number or ''}.parquet"
        vectors.write_parquet(path)
        specs.append(f"precomputed:path={path}")
    words = ["run", "--data", "lastfm-2k", "--root", folder / "lastfm-2k", "--extractor", ",".join(specs)]
    words += ["--model", "knn", "--treat", "standardize", "--split", split, "--k", "10", *more]
    words += ["--cache", folder / "cache", "--results", results, "--quiet"]
    with contextlib.redirect_stdout(io.StringIO()):
        if code := bench([str(word) for word in words]):
            sys.exit(code)
    found = [(path, record) for path, record in records.read_all(results) if isinstance(record, Record)]
    return sorted(found, key=lambda one: (one[1].control, one[1].extractor.spec))


def per_user(path: Path) -> NDArray[np.float64]:
    """Return the metric of each listener (U,) on cold artists."""
    rows = pl.read_parquet(records.users_path(path)).filter(pl.col("candidates") == "cold").sort("user")
    return rows[METRIC].to_numpy()


def measured(folder: Path, vectors: pl.DataFrame, plays: pl.DataFrame) -> dict[str, float]:
    """Return the measured values of `EXPECTED`."""
    found: dict[str, float] = {"listeners": plays["user"].n_unique(), "artists": len(vectors), "pairs": len(plays)}
    cells = run(folder, [vectors], "cold_random", "--folds", "all")
    means = np.array([by_spec(cells, fold)[0][1].metrics["cold"][METRIC] for fold in FOLDS])
    found |= {f"NDCG@10, fold {fold}": float(mean) for fold, mean in zip(FOLDS, means, strict=True)}
    found["NDCG@10, mean of the folds"] = float(means.mean())
    found["NDCG@10, sd of the folds"] = float(means.std(ddof=1))
    path, first = by_spec(cells, 1)[0]
    users = per_user(path)
    found["half-width over listeners, fold 1"] = float(1.96 * users.std(ddof=1) / np.sqrt(len(users)))
    interval = two_way(per_pair(path, first)).interval()
    found["half-width over listeners and artists, fold 1"] = (interval.high - interval.low) / 2 if interval else np.nan
    shuffled = next(record for _, record in by_spec(cells, 1) if record.extractor.spec.startswith("shuffled"))
    found["shuffled rows, fold 1"] = shuffled.metrics["cold"][METRIC]
    found["chance, fold 1"] = first.chance["cold"][METRIC]
    return found


def table(found: dict[str, float]) -> None:
    """Print measured beside expected figures, and whether they agree to the last printed digit."""
    print("| figure | expected | measured | same |\n|---|---|---|---|")
    differ = []
    for name, expected in EXPECTED.items():
        digits = 3 if isinstance(expected, float) else 0
        same = round(found[name], digits) == expected
        differ += [] if same else [name]
        value = f"{found[name]:,.{digits + bool(digits)}f}"
        print(f"| {name} | {expected:,.{digits}f} | {value} | {'yes' if same else 'no'} |")
    for name in found.keys() - EXPECTED.keys():
        print(f"| {name} | – | {found[name]:.4f} | – |")
    print(f"\ndifferent: {', '.join(differ) or 'none'}")


# -- two sets of descriptors -----------------------------------------------------------------------------------


def two_sets(folder: Path, vectors: pl.DataFrame, seeds: int) -> None:
    """Compare two disjoint sets of descriptors on random folds, by tests over listeners alone and over artists, too."""
    tables = [vectors.select("track_id", *names) for names in SETS.values()]
    signs: list[tuple[int, int]] = []
    for seed in range(seeds):
        cells = run(folder, tables, f"cold_random:seed={seed}", "--folds", "all", "--no-controls")
        for a, b in (by_spec(cells, fold) for fold in FOLDS):
            one = paired_test(per_user(a[0])[None], per_user(b[0])[None])
            two, _ = two_way_tests([(per_pair(*a), per_pair(*b))])[0]
            signs.append((significant(one), significant(two)))
    for name, names in SETS.items():
        print(f"{name}: {', '.join(names)}")
    print("| p <= .05 in | a better | b better |\n|---|---|---|")
    for test, found in zip(("listeners alone", "listeners and artists"), np.array(signs).T, strict=True):
        print(f"| {test}, {len(found)} folds | {np.mean(found > 0):.0%} | {np.mean(found < 0):.0%} |")


def by_spec(cells: Sequence[tuple[Path, Record]], fold: int) -> list[tuple[Path, Record]]:
    """Return the cells of a fold, in the order of their tables."""
    return [cell for cell in cells if cell[1].split.settings["fold"] == fold]


def per_pair(path: Path, record: Record) -> PairScores:
    """Return the values of the held-out pairs of a record, in the order of their names."""
    held = read_ranks(path, record)
    if isinstance(held, str):
        raise SystemExit(f"{path}: {held}")
    cold: HeldOut = held["cold"]
    order = np.lexsort((cold.item, cold.listener))
    listener = cold.listener[order]
    clusters = item_clusters(cold.artist, cold.item)[order]
    return PairScores(pair_values("ndcg", 10, cold)[None, order], pair_weights(listener), listener, clusters)


def significant(test: PairedTest) -> int:
    """Return 1 or -1, the sign of a significant difference, or 0."""
    return int(np.sign(test.mean)) * (test.p <= 0.05)


if __name__ == "__main__":
    main()
