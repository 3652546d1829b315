"""Logs with vectors that were published for them, in small: from the files as they are released to a record."""

import importlib
import sys
from pathlib import Path

import numpy as np
import polars as pl
import torch

from bench import records
from bench.cli import main

FOLDER = Path(__file__).parents[2] / "benchmarks"
DAY = 86_400
TASTES = np.arange(40) // 4 % 2


def plays(seed=0):
    """Return plays (user, item, second) of 30 listeners in 60 days; a quarter of the items begins on day 55."""
    draw = np.random.default_rng(seed)
    new = np.arange(40) % 4 == 3
    rows = []
    for user in range(30):
        for item in draw.permutation(np.flatnonzero(user % 2 == TASTES))[:14]:
            first = 55 if new[item] else 0
            rows += [(user, int(item), int(day * DAY)) for day in draw.uniform(first, 60, size=2)]
    return sorted(rows, key=lambda row: (row[0], row[2]))


def vectors():
    """Vectors (40, 3) whose first number is the taste."""
    noise = np.random.default_rng(1).normal(size=(40, 2))
    return np.column_stack([TASTES * 2.0 - 1, noise]).astype(np.float32)


def ran(root: Path, data: str, extractor: str, folder: Path):
    words = ["run", "--data", data, "--root", root, "--extractor", extractor, "--model", "knn", "--k", "3"]
    split = "global_temporal:valid_share=0.2,cold_valid=0"
    words += ["--split", split, "--cache", folder / "cache", "--results", folder / "results", "--quiet"]
    assert main([str(word) for word in words]) == 0
    return next(record for _, record in records.read_all(folder / "results") if not record.control)


def test_lastfm_1k_with_vectors_by_name(tmp_path):
    lines = []
    for user, item, second in plays():
        when, mbid = np.datetime64(1_230_000_000 + second, "s"), "" if item % 3 else str(item)
        lines.append(f"user_{user:06}\t{when}Z\t\tArtist {item}\t{mbid}\tSong\n")
    root = tmp_path / "lastfm-dataset-1K"
    root.mkdir()
    (root / "userid-timestamp-artid-artname-traid-traname.tsv").write_text("".join(lines))
    node = tmp_path / "node_3"
    node.mkdir()
    rows = [(7 + item, f"artist {item} ", "Song", f"/elsewhere/{item}.pt") for item in range(40)]
    columns = ["track_index", "artist_name", "track_name", "embedding_path"]
    pl.DataFrame([*rows, (99, "ARTIST 0", "song", "/elsewhere/0.pt")], columns, orient="row").write_csv(
        node / "embeddings.csv"
    )
    for item, vector in enumerate(vectors()[:39]):
        torch.save(torch.from_numpy(vector), node / f"{item}.pt")
    sys.path.insert(0, str(FOLDER))
    try:
        convert = importlib.import_module("lastfm1k_vectors")
    finally:
        sys.path.remove(str(FOLDER))
    convert.main([str(node), "--out", str(tmp_path / "encodec.parquet")])
    frame = pl.read_parquet(tmp_path / "encodec.parquet")
    assert frame["track_id"].to_list() == [f"artist {item}||song" for item in range(39)]
    assert np.array_equal(np.array(frame["vector"].to_list(), np.float32), vectors()[:39])
    record = ran(root, "lastfm-1k:items=names", f"precomputed:path={tmp_path}/encodec.parquet", tmp_path)
    assert record.data.name == "lastfm-1k-names"
    assert record.extractor.coverage == 39 / 40
    assert record.metrics["cold"]["ndcg@3"] > record.chance["cold"]["ndcg@3"] * 1.3


def test_yambda_with_its_embeddings_and_artists(tmp_path):
    root = tmp_path / "yambda"
    (root / "flat" / "50m").mkdir(parents=True)
    rows = [(user, second // 5 * 5, 1000 + item, item % 5 != 0, 80, 200) for user, item, second in plays()]
    columns = {"uid": pl.UInt32, "timestamp": pl.UInt32, "item_id": pl.UInt32, "is_organic": pl.UInt8}
    columns |= {"played_ratio_pct": pl.UInt16, "track_length_seconds": pl.UInt32}
    frame = pl.DataFrame(rows, schema=list(columns), orient="row").cast(columns)
    frame.write_parquet(root / "flat" / "50m" / "listens.parquet")
    artists = {"artist_id": [item // 2 for item in range(40)], "item_id": [1000 + item for item in range(40)]}
    pl.DataFrame(artists, {"artist_id": pl.UInt32, "item_id": pl.UInt32}).write_parquet(
        root / "artist_item_mapping.parquet"
    )
    units = vectors() / np.linalg.norm(vectors(), axis=1, keepdims=True)
    embeddings = {"item_id": artists["item_id"], "embed": vectors().tolist(), "normalized_embed": units.tolist()}
    kinds = {"item_id": pl.UInt32, "embed": pl.List(pl.Float64), "normalized_embed": pl.List(pl.Float64)}
    pl.DataFrame(embeddings, kinds).write_parquet(root / "embeddings.parquet")
    extractor = f"precomputed:path={root}/embeddings.parquet,column=embed"
    whole = ran(root, "yambda:size=50m", extractor, tmp_path / "all")
    assert whole.extractor.width == 3
    assert whole.extractor.coverage == 1
    assert whole.split.overlap["artist_overlap_hot"] is not None
    assert whole.metrics["cold"]["ndcg@3"] > whole.chance["cold"]["ndcg@3"] * 1.3
    organic = ran(root, "yambda:size=50m,plays=organic", extractor, tmp_path / "organic")
    assert organic.data.name == "yambda-50m-organic"
    assert any("organic" in warning for warning in organic.warnings)
    assert organic.split.counts["log"]["plays"] == int(frame["is_organic"].sum()) < whole.split.counts["log"]["plays"]
