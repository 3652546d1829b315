"""Generate a log of any size, with item tables whose ranking by quality is known.

Items are distributed around the centres of latent clusters. A listener draws items from a few clusters, by
Zipf's law within each; some items are played only after a cut date. A recommender with the latent vectors must
beat one with a projection of them, which must beat one with a noisy projection; shuffled rows are at chance
level. For tests and benchmarks only: the numbers may change with the version of NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.synthetic.model import CUT, END, START

TASTES: Final = 3
"""Clusters per listener."""
_STRAY: Final = 0.1
"""Share of plays from a random cluster."""
_LATE: Final = 0.15
"""Share of plays on or after the cut."""
_WIDEST: Final = 32
"""Highest dimension of the latent space."""
_EXPONENT: Final = 0.7


@dataclass(frozen=True, eq=False)
class Planted:
    """A log and its item tables; the rows of all tables are in the order of `ids`."""

    listens: pl.DataFrame
    """user (str), item (str), time (datetime, UTC), sorted by user and time."""
    tables: dict[str, NDArray[np.float32]]
    """``oracle`` (N, min(dim, 32)), the latent vectors; ``aligned``, ``noisy``, ``shuffled`` (N, dim)."""
    ids: list[str]
    """Item ids (N,), sorted; some may never be played."""
    cold: NDArray[np.bool_]
    """Which items (N,) are played only on or after the cut."""
    cut: datetime


def planted(
    n_users: int,
    n_items: int,
    dim: int,
    *,
    seed: int,
    plays: int | None = None,
    cold_share: float = 0.1,
    noise: float = 2.0,
) -> Planted:
    """Make a log of about `plays` plays (default: 100 per user) and its four item tables.

    A share `cold_share` of the items is played only after the cut (2020-02-20; the log runs from 2019-02-20 to
    2020-03-20). `noise` is the standard deviation of the noise in ``noisy``; that of ``aligned`` itself is
    about 1. The size of a published data set (17,000 users, 56,000 items, 200 dimensions, 5 million plays) takes
    seconds and about 1 GiB.

    Raises
    ------
    ValueError
        `n_users` or `dim` is below 1, `n_items` is below 2, or `cold_share` is outside [0, 1).

    """
    if n_users < 1 or n_items < 2 or dim < 1 or not 0 <= cold_share < 1:
        raise ValueError(
            f"planted() needs users, two items, a dimension and 0 <= cold_share < 1, got {n_users} users, "
            f"{n_items} items, dim {dim}, cold_share {cold_share}"
        )
    rng = np.random.default_rng([seed, 0x91A47ED])
    clusters = max(2, min(n_items // 8, round(n_items**0.5 / 2)))
    cluster = rng.permutation(np.arange(n_items, dtype=np.int32) % clusters)
    order = np.lexsort((rng.random(n_items), cluster))
    starts = np.searchsorted(cluster[order], np.arange(clusters + 1))
    rank = np.empty(n_items, dtype=np.int64)
    rank[order] = np.arange(n_items) - starts[cluster[order]]
    cold = (rng.random(n_items) < cold_share) & (rank > 0)  # every cluster has an item that is not cold

    user, time = _when(rng, n_users, plays if plays is not None else 100 * n_users)
    wanted = _clusters(rng, user, n_users, clusters)
    weight = (rank + 1.0) ** -_EXPONENT
    item = np.empty(len(user), dtype=np.int32)
    late = time >= CUT
    for rows, mass in ((np.flatnonzero(~late), np.where(cold, 0.0, weight)), (np.flatnonzero(late), weight)):
        edges = np.concatenate([[0.0], np.cumsum(mass[order])])
        low, high = edges[starts[wanted[rows]]], edges[starts[wanted[rows] + 1]]
        # Slightly below the upper edge, so that rounding never selects the next cluster.
        target = low + rng.random(len(rows)) * (high - low) * (1 - 1e-9)
        item[rows] = order[np.searchsorted(edges[1:], target, side="right")]

    ids = [f"i{index:0{len(str(n_items - 1))}d}" for index in range(n_items)]
    names = pl.Series([f"u{index:0{len(str(n_users - 1))}d}" for index in range(n_users)])
    listens = pl.DataFrame(
        {
            "user": names.gather(user),
            "item": pl.Series(ids).gather(item),
            "time": pl.from_epoch(pl.Series(time), "s").dt.replace_time_zone("UTC"),
        }
    )
    cut = datetime.fromtimestamp(CUT, tz=UTC)
    return Planted(listens, _tables(rng, cluster, clusters, dim, noise), ids, cold, cut)


def _when(rng: np.random.Generator, n_users: int, plays: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Draw user and second of every play, sorted; activity is log-normal, with at least two plays per user."""
    activity = rng.lognormal(0.0, 0.8, n_users)
    counts = np.maximum(rng.multinomial(max(plays, 1), activity / activity.sum()), 2)
    user = np.repeat(np.arange(n_users, dtype=np.int32), counts)
    moment = rng.random(len(user))
    share = moment * (1.0 / (1.0 - _LATE))
    time = np.where(
        moment < 1.0 - _LATE,
        START + share * (CUT - START),
        CUT + (moment - (1.0 - _LATE)) / _LATE * (END - CUT),
    ).astype(np.int64)
    # Sort by user and time with a single key.
    key = (user.astype(np.int64) << 32) | np.minimum(time, END - 1)
    key.sort()
    return user, key & 0xFFFFFFFF


def _clusters(rng: np.random.Generator, user: NDArray[np.int32], n_users: int, clusters: int) -> NDArray[np.int32]:
    """Draw the cluster (P,) of each play: usually one of the user's own, sometimes any."""
    tastes = rng.integers(0, clusters, (n_users, TASTES), dtype=np.int32)
    slot = np.zeros(len(user), dtype=np.int8)
    draw = rng.random(len(user), dtype=np.float32)
    shares = np.cumsum(rng.dirichlet(np.ones(TASTES), n_users), axis=1).astype(np.float32)
    for taste in range(TASTES - 1):
        slot += draw > shares[user, taste]
    own = tastes[user, slot]
    stray = np.flatnonzero(rng.random(len(user), dtype=np.float32) < _STRAY)
    own[stray] = rng.integers(0, clusters, len(stray), dtype=np.int32)
    return own


def _tables(
    rng: np.random.Generator, cluster: NDArray[np.int32], clusters: int, dim: int, noise: float
) -> dict[str, NDArray[np.float32]]:
    n_items, latent = len(cluster), min(dim, _WIDEST)
    centres = rng.standard_normal((clusters, latent), dtype=np.float32)
    oracle = centres[cluster] + np.float32(0.5) * rng.standard_normal((n_items, latent), dtype=np.float32)
    projection = rng.standard_normal((latent, dim), dtype=np.float32) / np.float32(latent**0.5)
    aligned = oracle @ projection
    aligned += np.float32(0.5) * rng.standard_normal((n_items, dim), dtype=np.float32)
    noisy = aligned + np.float32(noise) * rng.standard_normal((n_items, dim), dtype=np.float32)
    return {
        "oracle": oracle,
        "aligned": aligned,
        "noisy": noisy,
        "shuffled": aligned[rng.permutation(n_items)],
    }
