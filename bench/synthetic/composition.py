"""Compose a track: a list of notes and drum strokes on a grid of sixteenth notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from bench.synthetic.genres import SCALES, STYLES, Style
from bench.synthetic.model import DRUMS, Artist, Track
from bench.synthetic.random_stream import Stream

BAR: Final = 16


class Note(NamedTuple):
    """One note or drum stroke; `start` and `length` in samples, `pitch` is a MIDI note number (0 for drums)."""

    part: str
    """``chords``, ``lead``, ``bass``, ``kick``, ``snare`` or ``hat``."""
    pitch: int
    start: int
    length: int
    level: float


class Grid(NamedTuple):
    """The rhythm of a track: `steps` sixteenths of `step` samples each, with a new chord every `span` steps."""

    step: int
    steps: int
    span: int
    late: int
    """Delay of every second eighth note in samples (swing)."""

    def at(self, step: int) -> int:
        """Return the first sample of a step."""
        return step * self.step + (self.late if step % 4 == 2 else 0)


def compose(track: Track, artist: Artist, *, seed: int, rate: int, samples: int) -> list[Note]:
    """Return the notes of a track. The first chord is the tonic, and the bass plays the roots of the chords."""
    style = STYLES[track.genre]
    stream = Stream(seed, "score", track.track_id)
    step = int(rate * 15 / track.tempo)
    grid = Grid(step, -(-samples // step), BAR if track.tempo >= 100 else BAR // 2, int(style.swing * step))
    turn = stream.pick(style.turns)
    roots = [turn[(step // grid.span) % len(turn)] for step in range(grid.steps)]
    notes = [*_chords(track, style, stream, grid, roots), *_lead(track, stream, grid, roots)]
    notes += _bass(track, style, grid, roots)
    if style.drums and track.percussive > DRUMS:
        notes += _drums(style, artist, stream, grid)
    return [note for note in notes if note.start < samples]


def _pitch(track: Track, degree: int, base: int) -> int:
    """Return the MIDI note number of a degree of the track's scale, counted from the C `base`."""
    octave, degree = divmod(degree, 7)
    return base + track.tonic + 12 * octave + SCALES[track.minor][degree]


def _chords(track: Track, style: Style, stream: Stream, grid: Grid, roots: list[int]) -> Iterator[Note]:
    base = 36 if track.texture == "chug" else 48
    rhythm = [bool(hit) for hit in stream.coins(0.2 + 0.2 * track.energy, BAR)]
    for step in range(grid.steps):
        within, tones = step % grid.span, [roots[step] + above for above in style.voicing]
        length, level = 0, 1.0
        if track.texture == "hold" and within == 0:
            length = grid.span
        elif track.texture == "strum" and step % BAR in (0, 4, 6, 10, 12, 14):
            length, level = 4, 1.0 if step % 4 == 0 else 0.7
        elif track.texture == "stab" and step % 4 == 2:
            length = 2
        elif track.texture == "comp" and (within == 0 or (rhythm[step % BAR] and step % 2 == 0)):
            length, level = 3, 0.8
        elif track.texture == "arpeggio" and step % 2 == 0:
            length, tones, level = 4, [tones[(step // 2) % len(tones)]], 1.2
        elif track.texture == "chug" and (step % 2 == 0 or rhythm[step % BAR]):
            length, level = 2, 1.0 if step % 4 == 0 else 0.75
        for degree in tones if length else ():
            pitch = _pitch(track, degree, base)
            yield Note("chords", pitch, grid.at(step), length * grid.step, level)


def _lead(track: Track, stream: Stream, grid: Grid, roots: list[int]) -> Iterator[Note]:
    """Repeat a motif of two bars: chord tones on strong beats, steps along the scale between them."""
    plays = stream.coins(0.12 + 0.3 * track.energy, 2 * BAR)
    moves = (stream.integers(5, 2 * BAR) - 2).tolist()
    tones = (stream.integers(3, 2 * BAR) * 2).tolist()
    lengths = (2 + stream.integers(3, 2 * BAR)).tolist()
    degree = 7
    for step in range(grid.steps):
        place = step % (2 * BAR)
        if step % 4 == 0 and (place == 0 or plays[place] or plays[place - 1]):
            degree = 7 + (roots[step] + tones[place]) % 7
        elif step % 2 == 0 and plays[place]:
            degree = min(max(degree + moves[place], 5), 14)
        else:
            continue
        yield Note("lead", _pitch(track, degree, 60), grid.at(step), lengths[place] * grid.step, 1.0)


def _bass(track: Track, style: Style, grid: Grid, roots: list[int]) -> Iterator[Note]:
    every, length, phase = {
        "root": (grid.span, grid.span, 0), "pulse": (4, 3, 0), "offbeat": (4, 2, 2), "walking": (4, 4, 0),
        "none": (grid.steps + 1, 0, 0),
    }[style.bass]  # fmt: skip
    for step in range(phase, grid.steps, every):
        degree = roots[step]
        if style.bass == "walking":
            degree += (0, 2, 4, 5)[(step // 4) % 4]
        yield Note("bass", _pitch(track, degree % 7, 36), grid.at(step), length * grid.step, 1.0)


def _drums(style: Style, artist: Artist, stream: Stream, grid: Grid) -> Iterator[Note]:
    accents = stream.between(0.7, 1.0, BAR).tolist()
    for part, patterns in (("kick", style.kick), ("snare", style.snare), ("hat", style.hat)):
        pattern = patterns[artist.pattern % len(patterns)]
        for step in range(grid.steps):
            if pattern[step % BAR] == "x":
                yield Note(part, 0, grid.at(step), 0, accents[step % BAR])
