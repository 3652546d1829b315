"""Simulate a listening log from taste for traits, popularity, repetition and loyalty to artists.

A listener has an ideal, a point in the space of traits. A new track is drawn from the released tracks with
probability proportional to popularity x (exp(FOCUS x (cosine - 1)) + STRAY). In generator 1 a listener has three
ideals, whose weights drift over the year, and the preference is the weighted sum. All other plays repeat an earlier
track or choose another track of its artist. Only integers are added, so that results do not depend on the order of
summation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.synthetic.model import CUT, DAY, END, PERIOD, START, World
from bench.synthetic.random_stream import Stream, exp

FOCUS: Final = 9.0
"""How quickly preference falls with the distance from an ideal: it is exp(FOCUS x (cosine - 1))."""
IDEALS: Final = {1: 3, 2: 1}
"""Ideals of a listener, by generator."""
STRAY: Final = 0.003
"""Preference added to every track; a track at an ideal has preference 1."""
REPEAT, LOYAL = 0.18, 0.12
"""Shares of plays that repeat an earlier track, and that choose another track of an earlier artist."""
ACTIVITY: Final = 0.6
"""Standard deviation of the logarithm of plays per day."""
LATECOMERS, LEAVERS = 0.35, 0.12
"""Shares of listeners who join during the year, and who leave before the test month."""
GROWTH: Final = 0.9
"""Share of plays whose day is the later one of two random days, so that listening grows over the year."""
NEW: Final = 0.65
"""Popularity of a track in its first month, as a share of its later popularity."""
PROMOTED: Final = 4
"""Tracks with fewer plays than this are promoted from five days after their release."""
_FINE, _COARSE = 1 << 20, 1 << 10
_HOURS: Final = (4, 2, 1, 1, 1, 1, 2, 4, 6, 6, 6, 6, 7, 7, 6, 6, 7, 8, 9, 10, 11, 11, 9, 7)


@dataclass(frozen=True, eq=False)
class Plays:
    """The log, sorted by listener and time: arrays (P,) of listener, track and seconds since 1970 (UTC)."""

    user: NDArray[np.int64]
    track: NDArray[np.int64]
    time: NDArray[np.int64]
    listeners: tuple[str, ...]
    """Ids by index, sorted."""

    def __len__(self) -> int:
        """Return the number of plays."""
        return len(self.user)


def make_plays(world: World) -> Plays:
    """Simulate the listening log of a world; the 288,000 plays of the demo take about a second."""
    size = world.size
    user, time = _when(world)
    source, again, loyal = _habits(user, Stream(size.seed, "habits"))
    track = np.full(len(user), -1, dtype=np.int64)
    _discover(world, user, time, track, np.flatnonzero(~again & ~loyal))

    # A play may refer to an earlier play that refers to another one: follow each chain to its first play.
    itself = np.arange(len(user), dtype=np.int64)
    root = _follow(np.where(again | loyal, source, itself))
    rows = np.flatnonzero(loyal)
    artists = world.artist_of[track[root[rows]]]
    track[rows] = _of_artist(world, artists, time[rows], Stream(size.seed, "loyal"))
    track = track[_follow(np.where(again, source, itself))]

    width = max(3, len(str(size.listeners - 1)))
    names = tuple(f"u{index:0{width}d}" for index in range(size.listeners))
    order = np.lexsort((track, time, user))
    return Plays(user[order], track[order], time[order], names)


def _when(world: World) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw listener and second of every play, sorted; activity is log-normal and highest in the evening."""
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
    """Draw an earlier play for each play (recent ones more often), and whether track or artist are repeated."""
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
    """Follow pointers to earlier rows until they point at themselves; each step doubles the distance."""
    while True:
        further = pointer[pointer]
        if np.array_equal(further, pointer):
            return pointer
        pointer = further


def _of_artist(world: World, artist: NDArray[np.int64], time: NDArray[np.int64], stream: Stream) -> NDArray[np.int64]:
    """Draw a track of each artist (n,) among those released by `time` (n,)."""
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
    """Fill `track` at `rows` by taste, in periods of five days."""
    stream = Stream(world.size.seed, "taste")
    affinity, early, late = _tastes(world, stream)
    popular = _popularity(world, stream)
    median = int(np.sort(popular)[len(popular) // 2])
    draws = stream.uniform(len(rows))
    period = (time[rows] - START) // PERIOD
    last = (END - START) // PERIOD
    for now in range(last):
        chosen = np.flatnonzero(period == now)
        who, place = np.unique(user[rows[chosen]], return_inverse=True)
        age = START + now * PERIOD - world.released
        weight = np.where(age < 0, 0, popular)
        # New tracks are played less, and their popularity is closer to the median.
        new = (age >= 0) & (age < 30 * DAY)
        weight[new] = np.rint((0.25 * weight[new] + 0.75 * median) * NEW).astype(np.int64)
        # Tracks with few plays are promoted, so that every track has listeners.
        played = np.bincount(track[rows[period < now]], minlength=len(weight))
        weight[(age > 0) & (played < PROMOTED)] *= 5
        ideals = (early[who] * (last - 1 - now) + late[who] * now) // (last - 1)
        preference = (affinity[who] * ideals[:, :, None]).sum(axis=1) // _COARSE
        total = np.cumsum(preference * weight, axis=1)
        target = np.minimum((draws[chosen] * total[place, -1]).astype(np.int64), total[place, -1] - 1)
        # All listeners' sums in one sorted array: each listener's begin above the sums of those before.
        above = np.cumsum(total[:, -1]) - total[:, -1]
        found = np.searchsorted((total + above[:, None]).ravel(), target + above[place], side="right")
        track[rows[chosen]] = found - place * total.shape[1]


def _tastes(world: World, stream: Stream) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Draw affinities (U, I, N) of listeners' ideals to tracks, and ideal weights (U, I) at the start and the end."""
    size, dim = world.size, world.traits.shape[1]
    ideals = IDEALS[size.generator]
    traits = world.traits.astype(np.float64)
    near = stream.integers(size.tracks, size.listeners * ideals)
    points = traits[near] + stream.normal(len(near), dim) * 0.35
    cosine = (_unit(points) @ _unit(traits).T).reshape(size.listeners, ideals, size.tracks)
    affinity = np.rint((exp(FOCUS * (cosine / (_COARSE * _COARSE) - 1.0)) + STRAY) * _FINE).astype(np.int64)
    weights = []
    for _ in range(2):
        spread = exp(stream.normal(size.listeners, ideals))
        integers = np.rint(spread * _COARSE).astype(np.int64)
        weights.append(integers * _COARSE // integers.sum(axis=1, keepdims=True))
    return affinity, weights[0], weights[1]


def _unit(rows: NDArray[np.float64]) -> NDArray[np.int64]:
    """Scale rows (n, D) to length 1, as integers in units of 1/1024 so that their products are exact."""
    integers = np.rint(rows * 4096).astype(np.int64)
    length = np.sqrt((integers * integers).sum(axis=1).astype(np.float64))
    return np.asarray(np.rint(integers * (_COARSE / np.maximum(length, 1.0))[:, None]).astype(np.int64))


def _popularity(world: World, stream: Stream) -> NDArray[np.int64]:
    """Draw the popularity (N,) of tracks: Zipf's law with exponent 1/2, times a factor for the artist."""
    rank = stream.order(world.size.tracks)
    fame = exp(stream.normal(world.size.artists) * 0.3)
    return np.asarray(np.rint(fame[world.artist_of] / np.sqrt(rank + 12.0) * _COARSE).astype(np.int64))
