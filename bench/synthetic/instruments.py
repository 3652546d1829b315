"""Synthesise notes and drums: wavetables with envelopes for pitched instruments, filtered noise for drums."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.synthetic.random_stream import SEMITONE, SINE, TURN, Stream, exp

Wave = NDArray[np.float32]

LEVELS: Final = 24
"""Number of brightness levels per timbre."""
_SHIFT: Final = np.uint32(32 - (TURN - 1).bit_length())
_SINE: Final = SINE.astype(np.float32)
_HIGHEST: Final = 40
_HARMONICS: Final = SINE[np.outer(np.arange(_HIGHEST + 1), np.arange(TURN)) % TURN]
"""One period of each harmonic (41, 2048); row 1 is the fundamental."""
_FALL: Final = 512
"""Entries of the decay curve per time constant; the curve covers eight time constants."""
_DECAY: Final = exp(-np.arange(8 * _FALL + 1) / _FALL).astype(np.float32)


@dataclass(frozen=True)
class Timbre:
    """The sound of an instrument. Times are in seconds; `fall` is the time constant of the decay."""

    weights: tuple[float, ...]
    """Amplitudes of the first harmonics; higher ones continue the last amplitude as 1/h."""
    attack: float
    fall: float
    sustain: float
    """Level that the decay approaches."""
    release: float
    gain: float
    tilt: float
    """How strongly the track's brightness changes the harmonics."""


TIMBRES: Final = {
    "pad": Timbre((1.0, 0.6, 0.3, 0.2), 0.35, 2.0, 0.8, 0.5, 0.5, 1.0),
    "strings": Timbre((1.0, 0.8, 0.6, 0.5, 0.4), 0.09, 1.0, 0.75, 0.15, 0.5, 0.8),
    "organ": Timbre((1.0, 0.9, 0.7, 0.6, 0.0, 0.5, 0.0, 0.4, 0.0), 0.01, 1.0, 0.95, 0.04, 0.35, 0.3),
    "piano": Timbre((1.0, 0.55, 0.35, 0.25, 0.12, 0.1), 0.004, 0.45, 0.05, 0.1, 0.7, 0.8),
    "pluck": Timbre((1.0, 0.8, 0.7, 0.45, 0.4, 0.3, 0.25), 0.002, 0.22, 0.0, 0.06, 0.8, 0.9),
    "saw": Timbre((1.0,), 0.01, 0.6, 0.6, 0.05, 0.45, 1.0),
    "square": Timbre((1.0, 0.0, 0.33, 0.0, 0.2, 0.0, 0.14, 0.0, 0.11, 0.0), 0.008, 0.7, 0.6, 0.05, 0.4, 0.9),
    "flute": Timbre((1.0, 0.25, 0.12, 0.03, 0.0), 0.06, 1.0, 0.8, 0.1, 0.7, 0.5),
    "brass": Timbre((0.7, 1.0, 0.9, 0.7, 0.5, 0.35), 0.04, 0.8, 0.7, 0.07, 0.5, 1.0),
    "guitar": Timbre((1.0, 0.9, 0.75, 0.5, 0.45, 0.3), 0.004, 0.6, 0.3, 0.05, 0.6, 0.8),
    "bass": Timbre((1.0, 0.5, 0.25, 0.1, 0.0), 0.006, 0.5, 0.45, 0.04, 0.9, 0.4),
}


@lru_cache(maxsize=4096)
def wavetable(name: str, shade: int, formant: int, harmonics: int) -> Wave:
    """Return one period (2048,) of an instrument at brightness level `shade`, with harmonic `formant` amplified."""
    timbre = TIMBRES[name]
    ratio = 1.0 - timbre.tilt * (0.55 - 0.52 * shade / (LEVELS - 1))
    table, slope = np.zeros(TURN), 1.0
    for harmonic in range(1, harmonics + 1):
        last = len(timbre.weights)
        weight = timbre.weights[harmonic - 1] if harmonic <= last else timbre.weights[-1] * last / harmonic
        stress = 2.2 if harmonic == formant else 1.4 if abs(harmonic - formant) == 1 else 1.0
        if weight:
            table += _HARMONICS[harmonic] * (weight * stress * slope)
        slope *= ratio
    return (table / float(np.abs(table).max())).astype(np.float32)


def frequency(pitch: int) -> float:
    """Return the frequency in Hz of a MIDI note number."""
    octave, semitone = divmod(pitch - 69, 12)
    return 440.0 * float(SEMITONE[semitone]) * 2.0**octave


def advance(hertz: float, rate: int) -> np.uint32:
    """Return the phase increment per sample; a full period is 2^32."""
    return np.uint32(int(hertz * 4294967296.0 / rate))


def note(name: str, pitch: int, length: int, *, bright: float, formant: int, detune: float, rate: int) -> Wave:
    """Synthesise one note: two slightly detuned oscillators, times the instrument's envelope with its release."""
    timbre = TIMBRES[name]
    envelope = _envelope(name, length, rate)
    hertz = frequency(pitch)
    # Rounded down to a few values, so that notes of similar pitch share a table.
    harmonics = min(int(0.42 * rate / hertz), _HIGHEST)
    harmonics -= harmonics % 4 if harmonics > 8 else 0
    table = wavetable(name, round(bright * (LEVELS - 1)), formant, max(harmonics, 1))
    ramp = _ramp(len(envelope))
    wave = np.asarray(table[(ramp * advance(hertz, rate)) >> _SHIFT])
    if timbre.sustain > 0:  # plucked sounds have one oscillator
        wave = wave + table[(ramp * advance(hertz * (1.0 + detune), rate)) >> _SHIFT]
        wave *= np.float32(0.6)
    return np.asarray(wave * envelope)


@lru_cache(maxsize=512)
def _envelope(name: str, length: int, rate: int) -> Wave:
    timbre = TIMBRES[name]
    attack, release = max(int(timbre.attack * rate), 1), max(int(timbre.release * rate), 1)
    body = np.float32(timbre.sustain) + np.float32(1 - timbre.sustain) * falling(length + release, timbre.fall * rate)
    rise = min(attack, length)
    body[:rise] *= np.arange(rise, dtype=np.float32) / np.float32(attack)
    body[length:] *= np.arange(release, 0, -1, dtype=np.float32) / np.float32(release)
    body *= np.float32(timbre.gain)
    body.setflags(write=False)
    return body


@lru_cache(maxsize=8)
def _longest(bits: int) -> NDArray[np.uint32]:
    ramp = np.arange(1 << bits, dtype=np.uint32)
    ramp.setflags(write=False)
    return ramp


def _ramp(n: int) -> NDArray[np.uint32]:
    return _longest(max(n, 1).bit_length())[:n]


def falling(n: int, constant: float) -> Wave:
    """Return an exponential decay (n,) that starts at 1; the time constant is in samples."""
    entries = np.arange(n, dtype=np.int64) * _FALL // max(int(constant), 1)
    return np.asarray(_DECAY[np.minimum(entries, len(_DECAY) - 1)])


def kick(kit: tuple[float, float, float], rate: int) -> Wave:
    """Synthesise a bass drum: a tone whose pitch falls."""
    n = int(0.28 * rate)
    hertz = np.float64(42 + 30 * kit[0]) + 150.0 * falling(n, 0.018 * rate).astype(np.float64)
    phase = np.cumsum((hertz * (4294967296.0 / rate)).astype(np.uint32), dtype=np.uint32)
    return np.asarray(_SINE[phase >> _SHIFT] * falling(n, (0.06 + 0.05 * kit[0]) * rate))


def snare(kit: tuple[float, float, float], stream: Stream, rate: int) -> Wave:
    """Synthesise a snare drum: a tone and noise."""
    n = int(0.22 * rate)
    tone = _SINE[(_ramp(n) * advance(160 + 90 * kit[0], rate)) >> _SHIFT]
    body = tone * falling(n, 0.03 * rate) * np.float32(0.6)
    wires = stream.noise(n) * falling(n, (0.025 + 0.06 * kit[1]) * rate) * np.float32(0.8)
    return np.asarray(body + wires)


def hat(kit: tuple[float, float, float], stream: Stream, rate: int) -> Wave:
    """Synthesise a hi-hat: noise without low frequencies."""
    n = int(0.12 * rate)
    noise = stream.noise(n + 2)
    thin = (noise[2:] - noise[1:-1] * np.float32(1.4) + noise[:-2] * np.float32(0.5)) * np.float32(0.4)
    return np.asarray(thin * falling(n, (0.008 + 0.035 * kit[2]) * rate))
