"""Render the audio of a track: synthesise the notes, add distortion and echo, and mix to 16-bit samples."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.synthetic import instruments
from bench.synthetic.composition import Note, compose
from bench.synthetic.genres import STYLES
from bench.synthetic.instruments import Wave
from bench.synthetic.model import World
from bench.synthetic.random_stream import Stream

_DRUM_GAINS: Final = {"kick": 1.1, "snare": 0.75, "hat": 0.55}


def render(world: World, row: int) -> NDArray[np.int16]:
    """Synthesise one track: samples (T,) int16, mono, at the world's rate.

    The result is bit for bit the same on every machine: it uses integer phases, rounded tables and single
    IEEE 754 operations.
    """
    track, size = world.tracks[row], world.size
    artist, style = world.artists[track.artist], STYLES[track.genre]
    stream = Stream(size.seed, "sound", track.track_id)
    rate, samples = size.rate, size.samples
    notes = compose(track, artist, seed=size.seed, rate=rate, samples=samples)
    played = {"chords": track.chords, "lead": track.lead, "bass": "bass"}

    waves: dict[tuple[str, int, int], Wave] = {}
    wet, dry = np.zeros(samples, np.float32), np.zeros(samples, np.float32)
    drums = {
        "kick": lambda: instruments.kick(artist.kit, rate),
        "snare": lambda: instruments.snare(artist.kit, stream, rate),
        "hat": lambda: instruments.hat(artist.kit, stream, rate),
    }
    loud = {"chords": 0.5, "lead": 0.6, "bass": 0.8}
    loud |= {part: gain * (0.35 + 0.9 * track.percussive) for part, gain in _DRUM_GAINS.items()}
    for note in sorted(notes, key=lambda note: (note.part, note.start, note.pitch)):
        known = (note.part, note.pitch, note.length)
        if known not in waves:  # repeated notes are synthesised once
            waves[known] = (
                drums[note.part]()
                if note.part in drums
                else instruments.note(
                    played[note.part], note.pitch, note.length, bright=track.bright,
                    formant=artist.formant, detune=artist.detune, rate=rate,
                )
            )  # fmt: skip
        bus = dry if note.part in ("bass", *drums) else wet
        _add(bus, note, waves[known], loud[note.part])

    if (drive := style.drive * (0.6 + 0.5 * track.energy)) > 0.05:
        wet = _driven(wet, drive)
    if (level := min(max(style.echo + artist.echo, 0.0), 0.7)) > 0.02:
        wet = _echoed(wet, level, int(rate * 45 / track.tempo))
    mixed = wet + dry
    mixed += stream.noise(samples) * np.float32(0.05 * style.hiss * artist.hiss)
    mastered = _mastered(mixed, track.bright, track.energy)
    return mastered[::-1].copy() if track.attack == "swelling" else mastered


def _add(bus: Wave, note: Note, wave: Wave, loud: float) -> None:
    part = wave[: len(bus) - note.start]
    bus[note.start : note.start + len(part)] += part * np.float32(loud * note.level)


def _driven(wave: Wave, amount: float) -> Wave:
    """Distort like an overdriven amplifier."""
    amplified = wave * np.float32(1 + 14 * amount * amount)
    return np.asarray(amplified / (np.float32(1) + np.abs(amplified)))


def _echoed(wave: Wave, level: float, delay: int) -> Wave:
    """Add two decaying repetitions, `delay` samples apart."""
    out = wave.copy()
    for times, gain in ((1, level), (2, level * level)):
        if times * delay < len(wave):
            out[times * delay :] += wave[: len(wave) - times * delay] * np.float32(gain)
    return out


def _mastered(wave: Wave, bright: float, energy: float) -> NDArray[np.int16]:
    """Apply a low-pass filter to dark tracks, set the peak level by the track's energy, and round to 16 bits."""
    smooth = wave.copy()
    smooth[1:-1] = (wave[:-2] + wave[2:]) * np.float32(0.25) + wave[1:-1] * np.float32(0.5)
    wave = wave * np.float32(bright) + smooth * np.float32(1 - bright)
    peak = float(np.abs(wave).max())
    scale = (0.3 + 0.6 * energy) * 32767 / peak if peak > 0 else 0.0
    return np.asarray(np.rint(wave * np.float32(scale)).astype(np.int16))
