"""Clips of a small planted world, each written once, and the means to write annotations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from bench.data.synthetic import Track, World, WorldSize, make_world, render

SIZE = WorldSize(tracks=60, artists=20, cold=14, seconds=1.2, rate=22_050, listeners=60, plays=6_000, seed=5)
PARTS = ("train", "train", "train", "valid", "test")
"""Artists are dealt out in this order."""


class Clips:
    """A world of 60 tracks by 20 artists."""

    def __init__(self, seed: int):
        self.world: World = make_world(replace(SIZE, seed=seed))
        self.tracks: tuple[Track, ...] = self.world.tracks

    def part(self, row: int) -> str:
        """Return the part of a track: that of its artist."""
        return PARTS[self.tracks[row].artist % len(PARTS)]

    def artist(self, row: int) -> str:
        """Return the artist's name."""
        return self.world.artists[self.tracks[row].artist].name

    def write(self, row: int, path: Path) -> None:
        """Write a track's sound in the format of the path's ending."""
        path.parent.mkdir(parents=True, exist_ok=True)
        wave = render(self.world, row)
        soundfile.write(path, wave, SIZE.rate, format={".mp3": "MP3", ".au": "AU"}.get(path.suffix, "WAV"))


def lines(path: Path, rows: list[str]) -> None:
    """Write lines of text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(row + "\n" for row in rows), encoding="utf-8")


def has(track: Track, number: int) -> bool:
    """Whether a track has the planted label `number`: by its genre, its mode, or how bright it is."""
    levels = (track.genre % 2, track.minor, track.bright > 0.5, track.energy > 0.5, track.percussive > 0.4)
    kind = number % (len(levels) + 3)
    if kind < len(levels):
        return bool(levels[kind])
    return track.genre in np.random.default_rng(number).permutation(8)[:3]
