"""Generate a synthetic world: artists, their tracks, and the traits that determine tastes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.synthetic import text
from bench.synthetic.genres import GENRES, MOODS, STYLES, TONICS, Style
from bench.synthetic.model import CUT, DAY, DEMO, DRUMS, PERIOD, START, Artist, Track, World, WorldSize
from bench.synthetic.random_stream import Stream


def make_world(size: WorldSize = DEMO) -> World:
    """Generate artists, tracks and traits; the 600 tracks of the demo take less than a second."""
    artists = _artists(size)
    albums = _albums(size, artists)
    # Ids are random, so that their order contains no information about artist, genre or release.
    ids = Stream(size.seed, "ids").order(size.tracks)
    width = max(4, len(str(size.tracks - 1)))
    tracks = [
        _track(size.seed, f"t{row:0{width}d}", artist, artists[artist], album, released)
        for row, (artist, album, released) in zip(ids.tolist(), albums, strict=True)
    ]
    tracks.sort(key=lambda track: track.track_id)
    return World(size, tuple(artists), tuple(tracks), _traits(tracks))


def _artists(size: WorldSize) -> list[Artist]:
    artists, taken = [], set()
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
            )
        )  # fmt: skip
    return artists


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
            count = min(left, 1 + int(stream.integers(4, 1)[0]))
            name = text.title(stream)
            while name in used:
                name = text.title(stream)
            used.add(name)
            albums.append((artist, name, count))
            left -= count
    releases = _releases(stream, [count for _, _, count in albums], size.cold)
    return [
        (artist, name, when) for (artist, name, count), when in zip(albums, releases, strict=True) for _ in range(count)
    ]


def _releases(stream: Stream, counts: list[int], cold: int) -> list[int]:
    """Draw release dates of the albums: enough in the test month, a fifth of the others during the year."""
    releases = [0] * len(counts)
    for album in stream.order(len(counts)).tolist():
        if cold > 0:  # in the first fifteen days of the test month, so that every track is played
            releases[album] = CUT + PERIOD * int(stream.integers(3, 1)[0])
            cold -= counts[album]
        elif stream.coin(0.2):  # not in the last forty days before the cut, so that it is played before the cut
            releases[album] = START + PERIOD * (1 + int(stream.integers(64, 1)[0]))
        else:
            releases[album] = START - DAY * (1 + int(stream.integers(6_000, 1)[0]))
    if min(releases) > START:  # the first play needs a released track
        releases[-1] = START - DAY
    return releases


def _track(seed: int, track_id: str, index: int, artist: Artist, album: str, released: int) -> Track:
    stream = Stream(seed, "track", track_id)
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
    return Track(
        track_id=track_id, artist=index, album=album, title=text.title(stream), genre=genre, tonic=tonic,
        minor=minor, tempo=float(tempo), bright=bright, energy=energy, percussive=percussive, mood=mood,
        texture=stream.pick(style.texture), chords=chords, lead=lead, instruments=instruments,
        description=text.describe(
            stream, genre=genre, key=f"{TONICS[tonic]} {'minor' if minor else 'major'}", tempo=tempo,
            mood=mood, instruments=instruments,
        ),
        tags=tuple(text.tags(stream, genre=genre, mood=mood, instruments=instruments, tempo=tempo)),
        released=released,
    )  # fmt: skip


def _level(value: float) -> float:
    return min(max(value, 0.02), 0.98)


def _instruments(style: Style, chords: str, lead: str, percussive: float) -> tuple[str, ...]:
    names = [chords, lead] + (["bass"] if style.bass != "none" else [])
    names += ["drums"] if style.drums and percussive > DRUMS else []
    return tuple(dict.fromkeys(names))


def _traits(tracks: list[Track]) -> NDArray[np.float32]:
    """Centred traits (N, 13): genre with related genres (8), brightness, tempo, mode, energy, percussiveness."""
    similarity = np.eye(len(STYLES))
    for row, style in enumerate(STYLES):
        for name in style.related:
            similarity[row, GENRES.index(name)] += 0.3
    genre = (similarity - 1.6 / len(STYLES))[[track.genre for track in tracks]] * 1.4
    sound = np.array([[t.bright, t.tempo / 120, t.minor, t.energy, t.percussive] for t in tracks])
    centre = np.array([0.54, 0.95, 0.54, 0.53, 0.45])
    scale = np.array([3.0, 2.2, 1.3, 2.8, 2.0])
    return np.concatenate([genre, (sound - centre) * scale], axis=1).astype(np.float32)
