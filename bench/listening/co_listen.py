"""The co-listen graph: an edge connects two tracks that enough listeners played.

Source: Huang et al., Large-scale weakly-supervised content embeddings (ICASSP 2020), section 2. Edges are
undirected and unweighted; edges with few listeners and listeners with few tracks are dropped; a track has at
most 250 neighbours. The paper does not give the thresholds; they are settings here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.errors import BenchError

BLOCK = 20_000_000
"""Pairs of tracks counted at a time; limits memory to about 1 GB."""


@dataclass(frozen=True)
class GraphSettings:
    """Which tracks are connected.

    listeners : least number of listeners who played both tracks
    plays : least number of plays for a track to count as played by a listener
    least : least number of tracks a listener must have played
    neighbours : most neighbours of a track, the ones with most common listeners; an edge must be among the
        strongest of both of its tracks
    """

    listeners: int = 5
    plays: int = 1
    least: int = 10
    neighbours: int = 250

    def __post_init__(self) -> None:
        """Raise an error for thresholds below one."""
        if min(self.listeners, self.plays, self.least, self.neighbours) < 1:
            raise ValueError("listeners, plays, least and neighbours must be at least 1")


@dataclass(frozen=True, eq=False)
class Graph:
    """Track ids (N,), sorted; edges (E, 2) int64 of indices, smaller first, sorted; common listeners (E,)."""

    ids: Sequence[str]
    edges: NDArray[np.int64]
    common: NDArray[np.int64]


def co_listen(
    listens: pl.LazyFrame, settings: GraphSettings | None = None, known: Sequence[str] | None = None
) -> Graph:
    """Return the graph of a listening log (user, item, ...), restricted to the `known` tracks if given.

    Raises
    ------
    BenchError
        No two tracks have enough listeners in common.

    """
    settings = settings or GraphSettings()
    plays = listens.select(pl.col("user", "item").cast(pl.String))
    if known is not None:
        plays = plays.join(pl.LazyFrame({"item": known}, schema={"item": pl.String}), on="item", how="semi")
    played = plays.group_by("user", "item").len().filter(pl.col("len") >= settings.plays).select("user", "item")
    played = played.filter(pl.len().over("user") >= settings.least)
    # A track with too few listeners has no edge.
    table = played.collect(engine="streaming").filter(pl.len().over("item") >= settings.listeners)
    ids = table["item"].unique().sort()
    coded = table.select(
        user=pl.col("user").rank("dense").cast(pl.UInt32),
        item=(pl.col("item").rank("dense") - 1).cast(pl.UInt32),
    ).sort("item", "user")
    found = [_count_common(coded, first, last, settings.listeners) for first, last in _blocks(coded)]
    pairs = pl.concat(found) if found else pl.DataFrame()
    if not pairs.height:
        raise BenchError(
            f"no two tracks have {settings.listeners} listeners in common: there is no co-listen graph. "
            "Lower listeners=, plays= or least=."
        )
    pairs = _nearest(pairs, settings.neighbours).sort("a", "b")
    edges = pairs.select(pl.col("a", "b").cast(pl.Int64)).to_numpy()
    return Graph(ids.to_list(), edges, pairs["common"].cast(pl.Int64).to_numpy())


def _blocks(coded: pl.DataFrame) -> list[tuple[int, int]]:
    """Split the tracks into ranges [first, last) with about `BLOCK` pairs each."""
    if not coded.height:
        return []
    cost = coded.with_columns(n=pl.len().over("user")).group_by("item").agg(pl.col("n").sum()).sort("item")
    block = cost["n"].cast(pl.Int64).cum_sum() // BLOCK
    cuts = [*np.flatnonzero(np.diff(block.to_numpy(), prepend=-1)).tolist(), cost.height]
    return list(pairwise(cuts))


def _count_common(coded: pl.DataFrame, first: int, last: int, least: int) -> pl.DataFrame:
    """Return a, b (a < b) and their common listeners, for tracks a in [first, last)."""
    part = coded.filter(pl.col("item").is_between(first, last, closed="left"))
    return (
        part.lazy()
        .join(coded.lazy(), on="user", suffix="_b")
        .filter(pl.col("item") < pl.col("item_b"))
        .group_by(a="item", b="item_b")
        .agg(common=pl.len())
        .filter(pl.col("common") >= least)
        .collect()
    )


def _nearest(pairs: pl.DataFrame, most: int) -> pl.DataFrame:
    """Keep edges that are among the `most` strongest of both tracks; ties prefer neighbours with smaller index."""
    both = pl.concat([pairs, pairs.select(a="b", b="a", common="common")])
    rank = pl.struct(-pl.col("common").cast(pl.Int64), "b").rank("ordinal").over("a")
    nearest = both.filter(rank <= most).select("a", "b")
    from_a = pairs.join(nearest, on=["a", "b"], how="semi")
    return from_a.join(nearest.select(a="b", b="a"), on=["a", "b"], how="semi")
