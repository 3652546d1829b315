"""Who plays what, and when: taste for audible traits, popularity, habit, loyalty to artists, drift.

A listener has three ideals, points in the space of traits. A new track is drawn with probability
proportional to popularity x sum over ideals of weight x (exp(FOCUS x (cosine - 1)) + STRAY), among the
tracks released by then; the weights drift over the year. The other plays return to something heard
before: to the track itself, or to its artist. All sums are of integers, so that no order matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.synthetic.model import CUT, DAY, END, PERIOD, START, World
from bench.synthetic.random_stream import Stream, exp

FOCUS: Final = 9.0
"""How sharply taste falls off around an ideal: liking is exp(FOCUS x (cosine - 1))."""
IDEALS: Final = 3
STRAY: Final = 0.003
"""Liking of any track whatever; that of an ideal itself is 1."""
REPEAT, LOYAL = 0.18, 0.12
"""Shares of plays that repeat an earlier track, and that try another track of an earlier artist."""
ACTIVITY: Final = 0.6
"""Standard deviation of the logarithm of plays a day."""
LATECOMERS, LEAVERS = 0.35, 0.12
"""Shares of listeners who join during the year, and who leave before the test month."""
GROWTH: Final = 0.9
"""Share of plays whose day is the later of two: listening grows over the year."""
FOUND: Final = 0.65
"""How much a track is played in its first month, as a share of what its fame will bring."""
HEARD: Final = 4
"""Plays below which a track out for five days is advertised."""
_FINE, _COARSE = 1 << 20, 1 << 10
_HOURS: Final = (4, 2, 1, 1, 1, 1, 2, 4, 6, 6, 6, 6, 7, 7, 6, 6, 7, 8, 9, 10, 11, 11, 9, 7)


@dataclass(frozen=True, eq=False)
class Plays:
    """The log, sorted by listener and time: rows (P,) of listener, track and second (UTC)."""

    user: NDArray[np.int64]
    track: NDArray[np.int64]
    time: NDArray[np.int64]
    listeners: tuple[str, ...]
    """Ids by index, sorted."""

    def __len__(self) -> int:
        """Return the number of plays."""
        return len(self.user)


def make_plays(world: World) -> Plays:
    """Simulate the listening log of a world; a fraction of a second for the 72,000 of the demo."""
    size = world.size
    user, time = _when(world)
    source, again, loyal = _habits(user, Stream(size.seed, "habits"))
    track = np.full(len(user), -1, dtype=np.int64)
    _discover(world, user, time, track, np.flatnonzero(~again & ~loyal))

    # An artist is handed on along a chain of returns: follow each to the discovery it began with.
    here = np.arange(len(user), dtype=np.int64)
    root = _follow(np.where(again | loyal, source, here))
    rows = np.flatnonzero(loyal)
    artists = world.artist_of[track[root[rows]]]
    track[rows] = _of_artist(world, artists, time[rows], Stream(size.seed, "loyal"))
    track = track[_follow(np.where(again, source, here))]

    width = max(3, len(str(size.listeners - 1)))
    names = tuple(f"u{index:0{width}d}" for index in range(size.listeners))
    order = np.lexsort((track, time, user))
    return Plays(user[order], track[order], time[order], names)


def _when(world: World) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Listener and second of every play, sorted; activity is log-normal, evenings are busier."""
    size, last = world.size, (END - START) // DAY
    stream = Stream(size.seed, "activity")
    activity = exp(stream.normal(size.listeners) * ACTIVITY)
    year = (CUT - START) // DAY
    joined = np.where(stream.coins(LATECOMERS, size.listeners), stream.integers(year - 60, size.listeners), 0).astype(
        np.int64
    )
    stays = stream.uniform(size.listeners)
    left = np.where(
        stream.coins(LEAVERS, size.listeners),
        joined + 30 + (stays * (year - 30 - joined)).astype(np.int64),
        last,
    )
    share = np.rint(activity * (left - joined) * _COARSE).astype(np.int64)
    counts = np.maximum(share * size.plays // max(int(share.sum()), 1), 5)
    user = np.repeat(np.arange(size.listeners, dtype=np.int64), counts)
    moment, other = stream.uniform(2, len(user))
    moment = np.where(stream.coins(GROWTH, len(user)), np.maximum(moment, other), moment)
    days = joined[user] + (moment * (left - joined)[user]).astype(np.int64)
    second = stream.choice(_HOURS, len(user)) * 3600 + stream.integers(3600, len(user))
    time = START + days * DAY + second
    order = np.lexsort((time, user))
    return user[order], time[order]


def _habits(user: NDArray[np.int64], stream: Stream) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which earlier play each play may return to (recent ones more often), and whether it does."""
    rows = np.arange(len(user), dtype=np.int64)
    first = np.searchsorted(user, user)
    before = rows - first
    back = stream.uniform(len(user))
    source = first + np.minimum(((1.0 - back * back) * before).astype(np.int64), np.maximum(before - 1, 0))
    kind = stream.uniform(len(user))
    again = (kind < REPEAT) & (before > 0)
    loyal = (kind >= REPEAT) & (kind < REPEAT + LOYAL) & (before > 0)
    return source, again, loyal


def _follow(pointer: NDArray[np.int64]) -> NDArray[np.int64]:
    """Follow pointers to earlier rows until they point at themselves, doubling the stride each time."""
    while True:
        further = pointer[pointer]
        if np.array_equal(further, pointer):
            return pointer
        pointer = further


def _of_artist(world: World, artist: NDArray[np.int64], time: NDArray[np.int64], stream: Stream) -> NDArray[np.int64]:
    """Draw a track of each artist (n,) among those released by then (n,)."""
    span = np.int64(END - min(int(world.released.min()), START) + 1)
    key = world.artist_of * span + (world.released - (END - span))
    order = np.argsort(key, kind="stable")
    low = np.searchsorted(key[order], artist * span)
    high = np.searchsorted(key[order], artist * span + (time - (END - span)), side="right")
    return np.asarray(order[low + (stream.uniform(len(artist)) * (high - low)).astype(np.int64)])


def _discover(
    world: World,
    user: NDArray[np.int64],
    time: NDArray[np.int64],
    track: NDArray[np.int64],
    rows: NDArray[np.int64],
) -> None:
    """Fill `track` at `rows` by taste, one period of five days after the other."""
    stream = Stream(world.size.seed, "taste")
    affinity, early, late = _tastes(world, stream)
    popular = _popularity(world, stream)
    middle = int(np.sort(popular)[len(popular) // 2])
    draws = stream.uniform(len(rows))
    period = (time[rows] - START) // PERIOD
    last = (END - START) // PERIOD
    for now in range(last):
        chosen = np.flatnonzero(period == now)
        who, place = np.unique(user[rows[chosen]], return_inverse=True)
        age = START + now * PERIOD - world.released
        weight = np.where(age < 0, 0, popular)
        # A new track is not known yet, and neither is how popular it will be.
        fresh = (age >= 0) & (age < 30 * DAY)
        weight[fresh] = np.rint((0.25 * weight[fresh] + 0.75 * middle) * FOUND).astype(np.int64)
        # Labels advertise what nobody hears, so that no track stays without listeners.
        heard = np.bincount(track[rows[period < now]], minlength=len(weight))
        weight[(age > 0) & (heard < HEARD)] *= 5
        ideals = (early[who] * (last - 1 - now) + late[who] * now) // (last - 1)
        liking = (affinity[who] * ideals[:, :, None]).sum(axis=1) // _COARSE
        total = np.cumsum(liking * weight, axis=1)
        target = np.minimum((draws[chosen] * total[place, -1]).astype(np.int64), total[place, -1] - 1)
        track[rows[chosen]] = (total[place] <= target[:, None]).sum(axis=1)


def _tastes(world: World, stream: Stream) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Affinity (U, 3, N) of each listener's ideals to the tracks; weights (U, 3), first and last."""
    size, dim = world.size, world.traits.shape[1]
    traits = world.traits.astype(np.float64)
    near = stream.integers(size.tracks, size.listeners * IDEALS)
    ideals = traits[near] + stream.normal(len(near), dim) * 0.35
    cosine = (_unit(ideals) @ _unit(traits).T).reshape(size.listeners, IDEALS, size.tracks)
    affinity = np.rint((exp(FOCUS * (cosine / (_COARSE * _COARSE) - 1.0)) + STRAY) * _FINE).astype(np.int64)
    weights = []
    for _ in range(2):
        spread = exp(stream.normal(size.listeners, IDEALS))
        whole = np.rint(spread * _COARSE).astype(np.int64)
        weights.append(whole * _COARSE // whole.sum(axis=1, keepdims=True))
    return affinity, weights[0], weights[1]


def _unit(rows: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows of length 1 (n, D), as integers in units of 1/1024: their products are exact in any order."""
    whole = np.rint(rows * 4096).astype(np.int64)
    length = np.sqrt((whole * whole).sum(axis=1).astype(np.float64))
    return np.asarray(np.rint(whole * (_COARSE / np.maximum(length, 1.0))[:, None]).astype(np.int64))


def _popularity(world: World, stream: Stream) -> NDArray[np.int64]:
    """Zipf's law with exponent 1/2 over the tracks, times a factor of the artist."""
    rank = stream.order(world.size.tracks)
    fame = exp(stream.normal(world.size.artists) * 0.3)
    return np.asarray(np.rint(fame[world.artist_of] / np.sqrt(rank + 12.0) * _COARSE).astype(np.int64))
