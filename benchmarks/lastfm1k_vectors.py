"""Published audio vectors of Last.fm-1K as one Parquet file for ``--extractor precomputed``.

    python benchmarks/lastfm1k_vectors.py audio_embeddings/node_3 [MORE ...] --out encodec.parquet
    bench run --data lastfm-1k:items=names --root LASTFM --extractor precomputed:path=encodec.parquet --model knn

Kandagatla et al., Multimodal Music Recommendation System using LLMs (arXiv 2606.00125; Zenodo 20431748), computed
CLAP, MERT, Music2Vec, EnCodec and MFCC vectors. Each folder holds ``embeddings.csv`` (or ``embeddings_sub_*.csv``) with
the columns artist_name, track_name, embedding_path, and one PyTorch file for each track, a tensor (width,). This is
what their code reads (sreehitha177/E4SRec, branch LastFM); the published archive itself was not at hand. Their code
joins vectors and log by the names of artist and track in lower case, and so do ``items=names`` and this program: the
id is ``artist||track``. Files are read as plain tensors, which runs no code in them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import polars as pl

COLUMNS = ("artist_name", "track_name", "embedding_path")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args(words)
    rows = pl.concat([listed(folder) for folder in arguments.folders])
    first = rows.unique("track_id", keep="first", maintain_order=True)
    there = first.filter(pl.Series([Path(path).is_file() for path in first["path"]], dtype=pl.Boolean))
    vectors = [vector(path) for path in there["path"]]
    frame = there.select("track_id", vector=pl.Series(vectors, dtype=pl.List(pl.Float32)))
    frame.write_parquet(arguments.out)
    print(
        f"{arguments.out}: {frame.height} vectors; left out {rows.height - first.height} rows with the names of an "
        f"earlier one, and {first.height - there.height} rows whose file is absent",
        file=sys.stderr,
    )


def listed(folder: Path) -> pl.DataFrame:
    """Return track_id and path of the vectors that a folder lists."""
    tables = [folder / "embeddings.csv"]
    if not tables[0].is_file() and not (tables := sorted(folder.glob("embeddings_sub_*.csv"))):
        raise SystemExit(f"{folder} holds no embeddings.csv and no embeddings_sub_*.csv")
    rows = pl.concat([pl.read_csv(path, columns=list(COLUMNS), infer_schema=False) for path in tables])
    names = [pl.col(name).str.strip_chars().str.to_lowercase() for name in COLUMNS[:2]]
    file = pl.col(COLUMNS[2]).str.replace(r"(?s)^.*[/\\]", "")
    return rows.select(track_id=pl.concat_str(names, separator="||"), path=pl.lit(f"{folder}/") + file).drop_nulls()


def vector(path: str) -> list[float]:
    """Read one vector (width,)."""
    import torch

    found = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(found, torch.Tensor) or found.ndim != 1:
        raise SystemExit(f"{path} holds {type(found).__name__}; expected a tensor of one dimension")
    return found.float().tolist()


if __name__ == "__main__":
    main()
