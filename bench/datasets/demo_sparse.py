"""A larger and sparser synthetic world, for claims that the demo is too small and too dense to decide."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Final

import polars as pl

from bench.datasets.demo import Demo
from bench.holdout import in_order
from bench.synthetic import WorldSize

AUDIBLE: Final = 0.3
"""Share of the artists whose tracks are synthesised: the held-out tenth, and a fifth to train on."""
SPARSE: Final = WorldSize(
    tracks=20_000, artists=4_000, cold=1_000, seconds=4.0, listeners=2_500, plays=600_000, seed=2021
)


class DemoSparse(Demo):
    """20,000 tracks by 4,000 artists, 2,500 listeners, about 600,000 plays; 4 s of audio of 1,200 artists' tracks.

    The co-listen graph joins fewer than 1 % of the pairs of tracks with audio, so that average precision by chance is
    small in the task `links`. All held-out tracks have audio.
    """

    name: str = "demo-sparse"
    hold_out = 0.1
    default_k = 50
    size: WorldSize = SPARSE
    size_1: ClassVar[WorldSize] = replace(SPARSE, generator=1)

    def audible(self, names: pl.DataFrame) -> pl.Series:
        """Return the ids of the tracks of the artists that are held out first, and of the next ones."""
        artists = in_order(names["artist"].unique().to_list())
        chosen = artists[: round(AUDIBLE * len(artists))]
        return names.filter(pl.col("artist").is_in(chosen))["track_id"]
