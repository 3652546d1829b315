"""Yambda: listening histories of a streaming service with audio embeddings, without audio or names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import polars as pl

from bench.datasets.base import FolderDataset, find
from bench.datasets.parquet_log import cached_json, check_log, open_parquet, plays
from bench.errors import BenchError

COLUMNS = {"user": "uid", "item": "item_id", "time": "timestamp"}
PLAYED = "played_ratio_pct"
ORGANIC = "is_organic"


@dataclass(frozen=True)
class YambdaSettings:
    """Which edition to read, and which plays count.

    size : 50m, 500m or 5b plays; the name of the folder below ``flat/``
    min_ratio : least percentage of the track that must be played for a play to count (Yambda's own protocol: 50)
    plays : all; or organic, only plays that the listener began without a recommendation
    """

    size: Literal["50m", "500m", "5b"] = "50m"
    min_ratio: int = 50
    plays: Literal["all", "organic"] = "all"

    def __post_init__(self) -> None:
        """Raise an error for an invalid percentage."""
        if not 0 <= self.min_ratio <= 100:
            raise BenchError(f"yambda: min_ratio={self.min_ratio}; expected a percentage from 0 to 100.")


class Yambda(FolderDataset):
    """50 million to 4.8 billion plays with audio embeddings, no audio; --data yambda:size=500m,plays=organic.

    Times are seconds since an unknown date, which is set to 1970-01-01: only differences have a meaning. Use
    the embeddings with ``--extractor precomputed:path=embeddings.parquet,column=embed``. The artist of an item
    is the list of its artists' numbers, as text. ``plays=organic`` leaves all other plays out, of training, too: a
    slice to set beside the complete log, under a name of its own.
    """

    Settings: ClassVar[type[Any]] = YambdaSettings
    later: ClassVar[dict[str, Any]] = {"plays": "all"}
    name: str = "yambda"
    license: str = "Apache-2.0"
    source: str = "Ploshkin et al., arXiv 2505.22238; https://huggingface.co/datasets/yandex/yambda"
    layout: str = (
        "flat/50m/listens.parquet (or 500m, 5b), and where you have them artist_item_mapping.parquet, "
        "album_item_mapping.parquet, embeddings.parquet"
    )

    def __init__(self, settings: YambdaSettings | None = None) -> None:
        """Store the settings; each edition has its own name."""
        super().__init__(settings)
        ratio = "" if self.settings.min_ratio == 50 else f"-ratio{self.settings.min_ratio}"
        organic = "" if self.settings.plays == "all" else "-organic"
        self.name = f"yambda-{self.settings.size}{ratio}{organic}"

    def missing(self, root: Path) -> list[str]:
        """Return the name of the log if it is absent."""
        return [] if self._log(root) else [f"flat/{self.settings.size}/listens.parquet"]

    def sources(self, root: Path) -> list[Path]:
        """Return the log and the tables of artists and albums."""
        tables = [find(root, (f"{kind}_item_mapping.parquet",)) for kind in ("artist", "album")]
        return [path for path in (self._log(root), *tables) if path]

    def listens(self, root: Path) -> pl.LazyFrame:
        """Return user, item (numbers as text), time (datetime, UTC) of the plays that count."""
        self._counts(root)
        return plays(self._open(root), COLUMNS, self._counting())

    def caveats(self, root: Path) -> list[str]:
        """Say if plays that follow a recommendation are left out."""
        if self.settings.plays == "all":
            return []
        return ["only organic plays, in training, too: a slice; do not compare its numbers with those of the whole log"]

    def notes(self, root: Path) -> list[str]:
        """Return how many plays do not count."""
        counts = self._counts(root)
        short = counts["plays"] - counts["counting"]
        unknown = f", {counts['unknown']:,} of them of unknown length" if counts["unknown"] else ""
        why = f"under {self.settings.min_ratio} % heard{unknown}"
        if self.settings.plays == "organic":
            why += f"; {counts['recommended']:,} others followed a recommendation"
        note = f"{short:,} of {counts['plays']:,} plays do not count: {why}"
        return [note] if short else []

    def meta(self, root: Path) -> pl.DataFrame | None:
        """Return artist and album of the items in the log: their numbers, ascending, separated by commas."""
        items = (
            self.listens(root)
            .select(pl.col("item").unique().cast(pl.String).alias("track_id"))
            .collect(engine="streaming")
        )
        found = items
        for kind in ("artist", "album"):
            if path := find(root, (f"{kind}_item_mapping.parquet",)):
                pairs = open_parquet(path, ("item_id", f"{kind}_id")).frame.select(
                    track_id=pl.col("item_id").cast(pl.String), number=pl.col(f"{kind}_id")
                )
                known = pairs.join(items.lazy(), on="track_id", how="semi").unique().sort("number")
                names = pl.col("number").cast(pl.String).str.join(",")
                named = known.group_by("track_id", maintain_order=True).agg(names.alias(kind)).collect()
                found = found.join(named, on="track_id", how="left")
        return found.sort("track_id") if found.width > 1 else None

    def _log(self, root: Path) -> Path | None:
        size = self.settings.size
        if found := find(root, (f"flat/{size}/listens.parquet", f"{size}/listens.parquet")):
            return found
        path = root / "listens.parquet"
        return path if root.name == size and path.exists() else None

    def _open(self, root: Path) -> Any:
        path = self._log(root)
        assert path is not None
        organic = (ORGANIC,) if self.settings.plays == "organic" else ()
        return open_parquet(path, (*COLUMNS.values(), PLAYED, *organic))

    def _counting(self) -> pl.Expr:
        """Whether a play counts."""
        heard: pl.Expr = pl.col(PLAYED) >= self.settings.min_ratio
        return heard if self.settings.plays == "all" else heard & (pl.col(ORGANIC) == 1)

    def _counts(self, root: Path) -> dict[str, Any]:
        """Count the plays and check every row, once for each file and setting."""
        table, ratio = self._open(root), self.settings.min_ratio
        key: dict[str, Any] = {"log": self.sha256(table.path), "min_ratio": ratio, "format": 1}
        played = pl.col(PLAYED)
        more: dict[str, Any] = {"counting": self._counting().sum(), "unknown": played.is_null().sum()}
        if self.settings.plays == "organic":
            key["plays"] = "organic"
            more["recommended"] = ((played >= ratio) & (pl.col(ORGANIC) != 1).fill_null(True)).sum()
        return cached_json(self.folder(key) / "counts.json", lambda: check_log(table, COLUMNS, **more))
