"""The eight genres of the demo world: their sound, rhythm and vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Texture = Literal["hold", "strum", "stab", "comp", "arpeggio", "chug"]
Walk = Literal["root", "pulse", "offbeat", "walking", "none"]


@dataclass(frozen=True)
class Style:
    """A genre. Shares and levels are in [0, 1]; patterns have 16 steps (one bar), with ``x`` for a stroke."""

    name: str
    tempo: tuple[float, float]
    """Lowest and highest tempo in beats per minute."""
    minor: float
    """Share of tracks in a minor key."""
    bright: float
    energy: float
    percussive: float
    texture: tuple[Texture, ...]
    chords: tuple[str, ...]
    leads: tuple[str, ...]
    bass: Walk
    voicing: tuple[int, ...]
    """Scale degrees above the root of a chord."""
    turns: tuple[tuple[int, ...], ...]
    """Chord progressions in scale degrees; each one starts on the tonic."""
    kick: tuple[str, ...]
    snare: tuple[str, ...]
    hat: tuple[str, ...]
    swing: float
    drive: float
    echo: float
    hiss: float
    related: tuple[str, str]
    """Similar genres: its artists sometimes play them, and its listeners tend to like them."""
    words: tuple[str, ...]
    """Words for tags and descriptions."""

    @property
    def drums(self) -> bool:
        """Whether a pattern contains a stroke."""
        return any(pattern != NONE for pattern in (*self.kick, *self.snare, *self.hat))


NONE: Final = "................"

STYLES: Final = (
    Style(
        name="ambient", tempo=(60, 84), minor=0.55, bright=0.25, energy=0.12, percussive=0.04,
        texture=("hold", "hold", "arpeggio"), chords=("pad",), leads=("flute", "pad"), bass="root",
        voicing=(0, 2, 4, 7), turns=((0, 5, 3, 4), (0, 3, 0, 4), (0, 4, 5, 3)), kick=(NONE,),
        snare=(NONE,), hat=(NONE,), swing=0.0, drive=0.0, echo=0.55, hiss=0.35,
        related=("classical", "house"),
        words=("ambient", "atmospheric", "soundscape", "drone", "space"),
    ),
    Style(
        name="classical", tempo=(66, 132), minor=0.4, bright=0.45, energy=0.3, percussive=0.02,
        texture=("arpeggio", "hold"), chords=("strings", "piano"), leads=("flute", "strings", "piano"),
        bass="root", voicing=(0, 2, 4), turns=((0, 3, 4, 0), (0, 1, 4, 0), (0, 5, 1, 4)), kick=(NONE,),
        snare=(NONE,), hat=(NONE,), swing=0.0, drive=0.0, echo=0.25, hiss=0.03,
        related=("ambient", "folk"),
        words=("classical", "orchestral", "chamber", "baroque", "romantic"),
    ),
    Style(
        name="folk", tempo=(84, 126), minor=0.3, bright=0.55, energy=0.38, percussive=0.12,
        texture=("strum", "arpeggio"), chords=("pluck",), leads=("flute", "pluck"), bass="root",
        voicing=(0, 2, 4), turns=((0, 3, 0, 4), (0, 4, 3, 0), (0, 5, 3, 4)),
        kick=(NONE, "x.......x......."), snare=(NONE,), hat=("..x...x...x...x.", "x.x.x.x.x.x.x.x."),
        swing=0.08, drive=0.0, echo=0.08, hiss=0.1, related=("classical", "rock"),
        words=("folk", "acoustic", "traditional", "singer-songwriter", "country"),
    ),
    Style(
        name="jazz", tempo=(92, 168), minor=0.5, bright=0.45, energy=0.48, percussive=0.4,
        texture=("comp",), chords=("piano", "organ"), leads=("brass", "piano", "organ"), bass="walking",
        voicing=(0, 2, 4, 6), turns=((0, 1, 4, 0), (0, 5, 1, 4), (0, 3, 1, 4)),
        kick=("x.........x.....",), snare=("....x.......x...", "......x.......x."),
        hat=("x...x.xxx...x.xx", "x...x..xx...x..x"), swing=0.3, drive=0.1, echo=0.12, hiss=0.12,
        related=("hip hop", "classical"),
        words=("jazz", "bebop", "cool jazz", "improvisation", "quartet"),
    ),
    Style(
        name="hip hop", tempo=(76, 100), minor=0.72, bright=0.35, energy=0.55, percussive=0.75,
        texture=("comp", "hold"), chords=("organ", "piano", "pad"), leads=("square", "pluck"),
        bass="pulse", voicing=(0, 2, 4, 6), turns=((0, 5), (0, 3), (0, 5, 3, 4)),
        kick=("x.....x...x.....", "x..x....x.x....."), snare=("....x.......x...",),
        hat=("x.x.x.x.x.x.x.x.", "x.x.x.xxx.x.xxx."), swing=0.18, drive=0.2, echo=0.1, hiss=0.3,
        related=("jazz", "house"), words=("hip hop", "rap", "beats", "boom bap", "old school"),
    ),
    Style(
        name="house", tempo=(118, 132), minor=0.6, bright=0.72, energy=0.72, percussive=0.85,
        texture=("stab", "arpeggio"), chords=("saw", "organ"), leads=("saw", "square"), bass="offbeat",
        voicing=(0, 2, 4), turns=((0, 5), (0, 3, 5, 4), (0, 2, 3, 5)), kick=("x...x...x...x...",),
        snare=("....x.......x...",), hat=("..x...x...x...x.", "x.xxx.xxx.xxx.xx"), swing=0.05,
        drive=0.1, echo=0.3, hiss=0.05, related=("hip hop", "ambient"),
        words=("house", "electronic", "dance", "club", "deep"),
    ),
    Style(
        name="rock", tempo=(104, 148), minor=0.35, bright=0.7, energy=0.75, percussive=0.62,
        texture=("strum", "chug"), chords=("guitar", "guitar", "organ"), leads=("guitar", "square"),
        bass="pulse", voicing=(0, 2, 4), turns=((0, 3, 4, 3), (0, 4, 5, 3), (0, 6, 3, 0)),
        kick=("x.....x.x.......", "x.......x.x....."), snare=("....x.......x...",),
        hat=("x.x.x.x.x.x.x.x.",), swing=0.0, drive=0.55, echo=0.08, hiss=0.06,
        related=("metal", "folk"),
        words=("rock", "indie", "alternative", "guitar band", "classic rock"),
    ),
    Style(
        name="metal", tempo=(138, 190), minor=0.92, bright=0.88, energy=0.94, percussive=0.8,
        texture=("chug",), chords=("guitar",), leads=("guitar", "saw"), bass="pulse", voicing=(0, 4, 7),
        turns=((0, 5, 6, 0), (0, 1, 0, 6), (0, 5, 3, 4)), kick=("x.xxx.xxx.xxx.xx", "xxxxxxxxxxxxxxxx"),
        snare=("....x.......x...", "..x...x...x...x."), hat=("x...x...x...x...", "x.x.x.x.x.x.x.x."),
        swing=0.0, drive=0.95, echo=0.03, hiss=0.08, related=("rock", "house"),
        words=("metal", "heavy", "thrash", "doom", "riffs"),
    ),
)  # fmt: skip

GENRES: Final = tuple(style.name for style in STYLES)

AMBIGUOUS: Final = {
    "drone": ("ambient", "metal"),
    "garage": ("house", "rock"),
    "swing": ("jazz", "house"),
    "progressive": ("metal", "house"),
    "chamber": ("classical", "folk"),
    "breaks": ("hip hop", "jazz"),
    "standards": ("jazz", "folk"),
    "hard": ("rock", "hip hop"),
}
"""Tags with two meanings: they do not determine the genre."""

TONICS: Final = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
SCALES: Final = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10))
"""Semitones of the degrees of the major scale and the natural minor scale."""

MOODS: Final = ((("calm", "dreamy"), ("dark", "sad")), (("happy", "euphoric"), ("aggressive", "tense")))
"""Indexed by energy (low, high), mode (major, minor) and brightness (low, high)."""
