"""The co-listen graph: an edge connects two tracks that enough listeners played.

Source: Huang et al., Large-scale weakly-supervised content embeddings (ICASSP 2020), section 2. Edges are
undirected and unweighted; edges with few listeners and listeners with few tracks are dropped; a track has at
most 250 neighbours. The paper does not give the thresholds; they are settings here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.errors import BenchError

DENSE = 8
"""A track whose listeners have played fewer tracks than 1 / `DENSE` of all is counted by sorting."""


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
    table = played.collect(engine="streaming")
    ids = table["item"].unique().sort()
    user = (table["user"].rank("dense") - 1).cast(pl.Int64).to_numpy()
    item = (table["item"].rank("dense") - 1).cast(pl.Int64).to_numpy()
    nodes, edges, common = connect(user, item, settings)
    return Graph(ids.gather(nodes).to_list(), edges, common)


def connect(
    user: NDArray[np.integer], item: NDArray[np.integer], settings: GraphSettings
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the items (N,) with enough listeners, sorted, and edges and common listeners as in `Graph`.

    Parameters
    ----------
    user, item : who has played which item (P,), each pair once, numbered from 0; ``settings.plays`` is not applied

    Raises
    ------
    BenchError
        No two items have enough listeners in common.

    """
    often = np.bincount(user)[user] >= settings.least
    user, item = user[often], item[often]
    # An item with too few listeners has no edge.
    known = np.bincount(item)[item] >= settings.listeners
    nodes, numbers = np.unique(item[known].astype(np.int64), return_inverse=True)
    edges, common = _count(user[known], numbers, len(nodes), settings)
    if not len(edges):
        raise BenchError(
            f"no two tracks have {settings.listeners} listeners in common: there is no co-listen graph. "
            "Lower listeners=, plays= or least=."
        )
    return nodes, edges, common


def _count(
    user: NDArray[np.integer], item: NDArray[np.int64], n: int, settings: GraphSettings
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return edges and common listeners of `connect`, of items that are numbered without gaps.

    The tracks of all listeners of a track, one after another, contain each other track as often as the two have
    common listeners.
    """
    by_user = np.argsort(user, kind="stable")
    ends = np.searchsorted(user[by_user], np.arange(int(user.max(initial=-1)) + 1), side="right")
    histories = np.split(item[by_user], ends[:-1]) if len(ends) else []
    by_item = np.argsort(item, kind="stable")
    audiences = np.split(user[by_item], np.cumsum(np.bincount(item, minlength=n))[:-1]) if n else []
    keys, strengths = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for node, audience in enumerate(audiences):
        heard = np.concatenate([histories[u] for u in audience.tolist()])
        if DENSE * len(heard) < n:
            others, common = np.unique(heard, return_counts=True)
        else:
            common = np.bincount(heard)
            others = np.flatnonzero(common >= settings.listeners)
            common = common[others]
        enough = (common >= settings.listeners) & (others != node)
        others, common = others[enough], common[enough]
        if len(others) > settings.neighbours:
            # Ties prefer neighbours with a smaller index.
            nearest = np.argpartition(others - common * n, settings.neighbours)[: settings.neighbours]
            nearest.sort()
            others, common = others[nearest], common[nearest]
        keys.append(node * n + others)
        strengths.append(common)
    key, strength = np.concatenate(keys), np.concatenate(strengths)
    # `key` ascends. An edge is kept if both of its tracks chose it.
    first, second = np.divmod(key, max(n, 1))
    up = first < second
    back = np.sort((second * n + first)[~up])
    at = np.searchsorted(back, key[up])
    mutual = np.append(back, -1)[at] == key[up]
    return np.stack([first[up][mutual], second[up][mutual]], axis=1), strength[up][mutual]
