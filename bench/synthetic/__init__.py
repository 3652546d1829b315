"""Synthetic data with a known ground truth: demo worlds with audio and plays, and logs with item tables."""

from bench.synthetic.genres import AMBIGUOUS, GENRES
from bench.synthetic.listening import Plays, make_plays
from bench.synthetic.model import (
    CUT,
    DEMO,
    DEMO_1,
    DEMO_LONG,
    DEMO_LONG_1,
    END,
    START,
    VERSION,
    Artist,
    Track,
    World,
    WorldSize,
)
from bench.synthetic.random_stream import Stream
from bench.synthetic.rendering import render
from bench.synthetic.tables import Planted, planted
from bench.synthetic.world import make_world

__all__ = [
    "AMBIGUOUS",
    "CUT",
    "DEMO",
    "DEMO_1",
    "DEMO_LONG",
    "DEMO_LONG_1",
    "END",
    "GENRES",
    "START",
    "VERSION",
    "Artist",
    "Planted",
    "Plays",
    "Stream",
    "Track",
    "World",
    "WorldSize",
    "make_plays",
    "make_world",
    "planted",
    "render",
]
