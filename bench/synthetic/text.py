"""Generate names, tags and descriptions with omissions and errors, like those people write."""

from __future__ import annotations

from typing import Final

from bench.synthetic.genres import AMBIGUOUS, STYLES
from bench.synthetic.random_stream import Stream

_ONSETS: Final = ("b", "br", "d", "f", "g", "gr", "h", "k", "l", "m", "n", "p", "r", "s", "st", "t", "v", "z")
_VOWELS: Final = ("a", "e", "i", "o", "u", "ai", "ea", "ou")
_CODAS: Final = ("", "", "l", "n", "r", "s", "th", "nd", "x")
_BANDS: Final = ("{}", "The {}s", "{} Trio", "{} & Sons", "{} Collective", "Saint {}", "DJ {}", "{} Quartet")
_FIRST: Final = (
    "Silver", "Broken", "Quiet", "Burning", "Paper", "Northern", "Hollow", "Golden", "Midnight", "Distant",
    "Velvet", "Restless", "Winter", "Electric", "Salt", "Forgotten", "Crooked", "Slow", "Wild", "Second",
)  # fmt: skip
_SECOND: Final = (
    "River", "Machine", "Garden", "Letter", "Window", "Mountain", "Signal", "Harbour", "Engine", "Orchard",
    "Shadow", "Bridge", "Season", "Mirror", "Lantern", "Road", "Tide", "Circle", "Morning", "Station",
)  # fmt: skip
_PACES: Final = (
    (80.0, "slow"),
    (105.0, "unhurried"),
    (130.0, "mid-tempo"),
    (155.0, "fast"),
    (1e9, "very fast"),
)
_PERSONAL: Final = (
    "favourites",
    "seen live",
    "to buy",
    "beautiful",
    "awesome",
    "2010s",
    "love it",
    "my playlist",
)
_KINDS: Final = ("piece", "track", "tune", "number", "song")


def syllables(stream: Stream, count: int) -> str:
    """Return an invented word of `count` syllables, capitalised."""
    parts = [stream.pick(_ONSETS) + stream.pick(_VOWELS) + stream.pick(_CODAS) for _ in range(count)]
    return "".join(parts).capitalize()


def artist_name(stream: Stream) -> str:
    """Return the name of a band or a person."""
    return stream.pick(_BANDS).format(syllables(stream, 2))


def title(stream: Stream) -> str:
    """Return the title of a track or an album."""
    return f"{stream.pick(_FIRST)} {stream.pick(_SECOND)}"


def pace(tempo: float) -> str:
    """Return the word for a tempo in beats per minute."""
    return next(word for limit, word in _PACES if tempo < limit)


def describe(stream: Stream, *, genre: int, key: str, tempo: float, mood: str, instruments: tuple[str, ...]) -> str:
    """Return a line of free text: some facts are missing or wrong, and one track in 25 has no text."""
    if stream.coin(0.04):
        return ""
    style = STYLES[genre]
    name = stream.pick(style.related) if stream.coin(0.08) else stream.pick((style.name, *style.words))
    words = [pace(tempo)] if stream.coin(0.6) else []
    words += [stream.pick(("restless", "warm", "lonely", "bold")) if stream.coin(0.12) else mood]
    text = f"{', '.join(words)} {name} {stream.pick(_KINDS)}"
    text = f"{'An' if text[0] in 'aeiou' else 'A'} {text}"
    if stream.coin(0.65):
        named = [instrument for instrument in instruments if stream.coin(0.7)]
        text += f" with {' and '.join(named)}" if named else ""
    if stream.coin(0.4):
        text += f" in {key}"
    if stream.coin(0.2):
        text += f", recorded in {syllables(stream, 2)}"
    return text + "."


def tags(stream: Stream, *, genre: int, mood: str, instruments: tuple[str, ...], tempo: float) -> list[str]:
    """Return social tags without duplicates: most are correct, some are personal, some are wrong."""
    style = STYLES[genre]
    chosen = [style.name] if stream.coin(0.75) else []
    chosen += [word for word in style.words[1:] if stream.coin(0.35)]
    chosen += [word for word, meanings in AMBIGUOUS.items() if style.name in meanings and stream.coin(0.3)]
    chosen += [mood] if stream.coin(0.55) else []
    chosen += [instrument for instrument in instruments if stream.coin(0.3)]
    chosen += [pace(tempo)] if stream.coin(0.15) else []
    chosen += [stream.pick(style.related)] if stream.coin(0.12) else []
    chosen += [word for word in _PERSONAL if stream.coin(0.06)]
    chosen += [stream.pick(STYLES).name] if stream.coin(0.04) else []
    return list(dict.fromkeys(chosen))
