"""The co-listen graph: two tracks are joined when enough listeners heard both.

Huang et al., Large-scale weakly-supervised content embeddings (ICASSP 2020), section 2: edges are undirected
and unweighted, counts below a threshold are dropped, and so are listeners of few tracks; no track has more
than 250 neighbours. Their thresholds are not printed; ours are settings.
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
"""Pairs of tracks of one listener that are counted at a time: bounds the memory at about 1 GB."""


@dataclass(frozen=True)
class GraphSettings:
    """What makes an edge.

    listeners : how many must have heard both tracks
    plays : how often a listener must have played a track to count as having heard it
    least : tracks a listener must have heard
    neighbours : most neighbours of a track, those with most common listeners; an edge must be among those of
        both its ends
    """

    listeners: int = 5
    plays: int = 1
    least: int = 10
    neighbours: int = 250

    def __post_init__(self) -> None:
        """Refuse thresholds below one."""
        if min(self.listeners, self.plays, self.least, self.neighbours) < 1:
            raise ValueError("listeners, plays, least and neighbours must be at least 1")


@dataclass(frozen=True, eq=False)
class Graph:
    """Track ids (N,), sorted; edges (E, 2) int64 with the smaller row first, sorted; common listeners (E,)."""

    ids: Sequence[str]
    edges: NDArray[np.int64]
    common: NDArray[np.int64]


def co_listen(
    listens: pl.LazyFrame, settings: GraphSettings | None = None, known: Sequence[str] | None = None
) -> Graph:
    """Return the graph of a listening log (user, item, ...), of the `known` tracks if given.

    Raises
    ------
    BenchError
        No two tracks have enough listeners in common.

    """
    settings = settings or GraphSettings()
    plays = listens.select("user", "item")
    if known is not None:
        plays = plays.join(pl.LazyFrame({"item": known}, schema={"item": pl.String}), on="item", how="semi")
    heard = plays.group_by("user", "item").len().filter(pl.col("len") >= settings.plays).select("user", "item")
    heard = heard.filter(pl.len().over("user") >= settings.least)
    # A track with too few listeners has no edge.
    table = heard.collect(engine="streaming").filter(pl.len().over("item") >= settings.listeners)
    ids = table["item"].unique().sort()
    coded = table.select(
        user=pl.col("user").rank("dense").cast(pl.UInt32),
        item=(pl.col("item").rank("dense") - 1).cast(pl.UInt32),
    ).sort("item", "user")
    found = [_counted(coded, first, last, settings.listeners) for first, last in _blocks(coded)]
    pairs = pl.concat(found) if found else pl.DataFrame()
    if not pairs.height:
        raise BenchError(
            f"no two tracks were heard by {settings.listeners} of the same listeners: there is no co-listen graph. "
            "Lower listeners=, plays= or least=."
        )
    pairs = _nearest(pairs, settings.neighbours).sort("a", "b")
    edges = pairs.select(pl.col("a", "b").cast(pl.Int64)).to_numpy()
    return Graph(ids.to_list(), edges, pairs["common"].cast(pl.Int64).to_numpy())


def _blocks(coded: pl.DataFrame) -> list[tuple[int, int]]:
    """Cut the tracks into ranges [first, last) that give some `BLOCK` pairs each."""
    if not coded.height:
        return []
    cost = coded.with_columns(n=pl.len().over("user")).group_by("item").agg(pl.col("n").sum()).sort("item")
    block = cost["n"].cast(pl.Int64).cum_sum() // BLOCK
    cuts = [*np.flatnonzero(np.diff(block.to_numpy(), prepend=-1)).tolist(), cost.height]
    return list(pairwise(cuts))


def _counted(coded: pl.DataFrame, first: int, last: int, least: int) -> pl.DataFrame:
    """Return a, b (a < b), common listeners, for a in a range of tracks."""
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
    """Keep the edges that are among the `most` strongest of both ends; of equals those to earlier tracks."""
    both = pl.concat([pairs, pairs.select(a="b", b="a", common="common")])
    place = pl.struct(-pl.col("common").cast(pl.Int64), "b").rank("ordinal").over("a")
    near = both.filter(place <= most).select("a", "b")
    kept = pairs.join(near, on=["a", "b"], how="semi")
    return kept.join(near.select(a="b", b="a"), on=["a", "b"], how="semi")
