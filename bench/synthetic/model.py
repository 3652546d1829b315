"""Data classes of a synthetic world: its size, artists, tracks and traits."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from bench.synthetic.genres import GENRES, TONICS

VERSION: Final = 2
"""Increase it with every change of the generator that changes a sample or a row.

1: genre is nearly everything that a listener hears. 2: taste also asks for the direction of a sound and for a scene.
"""

DAY: Final = 86_400
START: Final = int(datetime(2019, 2, 20, tzinfo=UTC).timestamp())
CUT: Final = int(datetime(2020, 2, 20, tzinfo=UTC).timestamp())
END: Final = int(datetime(2020, 3, 21, tzinfo=UTC).timestamp())
"""First second of the log, first second of the test month, first second after the log (UTC)."""
DRUMS: Final = 0.1
"""Tracks whose percussiveness is at most this have no drums."""
Attack = Literal["struck", "swelling"]
ATTACKS: Final[tuple[Attack, Attack]] = ("struck", "swelling")
SCENES: Final = ("coast", "capital")
PERIOD: Final = 5 * DAY
"""Tracks are released and tastes drift in steps of five days: 73 before the cut, 6 after it."""


@dataclass(frozen=True)
class WorldSize:
    """All parameters of a world. Worlds with equal parameters are equal, bit by bit."""

    tracks: int = 600
    artists: int = 120
    cold: int = 250
    """Least number of tracks released on or after the cut; the tracks of an album are released together."""
    seconds: float = 9.0
    rate: int = 22_050
    listeners: int = 2_000
    plays: int = 288_000
    """Approximate number of plays, within a few per cent."""
    seed: int = 2019
    generator: int = VERSION

    def __post_init__(self) -> None:
        """Raise an error for impossible sizes and unknown generators."""
        if self.generator not in (1, VERSION):
            raise ValueError(f"there are generators 1 to {VERSION}, got {self.generator}")
        if not (len(GENRES) <= self.artists <= self.tracks and 0 <= self.cold < self.tracks):
            raise ValueError(f"a world needs {len(GENRES)} <= artists <= tracks and cold < tracks, got {self}")

    @property
    def samples(self) -> int:
        """Number of samples per track."""
        return int(self.seconds * self.rate)

    def parameters(self) -> dict[str, Any]:
        """Return the parameters; they identify a world."""
        return asdict(self)


DEMO: Final = WorldSize()
DEMO_LONG: Final = WorldSize(tracks=100, artists=25, cold=30, seconds=30.0, listeners=800, plays=40_000, seed=2020)
DEMO_1: Final = replace(DEMO, cold=130, listeners=500, plays=72_000, generator=1)
DEMO_LONG_1: Final = replace(DEMO_LONG, listeners=200, plays=10_000, generator=1)


@dataclass(frozen=True)
class Artist:
    """Properties shared by an artist's tracks. Levels are offsets from those of the genre."""

    name: str
    genre: int
    bright: float
    energy: float
    percussive: float
    tempo: float
    """Position within the genre's range of tempi, from 0 to 1."""
    tonics: tuple[int, int, int]
    chords: int
    lead: int
    """Index into the lead instruments of a style, modulo their number; `chords` and `pattern` work likewise."""
    pattern: int
    formant: int
    """Harmonic that the instruments amplify."""
    detune: float
    """Detuning of the second oscillator, as a share of the frequency."""
    echo: float
    hiss: float
    kit: tuple[float, float, float]
    """Pitch of the bass drum, decay of the snare, length of the hi-hat, each in [0, 1)."""
    swelling: bool
    """Whether most tracks are played backwards."""
    scene: int
    """Index into `SCENES`. Listeners know it; no audio contains it."""


@dataclass(frozen=True)
class Track:
    """One track: properties of its sound, and its metadata."""

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
    attack: Attack
    """Direction of every sound: struck and fading, or played backwards, swelling and cut off."""
    released: int
    """Release time in seconds since 1970 (UTC)."""

    @property
    def key(self) -> str:
        """Tonic and mode, such as ``F# minor``."""
        return f"{TONICS[self.tonic]} {'minor' if self.minor else 'major'}"


@dataclass(frozen=True, eq=False)
class World:
    """Artists, tracks (sorted by id) and the traits (N, D) float32 that determine tastes."""

    size: WorldSize
    artists: tuple[Artist, ...]
    tracks: tuple[Track, ...]
    traits: NDArray[np.float32]

    @property
    def released(self) -> NDArray[np.int64]:
        """Release time (N,) of each track in seconds since 1970 (UTC)."""
        return np.array([track.released for track in self.tracks], dtype=np.int64)

    @property
    def artist_of(self) -> NDArray[np.int64]:
        """Index (N,) of each track's artist."""
        return np.array([track.artist for track in self.tracks], dtype=np.int64)

    def rows(self) -> list[dict[str, Any]]:
        """Return the metadata as plain values, one row per track."""
        hidden = self.size.generator > 1
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
                **({"attack": track.attack, "scene": SCENES[self.artists[track.artist].scene]} if hidden else {}),
            }
            for track in self.tracks
        ]
