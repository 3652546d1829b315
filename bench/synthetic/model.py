"""What a planted world consists of: its size, artists, tracks and traits; no randomness here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.synthetic.genres import GENRES, TONICS

VERSION: Final = 1
"""Raise it with any change of the generator that changes a sample or a row."""

DAY: Final = 86_400
START: Final = int(datetime(2019, 2, 20, tzinfo=UTC).timestamp())
CUT: Final = int(datetime(2020, 2, 20, tzinfo=UTC).timestamp())
END: Final = int(datetime(2020, 3, 21, tzinfo=UTC).timestamp())
"""First second of the log, first second of the test month, first second after the log (UTC)."""
DRUMS: Final = 0.1
"""Tracks at most this percussive have no drums."""
PERIOD: Final = 5 * DAY
"""Tracks appear and tastes drift in steps of five days: 73 before the cut, 6 after it."""


@dataclass(frozen=True)
class WorldSize:
    """Every parameter of a world. Equal sizes make equal worlds, to the last bit."""

    tracks: int = 600
    artists: int = 120
    cold: int = 130
    """Tracks released on or after the cut, at least; whole albums appear together."""
    seconds: float = 9.0
    rate: int = 22_050
    listeners: int = 500
    plays: int = 72_000
    """Plays aimed at, to within a few per cent."""
    seed: int = 2019

    def __post_init__(self) -> None:
        """Reject a world that cannot exist."""
        if not (len(GENRES) <= self.artists <= self.tracks and 0 <= self.cold < self.tracks):
            raise ValueError(f"a world needs {len(GENRES)} <= artists <= tracks and cold < tracks, got {self}")

    @property
    def samples(self) -> int:
        """Samples of a track."""
        return int(self.seconds * self.rate)

    def parameters(self) -> dict[str, Any]:
        """Return what identifies a world of this size, the generator's version included."""
        return {"generator": VERSION, **asdict(self)}


DEMO: Final = WorldSize()
DEMO_LONG: Final = WorldSize(tracks=100, artists=25, cold=30, seconds=30.0, listeners=200, plays=10_000, seed=2020)


@dataclass(frozen=True)
class Artist:
    """What the tracks of an artist share. Levels are offsets from the genre's."""

    name: str
    genre: int
    bright: float
    energy: float
    percussive: float
    tempo: float
    """Place within the genre's range of tempi."""
    tonics: tuple[int, int, int]
    chords: int
    lead: int
    """Which instruments of a style's pools are played (modulo their number)."""
    pattern: int
    formant: int
    """Harmonic that the instruments stress."""
    detune: float
    """Distance of the second oscillator, as a share of the frequency."""
    echo: float
    hiss: float
    kit: tuple[float, float, float]
    """Pitch of the drum, ring of the snare, length of the cymbal, each in [0, 1)."""


@dataclass(frozen=True)
class Track:
    """One track: what is heard, and what is said of it."""

    track_id: str
    artist: int
    album: str
    title: str
    genre: int
    tonic: int
    minor: bool
    tempo: float
    bright: float
    energy: float
    percussive: float
    mood: str
    texture: str
    chords: str
    lead: str
    instruments: tuple[str, ...]
    description: str
    tags: tuple[str, ...]
    released: int
    """First second at which it can be played (UTC)."""

    @property
    def key(self) -> str:
        """Tonic and mode, such as ``F# minor``."""
        return f"{TONICS[self.tonic]} {'minor' if self.minor else 'major'}"


@dataclass(frozen=True, eq=False)
class World:
    """Artists, tracks (sorted by id) and the traits (N, D) float32 that taste follows."""

    size: WorldSize
    artists: tuple[Artist, ...]
    tracks: tuple[Track, ...]
    traits: NDArray[np.float32]

    @property
    def released(self) -> NDArray[np.int64]:
        """First second (N,) at which each track can be played."""
        return np.array([track.released for track in self.tracks], dtype=np.int64)

    @property
    def artist_of(self) -> NDArray[np.int64]:
        """Index (N,) of each track's artist."""
        return np.array([track.artist for track in self.tracks], dtype=np.int64)

    def rows(self) -> list[dict[str, Any]]:
        """Metadata, one row a track, as plain values."""
        return [
            {
                "track_id": track.track_id,
                "artist": self.artists[track.artist].name,
                "album": track.album,
                "title": track.title,
                "genre": GENRES[track.genre],
                "key": track.key,
                "tempo": track.tempo,
                "mood": track.mood,
                "instruments": list(track.instruments),
                "description": track.description,
                "tags": list(track.tags),
                "released": (date(1970, 1, 1) + timedelta(days=track.released // DAY)).isoformat(),
            }
            for track in self.tracks
        ]
