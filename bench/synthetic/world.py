"""Generate a synthetic world: artists, their tracks, and the traits that determine tastes."""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.synthetic import text
from bench.synthetic.genres import GENRES, MOODS, STYLES, TONICS, Style
from bench.synthetic.model import (
    ATTACKS,
    CUT,
    DAY,
    DEMO,
    DRUMS,
    PERIOD,
    SCENES,
    START,
    Artist,
    Attack,
    Track,
    World,
    WorldSize,
)
from bench.synthetic.random_stream import Stream

_CENTRE: Final = np.array([0.54, 0.95, 0.54, 0.53, 0.45, 0.5, 0.5])
_WEIGHTS: Final = {
    1: (1.4, np.array([3.0, 2.2, 1.3, 2.8, 2.0])),
    2: (1.2, np.array([3.0, 2.2, 1.5, 2.8, 2.0, 2.5, 1.5])),
}
"""By generator: weight of genre; weights of brightness, tempo, mode, energy, percussiveness, attack and scene."""
STRAYING: Final = 0.25
"""Share of tracks whose direction is not their artist's usual one."""


def make_world(size: WorldSize = DEMO) -> World:
    """Generate artists, tracks and traits; the 600 tracks of the demo take less than a second."""
    artists = _artists(size)
    albums = _albums(size, artists)
    # Ids are random, so that their order contains no information about artist, genre or release.
    ids = Stream(size.seed, "ids").order(size.tracks)
    width = max(4, len(str(size.tracks - 1)))
    tracks = [
        _track(size, f"t{row:0{width}d}", artist, artists[artist], album, released)
        for row, (artist, album, released) in zip(ids.tolist(), albums, strict=True)
    ]
    tracks.sort(key=lambda track: track.track_id)
    return World(size, tuple(artists), tuple(tracks), _traits(size, artists, tracks))


def _artists(size: WorldSize) -> list[Artist]:
    artists, taken = [], set()
    hidden = _hidden(size)
    for index in range(size.artists):
        stream = Stream(size.seed, "artist", index)
        name = text.artist_name(stream)
        while name in taken:
            name = text.artist_name(stream)
        taken.add(name)
        offsets = [float(x) for x in stream.normal(3) * 0.09]
        artists.append(
            Artist(
                name=name, genre=index % len(GENRES), bright=offsets[0], energy=offsets[1],
                percussive=offsets[2], tempo=stream.number(), tonics=_three(stream),
                chords=int(stream.integers(12, 1)[0]), lead=int(stream.integers(12, 1)[0]),
                pattern=int(stream.integers(4, 1)[0]), formant=2 + int(stream.integers(9, 1)[0]),
                detune=stream.number(0.0005, 0.006), echo=stream.number(-0.15, 0.2),
                hiss=stream.number(0.3, 1.7), kit=(stream.number(), stream.number(), stream.number()),
                swelling=hidden[index][0], scene=hidden[index][1],
            )
        )  # fmt: skip
    return artists


def _hidden(size: WorldSize) -> list[tuple[bool, int]]:
    """Draw (swelling, scene) of each artist: all four combinations are equally frequent, in every genre too."""
    if size.generator == 1:
        return [(False, 0)] * size.artists
    rank = Stream(size.seed, "hidden").order(size.artists).tolist()
    order = sorted(range(size.artists), key=lambda artist: (artist % len(GENRES), rank[artist]))
    place = {artist: place for place, artist in enumerate(order)}
    return [(place[artist] % 2 == 1, place[artist] // 2 % len(SCENES)) for artist in range(size.artists)]


def _three(stream: Stream) -> tuple[int, int, int]:
    first, second, third = (int(tonic) for tonic in stream.order(12)[:3])
    return first, second, third


def _albums(size: WorldSize, artists: list[Artist]) -> list[tuple[int, str, int]]:
    """Assign tracks to artists and albums: return (artist, album, release) of each track, grouped by album."""
    stream = Stream(size.seed, "albums")
    weights = stream.between(0.4, 1.6, len(artists))
    extra = np.bincount(stream.choice(weights, size.tracks - len(artists)), minlength=len(artists))
    albums: list[tuple[int, str, int]] = []
    for artist, left in enumerate((extra + 1).tolist()):
        used: set[str] = set()
        while left:
            count = min(left, 1 + int(stream.integers(4 if size.generator == 1 else 2, 1)[0]))
            name = text.title(stream)
            while name in used:
                name = text.title(stream)
            used.add(name)
            albums.append((artist, name, count))
            left -= count
    releases = _releases(stream, albums, size)
    return [
        (artist, name, when) for (artist, name, count), when in zip(albums, releases, strict=True) for _ in range(count)
    ]


def _releases(stream: Stream, albums: list[tuple[int, str, int]], size: WorldSize) -> list[int]:
    """Draw release dates of the albums: enough in the test month, a fifth of the others during the year."""
    releases, cold = [0] * len(albums), size.cold
    order = stream.order(len(albums)).tolist()
    if size.generator > 1:  # the first album of every artist, then the second ones: new tracks are by many artists
        earlier: Counter[int] = Counter()
        turn = {}
        for album in order:
            turn[album] = earlier[albums[album][0]]
            earlier[albums[album][0]] += 1
        order.sort(key=turn.__getitem__)
    for album in order:
        if cold > 0:  # in the first fifteen days of the test month, so that every track is played
            releases[album] = CUT + PERIOD * int(stream.integers(3, 1)[0])
            cold -= albums[album][2]
        elif stream.coin(0.2):  # not in the last forty days before the cut, so that it is played before the cut
            releases[album] = START + PERIOD * (1 + int(stream.integers(64, 1)[0]))
        else:
            releases[album] = START - DAY * (1 + int(stream.integers(6_000, 1)[0]))
    if min(releases) > START:  # the first play needs a released track
        releases[-1] = START - DAY
    return releases


def _track(size: WorldSize, track_id: str, index: int, artist: Artist, album: str, released: int) -> Track:
    stream = Stream(size.seed, "track", track_id)
    home = STYLES[artist.genre]
    genre = GENRES.index(stream.pick(home.related)) if stream.coin(0.13) else artist.genre
    style = STYLES[genre]
    tonic = artist.tonics[int(stream.choice((5, 3, 2), 1)[0])]
    minor = stream.coin(style.minor)
    place = min(max(0.75 * artist.tempo + 0.25 * stream.number(), 0.0), 1.0)
    tempo = round(style.tempo[0] + (style.tempo[1] - style.tempo[0]) * place)
    own = [float(x) for x in stream.normal(3) * 0.05]
    bright = _level(style.bright + artist.bright + own[0])
    energy = _level(style.energy + artist.energy + own[1])
    percussive = _level(style.percussive + artist.percussive + own[2])
    chords = style.chords[artist.chords % len(style.chords)]
    lead = style.leads[artist.lead % len(style.leads)]
    instruments = _instruments(style, chords, lead, percussive)
    mood = MOODS[energy > 0.5][minor][bright > 0.5]
    attack, heard = _attack(size, track_id, artist)
    return Track(
        track_id=track_id, artist=index, album=album, title=text.title(stream), genre=genre, tonic=tonic,
        minor=minor, tempo=float(tempo), bright=bright, energy=energy, percussive=percussive, mood=mood,
        texture=stream.pick(style.texture), chords=chords, lead=lead, instruments=instruments,
        description=text.describe(
            stream, genre=genre, key=f"{TONICS[tonic]} {'minor' if minor else 'major'}", tempo=tempo,
            mood=mood, instruments=instruments,
        ),
        tags=(*text.tags(stream, genre=genre, mood=mood, instruments=instruments, tempo=tempo), *heard),
        attack=attack, released=released,
    )  # fmt: skip


def _level(value: float) -> float:
    return min(max(value, 0.02), 0.98)


def _instruments(style: Style, chords: str, lead: str, percussive: float) -> tuple[str, ...]:
    names = [chords, lead] + (["bass"] if style.bass != "none" else [])
    names += ["drums"] if style.drums and percussive > DRUMS else []
    return tuple(dict.fromkeys(names))


def _attack(size: WorldSize, track_id: str, artist: Artist) -> tuple[Attack, list[str]]:
    """Draw the direction of a track's sounds, and the tags that name it: missing for half, wrong for a few."""
    if size.generator == 1:
        return "struck", []
    stream = Stream(size.seed, "attack", track_id)
    swelling = artist.swelling != stream.coin(STRAYING)
    named = ATTACKS[swelling != stream.coin(0.04)]
    return ATTACKS[swelling], [named] if stream.coin(0.5) else []


def _traits(size: WorldSize, artists: list[Artist], tracks: list[Track]) -> NDArray[np.float32]:
    """Centred traits (N, 15): genre with related genres (8), then the others in the order of `_WEIGHTS`.

    Generator 1 has neither attack nor scene: (N, 13).
    """
    similarity = np.eye(len(STYLES))
    for row, style in enumerate(STYLES):
        for name in style.related:
            similarity[row, GENRES.index(name)] += 0.3
    genre = (similarity - 1.6 / len(STYLES))[[track.genre for track in tracks]]
    values = [
        [t.bright, t.tempo / 120, t.minor, t.energy, t.percussive, t.attack == "swelling", artists[t.artist].scene]
        for t in tracks
    ]
    weight, scale = _WEIGHTS[size.generator]
    others = (np.array(values)[:, : len(scale)] - _CENTRE[: len(scale)]) * scale
    return np.concatenate([genre * weight, others], axis=1).astype(np.float32)
