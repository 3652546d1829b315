"""Clips of a small synthetic catalogue, and helpers to write annotations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from bench.synthetic import Track, World, WorldSize, make_world, render

SIZE = WorldSize(tracks=60, artists=20, cold=14, seconds=1.2, rate=22_050, listeners=60, plays=6_000, seed=5)
PARTS = ("train", "train", "train", "valid", "test")
"""The parts of the artists: artist i is in part i modulo 5."""


class Clips:
    """Synthetic clips of 60 tracks by 20 artists."""

    def __init__(self, seed: int):
        self.world: World = make_world(replace(SIZE, seed=seed))
        self.tracks: tuple[Track, ...] = self.world.tracks

    def part(self, row: int) -> str:
        """Return the part of a track, which is the part of its artist."""
        return PARTS[self.tracks[row].artist % len(PARTS)]

    def artist(self, row: int) -> str:
        """Return the name of a track's artist."""
        return self.world.artists[self.tracks[row].artist].name

    def write(self, row: int, path: Path) -> None:
        """Write the audio of a track in the format of the path's suffix."""
        path.parent.mkdir(parents=True, exist_ok=True)
        wave = render(self.world, row)
        soundfile.write(path, wave, SIZE.rate, format={".mp3": "MP3", ".au": "AU"}.get(path.suffix, "WAV"))


def lines(path: Path, rows: list[str]) -> None:
    """Write lines of text in UTF-8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(row + "\n" for row in rows), encoding="utf-8")


def has(track: Track, number: int) -> bool:
    """Return whether a track has label `number`, which depends on its genre, mode, brightness, energy or percussion."""
    levels = (track.genre % 2, track.minor, track.bright > 0.5, track.energy > 0.5, track.percussive > 0.4)
    kind = number % (len(levels) + 3)
    if kind < len(levels):
        return bool(levels[kind])
    return track.genre in np.random.default_rng(number).permutation(8)[:3]
